// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/core/error.hpp>
#include <gshard/expr/kernels.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/record_kernel.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

template <class Function, class... Operands>
class Map;

/// A number among the operands of a pointwise expression.
template <class T>
struct Constant {
  T value;
};

/// Something that computes a tensor when asked, such as an einsum whose result spec is still open.
template <class Type>
concept Deferred = requires { requires std::remove_cvref_t<Type>::is_deferred; };

namespace detail {

template <class Type>
inline constexpr bool is_map = false;
template <class Function, class... Operands>
inline constexpr bool is_map<Map<Function, Operands...>> = true;

template <class Type>
inline constexpr bool is_constant = false;
template <class T>
inline constexpr bool is_constant<Constant<T>> = true;

}  // namespace detail

/// What pointwise functions take: a tensor, a deferred tensor, or another pointwise expression.
template <class Type>
concept Expression = AnyTensor<Type> || Deferred<Type> || detail::is_map<std::remove_cvref_t<Type>>;

namespace error {

template <class First, class Other>
struct PointwiseLayoutsDiffer {
  static_assert(
      always_false<First>,
      "gshard: the operands of a pointwise expression have different meshes, specs or memory spaces; bring one to the other's spec "
      "first, by reshard<Spec<...>>(tensor), so that what moves is written down");
};

template <class First, class Other>
struct WholeMeetsPartialSum {
  static_assert(
      always_false<First>,
      "gshard: the operands of a pointwise expression are unreduced sums over different axes, or one is whole and would be added once by each "
      "rank; reduce the sums first, or bring all to one partial(...) spec, by reshard, which fills up with zeros for free");
};

template <class Function, class Tensor>
struct NonlinearOfPartialSum {
  static_assert(
      always_false<Function>,
      "gshard: the operand is an unreduced sum (partial in its spec): only sums of such tensors and multiples by a number are defined on "
      "the parts; reduce it first, by reshard to a spec without partial");
};

template <class Function, class Expression>
struct FunctionOfIntegers {
  static_assert(
      always_false<Function>,
      "gshard: exp, log, tanh, sigmoid and sqrt are of floating point; convert the integers first, as in exp(convert<float>(x))");
};

}  // namespace error

/// The tensor itself.
template <AnyTensor Tensor>
Tensor const& eval(Tensor const& tensor) {
  return tensor;
}

/// The deferred tensor with the spec that its plan propagates.
template <Deferred Operation>
auto eval(Operation const& operation) {
  return operation.eval();
}

/// `function` applied element by element to tensors of one layout and to numbers. Nothing is computed before `eval`,
/// which runs a whole tree of maps as one kernel, over the deferred tensors in it; made by the functions and operators
/// of expr/functions.hpp.
template <class Function, class... Operands>
class Map {
 public:
  Function function;
  std::tuple<Operands...> operands;

  explicit Map(Function const& applied, Operands const&... to) : function(applied), operands(to...) {}
};

