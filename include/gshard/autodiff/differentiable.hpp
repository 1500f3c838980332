// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/compile_error.hpp>
#include <gshard/expr/reads.hpp>

namespace gshard {

namespace error {

template <class Operation>
struct OperationWithoutVjp {
  static_assert(
      always_false<Operation>,
      "gshard: an operation of a recorded tensor has no vjp; give it `void vjp(auto const& saved, auto const& gradient, "
      "auto const& gradients) const`, or take x.value(), which is not recorded");
};

template <class Operation>
struct ElementsNotRead {
  static_assert(
      always_false<Operation>,
      "gshard: a vjp reads elements that were not saved; name the operand or the result in `reads<Operand>` of "
      "the operation");
};

}  // namespace error

/// Takes the place of a tensor whose elements the backward pass does not read: has its shape and its mesh only.
template <AnyTensor Tensor>
class Unread {
 public:
  using tensor_type = Tensor;
  using mesh_type = typename Tensor::mesh_type;
  using spec_type = typename Tensor::spec_type;
  using value_type = typename Tensor::value_type;
  using memory_space = typename Tensor::memory_space;
  static constexpr int rank = Tensor::rank;
  static constexpr Layout layout = Tensor::layout;

  explicit Unread(Tensor const& tensor) : mesh_(tensor.mesh()), extents_(tensor.extents()) {}

  mesh_type const& mesh() const { return mesh_; }
  Extents const& extents() const { return extents_; }
  std::int64_t extent(int dimension) const { return extents_[dimension]; }

  /// Does not compile: the elements were not saved.
  template <class Used = Tensor>
  detail::NoMember data() const {
    using Refused [[maybe_unused]] = decltype(error::ElementsNotRead<Used>{});
    return {};
  }
  template <class Used = Tensor>
  detail::NoMember local() const {
    using Refused [[maybe_unused]] = decltype(error::ElementsNotRead<Used>{});
    return {};
  }

 private:
  mesh_type mesh_;
  Extents extents_;
};

/// What `forward` of an operation returns if its vjp reads more than operands and result, such as the statistics of a
/// norm. Kept if a gradient is wanted that reads them: each one, unless the operation has `reads_residuals<Operand>`.
template <class Result, class Residuals>
struct WithResiduals {
  Result result;
  Residuals residuals;
};
template <class Result, class Residuals>
WithResiduals(Result, Residuals) -> WithResiduals<Result, Residuals>;

/// What a vjp is given: a std::tuple of the operands, the result, and the residuals of `forward`. Tensors that no
/// wanted gradient reads are `Unread`.
template <class Operands, class Result, class Residuals>
struct Saved {
  Operands operands;
  Result result;
  Residuals residuals;
};
template <class Operands, class Result, class Residuals>
Saved(Operands, Result, Residuals) -> Saved<Operands, Result, Residuals>;

namespace detail {

/// Residuals of an operation that has none.
struct NoResiduals {};

/// A tensor that no other handle of the program refers to: an expression that takes it may write its result there.
template <AnyTensor Tensor>
struct Released {
  static constexpr bool is_deferred = true;

  explicit Released(Tensor taken) : tensor(std::move(taken)) {}
  /// Takes the tensor, so that a copy in an expression is the only handle.
  Released(Released const& other) : tensor(std::move(other.tensor)) {}

  Tensor eval() const { return std::move(tensor); }

