// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/expr/update.hpp>

namespace gshard {

namespace detail {

/// Whether an operand of a Recipe is recorded; specialized for marked operands.
template <class Operand>
inline constexpr bool is_recorded_operand = AnyVar<Operand>;

}  // namespace detail

/// An operation that runs once the spec of its result is known: an einsum, a reduction, a convolution.
/// - Assigned to a tensor type (of recorded operands: to a Var), or given to `shard<Spec>`: the spec is the annotation
///   of the result.
/// - Given to `eval` or to an operation: the layout is propagated.
/// Holds evaluated operands. If one of them is recorded, so is the result.
///
/// It is used once, where it is made: `auto y = einsum<...>(a, b); y + y * y` does not compile
/// (error::OperationUsedByName), since it would run and communicate three times. `auto y = eval(einsum<...>(a, b))`, or
/// a declared type of y, keeps the result. `std::move(y)` gives a recipe that has a name to its only use.
///
/// `Family` is the operation for every declared result:
/// - `run<Declared>(operands...)` returns the result; `Declared` is its tensor type, marked or not, or void,
/// - `run_into<Declared>(result, add, operands...)` writes it into an existing tensor, or adds it,
/// - `check_result(result, operands...)` throws if that tensor cannot take the result,
/// - `tensor<Operands...>` is a tensor type that differs from that of the result in its spec.
template <class Family, class... Operands>
class [[nodiscard]] Recipe : public detail::UnevaluatedOperation {
 public:
  static constexpr bool is_recorded = (detail::is_recorded_operand<Operands> || ...);
  static constexpr bool is_deferred = !is_recorded;
  using tensor_type = typename Family::template tensor<Operands...>;

  explicit Recipe(Family const& family, Operands const&... operands) : family_(family), operands_(operands...) {}

  // The members below use the recipe up: they are called on a temporary, or on std::move(recipe).

  /// Runs the operation with the result annotated as `Declared`: a tensor type, marked or not; void propagates.
  /// Throws StateError, MeshError or ExtentError as the function that made the recipe says.
  template <class Declared>
  auto run() const&& {
    return detail::call_with(operands_,
                             [&](auto const&... operands) { return family_.template run<Declared>(operands...); });
  }

  /// Returns the result in the propagated layout. Throws as `run`.
  auto eval() const&& { return std::move(*this).template run<void>(); }
  /// Does not compile: the recipe is given by its name.
  template <class Used = Recipe>
  auto eval() const& {
    detail::refuse_named<Used const&>();
    return std::move(*this).eval();
  }

  /// Returns the result with spec `Spec`. Throws as `run`.
  template <class Spec>
  auto eval_as() const&& {
    return std::move(*this).template run<with_spec<tensor_type, Spec>>();
  }

  /// Returns the result with the spec of `Result`. Results of integers are never recorded. Throws as `run`.
  template <AnyTensor Result>
  operator Result() && {
    if constexpr (is_recorded && !std::is_integral_v<typename Result::value_type>)
      return detail::refuse_as_plain<Result>();
    else return std::move(*this).template run<Result>();
  }
  template <AnyTensor Result, bool HasGradient>
    requires is_recorded
  operator Var<Result, HasGradient>() && {
    return std::move(*this).template run<Result>();
  }
  /// Does not compile: the recipe is given by its name.
  template <AnyTensor Result>
  operator Result() const& {
    detail::refuse_named<Recipe const&>();
    return std::move(*this).template run<Result>();
  }
  template <AnyTensor Result, bool HasGradient>
    requires is_recorded
  operator Var<Result, HasGradient>() const& {
    detail::refuse_named<Recipe const&>();
    return std::move(*this).template run<Result>();
  }

  /// Sets the elements of `result` to the result of the operation, or adds it to them if `add`. The spec of `result` is
  /// the annotation. Throws as `run`, and if `result` does not fit.
  template <class Declared, AnyTensor Result>
  void run_into(Result const& result, bool add) const&& {
    detail::call_with(operands_,
                      [&](auto const&... operands) { family_.template run_into<Declared>(result, add, operands...); });
  }

  /// Checks that an existing tensor can take the result. Throws StateError, MeshError or ExtentError.
  template <AnyTensor Result>
  void check_result(Result const& result) const {
    detail::call_with(operands_, [&](auto const&... operands) { family_.check_result(result, operands...); });
  }

  Family const& family() const { return family_; }
  std::tuple<Operands...> const& operands() const { return operands_; }

 private:
  [[no_unique_address]] Family family_;
  std::tuple<Operands...> operands_;
};

namespace detail {

template <class Type>
inline constexpr bool is_recipe = false;
template <class Family, class... Operands>
inline constexpr bool is_recipe<Recipe<Family, Operands...>> = true;

}  // namespace detail

/// Satisfied by every Recipe.
template <class Type>
concept AnyRecipe = Unevaluated<Type> && detail::is_recipe<std::remove_cvref_t<Type>>;

/// Satisfied by recipes of operands that are not recorded.
template <class Type>
concept DeferredRecipe = Expression<Type> && AnyRecipe<Type>;

// The recipe given to each function below is used up by it: a recipe that has a name does not compile.

/// Runs a recipe of recorded operands with the spec that its plan propagates.
template <AnyRecipe Operation>
  requires(std::remove_cvref_t<Operation>::is_recorded)
auto eval(Operation&& recipe) {
  detail::refuse_named<Operation>();
  return std::move(recipe).eval();
}

/// Returns the recorded tensor itself: a reference to one that has a name.
template <AnyTensor Tensor, bool HasGradient>
Var<Tensor, HasGradient> const& eval(Var<Tensor, HasGradient> const& var) {
  return var;
}
template <AnyTensor Tensor, bool HasGradient>
Var<Tensor, HasGradient> eval(Var<Tensor, HasGradient>&& var) {
  return std::move(var);
}

/// Runs a recipe with its result annotated by `Spec` (the paper's `shard`).
template <class Spec, AnyRecipe Operation>
auto shard(Operation&& recipe) {
  detail::refuse_named<Operation>();
  return std::move(recipe).template eval_as<Spec>();
}

/// Sets the elements of `y`, whose spec is the annotation, to the result of a recipe. Does not read the elements of
/// `y`, unless `y` is an operand. Throws as the recipe, or if `y` does not fit the result.
template <AnyTensor Result, DeferredRecipe Operation>
void assign(Result const& y, Operation&& recipe) {
  detail::refuse_named<Operation>();
  std::move(recipe).template run_into<Result>(y, false);
}

/// Adds the result of a recipe to the elements of `y`, whose spec is the annotation. Throws as `assign`.
template <AnyTensor Result, DeferredRecipe Operation>
Result& operator+=(Result& y, Operation&& recipe) {
  detail::refuse_named<Operation>();
  detail::refuse_const<Result>();
  std::move(recipe).template run_into<std::remove_const_t<Result>>(y, true);
  return y;
}

/// Subtracts the result of a recipe from the elements of `y`, whose spec is the annotation. Throws as `assign`.
template <AnyTensor Result, DeferredRecipe Operation>
Result& operator-=(Result& y, Operation&& recipe) {
  detail::refuse_named<Operation>();
  recipe.check_result(y);
  return y -= std::move(recipe).template eval_as<typename Result::spec_type>();
}

}  // namespace gshard