namespace detail {

template <class Operand>
auto materialized(Operand const& operand) {
  if constexpr (Deferred<Operand>) {
    return eval(operand);
  } else if constexpr (is_map<Operand>) {
    return std::apply([&](auto const&... parts) { return Map(operand.function, materialized(parts)...); },
                      operand.operands);
  } else {
    return operand;
  }
}

/// Calls `visit` with every tensor of an expression without deferred tensors.
template <class Operand, class Visit>
void for_each_tensor(Operand const& operand, Visit const& visit) {
  if constexpr (AnyTensor<Operand>) visit(operand);
  else if constexpr (is_map<Operand>)
    std::apply([&](auto const&... parts) { (for_each_tensor(parts, visit), ...); }, operand.operands);
}

template <class Operand>
constexpr auto tensor_types() {
  if constexpr (AnyTensor<Operand>) return std::tuple<std::type_identity<Operand>>{};
  else return std::tuple<>{};
}
template <class Operand>
  requires is_map<Operand>
constexpr auto tensor_types() {
  return []<class F, class... Parts>(std::type_identity<Map<F, Parts...>>) {
    return std::tuple_cat(tensor_types<Parts>()...);
  }(std::type_identity<Operand>{});
}

/// The first tensor type of an expression without deferred tensors.
template <class Operand>
using FirstTensor = typename std::tuple_element_t<0, decltype(tensor_types<Operand>())>::type;

template <class Left, class Right>
inline constexpr bool same_placement =
    std::is_same_v<typename Left::mesh_type, typename Right::mesh_type> && Left::layout == Right::layout &&
    std::is_same_v<typename Left::memory_space, typename Right::memory_space>;

template <class Left, class Right>
inline constexpr bool differ_in_partial_alone =
    std::is_same_v<typename Left::mesh_type, typename Right::mesh_type> &&
    Left::layout.dimensions == Right::layout.dimensions && Left::layout.partial != Right::layout.partial;

template <class First, class... Types>
consteval bool check_placements(std::tuple<Types...>) {
  auto check = []<class Other>(std::type_identity<Other>) {
    if constexpr (differ_in_partial_alone<First, Other>) (void)sizeof(error::WholeMeetsPartialSum<First, Other>);
    else if constexpr (!same_placement<First, Other>) (void)sizeof(error::PointwiseLayoutsDiffer<First, Other>);
    else return check_extents<typename First::spec_type, typename Other::spec_type>();
    return same_placement<First, Other>;
  };
  return (check(Types{}) && ...);
}

/// Whether an expression is a linear combination of its tensors, so that it may be applied to the parts of an unreduced
/// sum.
template <class Operand>
inline constexpr bool is_linear = true;
template <class Function, class... Operands>
inline constexpr bool is_linear<Map<Function, Operands...>> =
    Function::template is_linear<is_constant<Operands>...> && (is_linear<Operands> && ...);

/// Whether an expression's values are integers.
template <class Operand>
inline constexpr bool has_integers = false;
template <AnyTensor Tensor>
inline constexpr bool has_integers<Tensor> = std::is_integral_v<typename Tensor::value_type>;
template <class Function, class... Operands>
inline constexpr bool has_integers<Map<Function, Operands...>> = (has_integers<Operands> || ...);
template <class Function, class... Operands>
  requires requires { typename Function::stored_type; }
inline constexpr bool has_integers<Map<Function, Operands...>> = std::is_integral_v<typename Function::stored_type>;

template <class Function>
concept OfFractions = requires { requires Function::is_of_fractions; };

/// Refuses functions whose values are fractions where their operands are integers: the fractions would be lost.
template <class Operand>
consteval void refuse_lost_fractions(std::type_identity<Operand>) {}
template <class Function, class... Operands>
consteval void refuse_lost_fractions(std::type_identity<Map<Function, Operands...>>) {
  if constexpr (OfFractions<Function> && (has_integers<Operands> || ...))
    (void)sizeof(error::FunctionOfIntegers<Function, Map<Function, Operands...>>);
  (refuse_lost_fractions(std::type_identity<Operands>{}), ...);
}

template <class Expression>
consteval bool check_expression() {
  using First = FirstTensor<Expression>;
  refuse_lost_fractions(std::type_identity<Expression>{});
  bool const placed = check_placements<First>(tensor_types<Expression>());
  if constexpr (!First::layout.partial.empty() && !is_linear<Expression>)
    (void)sizeof(error::NonlinearOfPartialSum<Expression, First>);
  return placed;
}

template <class Operand>
auto kernel_of(Operand const& operand) {
  if constexpr (AnyTensor<Operand>) {
    return LeafKernel<typename Operand::value_type>{operand.data()};
  } else if constexpr (is_constant<Operand>) {
    return ConstantKernel<decltype(operand.value)>{operand.value};
  } else {
    return std::apply(
        [&](auto const&... parts) {
          auto const pack = kernel_pack(kernel_of(parts)...);
          return ApplyKernel<decltype(operand.function), std::remove_const_t<decltype(pack)>>{operand.function, pack};
        },
        operand.operands);
  }
}

template <class Expression>
auto const& first_tensor(Expression const& expression) {
  if constexpr (AnyTensor<Expression>) {
    return expression;
  } else {
    FirstTensor<Expression> const* first = nullptr;
    for_each_tensor(expression, [&](auto const& tensor) {
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(tensor)>, FirstTensor<Expression>>)
        if (first == nullptr) first = &tensor;
    });
    return *first;
  }
}