  mutable Tensor tensor;
};

template <class Type>
inline constexpr bool has_residuals = false;
template <class Result, class Residuals>
inline constexpr bool has_residuals<WithResiduals<Result, Residuals>> = true;

/// Returns the result of what `forward` returned, evaluated. Moves from it, but not from its residuals.
template <class Output>
auto result_of(Output&& output) {
  if constexpr (has_residuals<std::remove_cvref_t<Output>>) return result_of(std::forward<Output>(output).result);
  else return eval(std::forward<Output>(output));
}

template <class Output>
auto residuals_of(Output const& output) {
  if constexpr (has_residuals<Output>) return output.residuals;
  else return NoResiduals{};
}

/// Returns a tensor, or its shape alone.
template <bool IsRead, class Value>
auto kept(Value const& value) {
  if constexpr (AnyTensor<Value> && !IsRead) return Unread<std::remove_cvref_t<Value>>(value);
  else return value;
}

/// Whether `forward` may write its result over the elements of operands that nothing reads any more. Such operands are
/// passed as `Released`.
template <class Operation>
concept OverwritesOperands = requires { requires Operation::overwrites_operands; };

/// What the gradients of all operands that want one read.
template <class Operation, bool... IsWanted>
consteval Reads reads_of_wanted() {
  return []<int... Position>(std::integer_sequence<int, Position...>) {
    Reads reads = Reads::nothing();
    ((reads = IsWanted ? reads | reads_of<Operation, Position>() : reads), ...);
    return reads;
  }(std::make_integer_sequence<int, static_cast<int>(sizeof...(IsWanted))>{});
}

/// Whether the gradient of operand `Operand` reads the residuals: as `Operation` states, or true.
template <class Operation, int Operand>
constexpr bool reads_residuals() {
  if constexpr (requires { Operation::template reads_residuals<Operand>; })
    return Operation::template reads_residuals<Operand>;
  else return true;
}

/// Whether a gradient of an operand that wants one reads the residuals.
template <class Operation, bool... IsWanted>
consteval bool residuals_are_read() {
  return []<int... Position>(std::integer_sequence<int, Position...>) {
    return ((IsWanted && reads_residuals<Operation, Position>()) || ...);
  }(std::make_integer_sequence<int, static_cast<int>(sizeof...(IsWanted))>{});
}

/// Returns the residuals; of those that no wanted gradient reads, the shape of a tensor, and nothing of others.
template <bool AreRead, class Output>
auto kept_residuals(Output const& output) {
  auto const& residuals = residuals_of(output);
  if constexpr (AreRead || AnyTensor<std::remove_cvref_t<decltype(residuals)>>) return kept<AreRead>(residuals);
  else return NoResiduals{};
}

}  // namespace detail

/// A function of tensors with a gradient, from one description of it. Operands are tensors, recorded tensors (Var),
/// operations that have not run, and whatever else `forward` takes, such as numbers, in any mix. The result is recorded
/// if an operand with a gradient is.
///
///     struct ScaleRows {  // y[i, j] = x[i, j] * s[i]
///       auto forward(auto const& x, auto const& s) const;      // of plain tensors; returns one
///       template <int Operand>
///       static constexpr Reads reads = Reads::operand(1 - Operand);
///       void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
///         auto const& [x, s] = saved.operands;
///         auto const& [dx, ds] = gradients;
///         if constexpr (is_wanted<decltype(dx)>) dx.add(scale_rows(gradient, s));
///         if constexpr (is_wanted<decltype(ds)>) ds.add_part(...);
///       }
///     };
///     inline constexpr Differentiable<ScaleRows> scale_rows;
///
/// - `auto forward(operands...)` computes the result of plain tensors, by kernels, operations and communication of its
/// own; or
///   `WithResiduals{result, residuals}`.
/// - `vjp(saved, gradient, gradients)` adds to the gradient of each operand (OperandGradient, or NoGradient) what
///   `gradient`, of type Cotangent<Result>, brings to it. It runs once, in the backward pass.
/// - `reads<Operand>` states what the gradient of one operand reads (Reads; everything unless stated). Of all other
///   tensors `saved` has the shape only (Unread), and their memory is free before the backward pass.
/// - `reads_residuals<Operand>`, of an operation with residuals, states whether the gradient of one operand reads them;
///   true unless stated. Residuals that no wanted gradient reads are not kept.
/// - Members of the operation are its further arguments: `Differentiable(Clip{0.5})(x)`.
///
/// Results of integers are never recorded. Throws StateError, before `forward` runs, if the tape has run, is gone, or
/// is not the tape of another operand.
template <class Operation>
class Differentiable {
 public:
  constexpr Differentiable() = default;
  constexpr explicit Differentiable(Operation operation) : operation_(std::move(operation)) {}

  template <class... Operands>
  auto operator()(Operands&&... operands) const {
    return run(std::index_sequence_for<Operands...>{}, detail::evaluated(std::forward<Operands>(operands))...);
  }

 private:
  /// The operands are lvalues if the caller keeps them, rvalues if they were evaluated here or are moved from.
  template <std::size_t... Position, class... Operands>
  auto run(std::index_sequence<Position...>, Operands&&... operands) const {
    static constexpr Reads reads =
        detail::reads_of_wanted<Operation, detail::has_gradient<std::remove_cvref_t<Operands>>...>();
    if constexpr (!(AnyVar<Operands> || ...)) {
      return detail::result_of(operation_.forward(passed<false>(std::forward<Operands>(operands))...));
    } else {
      Tape& tape = detail::tape_of(operands...);
      tape.require_unrun();
      auto kept =
          std::make_tuple(detail::kept<reads.has_operand(static_cast<int>(Position))>(detail::value_of(operands))...);
      auto const gradients = std::make_tuple(detail::gradient_of(operands)...);
      auto output = operation_.forward(
          passed<reads.has_operand(static_cast<int>(Position))>(std::forward<Operands>(operands))...);
      auto const result = detail::result_of(std::move(output));
      using Result = std::remove_const_t<decltype(result)>;
      if constexpr (std::is_integral_v<typename Result::value_type>) return result;
      else if constexpr (!(detail::has_gradient<std::remove_cvref_t<Operands>> || ...)) return tape.input(result);
      else
        return record(
            tape, result, gradients,
            Saved{std::move(kept), detail::kept<reads.from_result>(result),
                  detail::kept_residuals<
                      detail::residuals_are_read<Operation, detail::has_gradient<std::remove_cvref_t<Operands>>...>()>(
                      output)});
    }
  }

  /// Returns the tensor of an operand as `forward` is given it.
  template <bool IsRead, class Operand>
  static decltype(auto) passed(Operand&& operand) {
    if constexpr (std::is_lvalue_reference_v<Operand> || IsRead || !detail::OverwritesOperands<Operation>)
      return detail::value_of(operand);
    else if constexpr (AnyVar<Operand>) {
      return detail::Released<typename Operand::tensor_type>{std::move(operand).value()};
    } else if constexpr (AnyTensor<Operand>) {
      return detail::Released<std::remove_const_t<Operand>>{std::move(operand)};
    } else {
      return detail::value_of(operand);
    }
  }

  /// Returns auto, so that it is instantiated at the call, and the compiler points at the line of the user.
  template <AnyTensor Result, class Gradients, class Kept>
  auto record(Tape& tape, Result const& result, Gradients const& gradients, Kept kept) const {
    using Gradient = Cotangent<Result>;
    if constexpr (requires(Gradient const& gradient) { operation_.vjp(kept, gradient, gradients); }) {
      return tape.record(result, [operation = operation_, kept = std::move(kept), gradients](Gradient const& gradient) {
        operation.vjp(kept, gradient, gradients);
      });
    } else {
      using Refused [[maybe_unused]] = decltype(error::OperationWithoutVjp<Operation>{});
      return tape.watch(result);
    }
  }

  [[no_unique_address]] Operation operation_{};
};
template <class Operation>
Differentiable(Operation) -> Differentiable<Operation>;

}  // namespace gshard