/// An expression ready to run: without deferred tensors, checked. `operation` is what it is an operand of.
template <class Operand>
auto prepared(Operand const& operand, std::string_view operation = "pointwise function") {
  auto ready = materialized(operand);
  static_assert(check_expression<decltype(ready)>());
  detail::Operand const first(role_of_operand(0), first_tensor(ready));
  int position = 0;
  for_each_tensor(ready, [&](auto const& tensor) {
    require_same_shape(operation, {first, {role_of_operand(position++), tensor}});
  });
  return ready;
}

template <class Ready>
using ValueOf = std::remove_cvref_t<decltype(kernel_of(std::declval<Ready const&>())(0))>;

template <class Function, class Otherwise>
struct NamedStoredType {
  using type = Otherwise;
};
template <class Function, class Otherwise>
  requires requires { typename Function::stored_type; }
struct NamedStoredType<Function, Otherwise> {
  using type = typename Function::stored_type;
};

/// The element type of an expression's value: what its function gives, or names as `stored_type`; but BFloat16 where a
/// float comes from BFloat16 alone.
template <class Part>
struct StoredType {
  using type = typename Part::value_type;
};
template <class T>
struct StoredType<Constant<T>> {
  using type = BFloat16;
};
template <class Function, class... Parts>
struct StoredType<Map<Function, Parts...>> {
  using Value = ValueOf<Map<Function, Parts...>>;
  static constexpr bool comes_from_bfloat16 =
      std::is_same_v<Value, float> && (std::is_same_v<typename StoredType<Parts>::type, BFloat16> && ...);
  using type = typename NamedStoredType<Function, std::conditional_t<comes_from_bfloat16, BFloat16, Value>>::type;
};

/// What one pass over an expression reads.
template <class Ready>
std::int64_t bytes_read(Ready const& ready) {
  std::int64_t bytes = 0;
  for_each_tensor(ready, [&](auto const& tensor) { bytes += block_bytes(tensor); });
  return bytes;
}

template <AnyTensor Result, class Ready>
void run_into(Result const& result, Ready const& ready) {
  auto const kernel = kernel_of(ready);
  result.mesh().memory().ledger().add_work("map", 0, block_bytes(result) + bytes_read(ready));
  launch<typename Result::memory_space>(
      "gshard::map", result.local_size(),
      AssignKernel<typename Result::value_type, std::remove_const_t<decltype(kernel)>>{result.data(), kernel});
}

}  // namespace detail

/// Runs a pointwise expression as one kernel. The memory of a deferred tensor in it is reused for the result where its
/// type allows. Throws StateError where a tensor is unset, MeshError and ExtentError where the tensors do not belong
/// together. No communication but that of the deferred tensors.
template <class Function, class... Operands>
auto eval(Map<Function, Operands...> const& expression) {
  auto const ready = detail::prepared(expression);
  using First = detail::FirstTensor<std::remove_const_t<decltype(ready)>>;
  using Value = typename detail::StoredType<std::remove_const_t<decltype(ready)>>::type;
  using Result =
      ShardedTensor<typename First::mesh_type, typename First::spec_type, Value, typename First::memory_space>;
  auto const& first = detail::first_tensor(ready);
  Result result;
  detail::for_each_tensor(ready, [&](auto const& tensor) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(tensor)>, Result>)
      if (!result.is_set() && tensor.is_sole_owner()) result = tensor;
  });
  if (!result.is_set()) result = Result(uninitialized, first.mesh(), first.extents());
  detail::run_into(result, ready);
  return result;
}

/// Computes an expression into a tensor that exists, of the same layout and extents: no memory is allocated for the
/// result.
template <AnyTensor Result, Expression Operand>
void assign(Result const& result, Operand const& expression) {
  auto const ready = detail::prepared(expression);
  static_assert(detail::check_placements<Result>(detail::tensor_types<std::remove_const_t<decltype(ready)>>()));
  detail::require_same_shape("assign", {{"result", result}, {"operand 0", detail::first_tensor(ready)}});
  detail::run_into(result, ready);
}

/// A tensor of its own with the same elements.
template <AnyTensor Tensor>
Tensor copy(Tensor const& tensor) {
  detail::require_set("copy", {{"tensor", tensor}});
  Tensor result(uninitialized, tensor.mesh(), tensor.extents(), tensor.name());
  detail::record_kernel("copy", result, tensor);
  detail::copy_elements<typename Tensor::memory_space>(result.data(), tensor.data(), tensor.local_size());
  return result;
}

}  // namespace gshard
