// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
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
#include <gshard/tensor/unevaluated.hpp>

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

/// `First` and `Other` are the specs, meshes or memory spaces that differ.
template <class First, class Other>
struct PointwiseLayoutsDiffer {
  static_assert(
      always_false<First>,
      "gshard: the operands of a pointwise expression have different meshes, specs or memory spaces; bring one to "
      "the other's spec first, by reshard<Spec<...>>(tensor), so that what moves is written down");
};

template <int FirstRank, int OtherRank>
struct PointwiseRanksDiffer {
  static_assert(
      always_false<std::integral_constant<int, FirstRank>>,
      "gshard: the operands of a pointwise expression have different numbers of dimensions; give the smaller one "
      "those that it lacks first, as einsum<\"a,b->ab\">(ones, bias) does");
};

template <class FirstSpec, class OtherSpec>
struct WholeMeetsPartialSum {
  static_assert(
      always_false<FirstSpec>,
      "gshard: the operands of a pointwise expression are unreduced sums over different axes, or one is whole and would be "
      "added once by each rank; reduce the sums first, or bring all to one partial(...) spec, by reshard, which fills up "
      "with zeros for free");
};

template <class Function, class Spec>
struct NonlinearOfPartialSum {
  static_assert(
      always_false<Function>,
      "gshard: the operand is an unreduced sum (partial in its spec): only sums of such tensors and multiples "
      "of them are defined on the parts; reduce it first, by reshard to a spec without partial");
};

template <class Function, class Spec>
struct FunctionSaysNotWhetherLinear {
  static_assert(
      always_false<Function>,
      "gshard: a function of an unreduced sum (partial in its spec) has no is_linear; reduce the sum first, or "
      "add `template <bool... IsNumber> static constexpr bool is_linear` to a function that is linear");
};

template <class FirstElement, class OtherElement>
struct PointwiseElementsDiffer {
  static_assert(
      always_false<FirstElement>,
      "gshard: the operands of a pointwise expression have different element types; convert one of them first, by "
      "convert<double>(tensor)");
};

template <class Function, int OperandCount>
struct FunctionDoesNotTakeOperands {
  static_assert(always_false<Function>,
                "gshard: a pointwise function has no call operator that takes one number of each operand; give it one, "
                "const and a template over the number type");
};

template <class Element, class Number>
struct FractionMeetsIntegers {
  static_assert(always_false<Element>,
                "gshard: a floating-point number meets a tensor of integers, and would be rounded to one; convert the "
                "tensor first, by convert<float>(tensor), or give an integer");
};

template <class Function, class Element>
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
class Map : public detail::UnevaluatedOperation {
 public:
  Function function;
  std::tuple<Operands...> operands;

  explicit Map(Function const& applied, Operands const&... to) : function(applied), operands(to...) {}

  /// `eval(*this)`, which has the spec of the operands.
  template <AnyTensor Result>
  operator Result() const {
    return eval(*this);
  }
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

template <class... Tensors>
struct LeadingTensor;
template <class First>
struct LeadingTensor<First> {
  using type = First;
};
template <class First, class... Rest>
struct LeadingTensor<First, Rest...> {
  using Later = typename LeadingTensor<Rest...>::type;
  using type = std::conditional_t<First::layout.partial.empty() && !Later::layout.partial.empty(), Later, First>;
};
template <class... Tensors>
struct LeadingTensor<std::tuple<std::type_identity<Tensors>...>> : LeadingTensor<Tensors...> {};

/// The type of tensor whose placement the value of an expression without deferred tensors has: the first unreduced sum,
/// or where there is none the first tensor.
template <class Operand>
using FirstTensor = typename LeadingTensor<decltype(tensor_types<Operand>())>::type;

template <class Left, class Right>
inline constexpr bool same_placement =
    std::is_same_v<typename Left::mesh_type, typename Right::mesh_type> && Left::layout == Right::layout &&
    std::is_same_v<typename Left::memory_space, typename Right::memory_space>;

/// The first type of a list that is not `First`; `First` where all are.
template <class First, class... Rest>
struct OtherType {
  using type = First;
};
template <class First, class Next, class... Rest>
struct OtherType<First, Next, Rest...> {
  using type = Next;
};
template <class First, class... Rest>
struct OtherType<First, First, Rest...> : OtherType<First, Rest...> {};

/// The mistake of a pointwise function of two tensors that are held differently, unreduced sums apart; void for none.
template <class First, class Other>
constexpr auto placement_mistake() {
  if constexpr (!std::is_same_v<typename First::mesh_type, typename Other::mesh_type>) {
    return std::type_identity<error::PointwiseLayoutsDiffer<typename First::mesh_type, typename Other::mesh_type>>{};
  } else if constexpr (!std::is_same_v<typename First::memory_space, typename Other::memory_space>) {
    return std::type_identity<
        error::PointwiseLayoutsDiffer<typename First::memory_space, typename Other::memory_space>>{};
  } else if constexpr (First::rank != Other::rank) {
    return std::type_identity<error::PointwiseRanksDiffer<First::rank, Other::rank>>{};
  } else if constexpr (First::layout.dimensions != Other::layout.dimensions) {
    return std::type_identity<error::PointwiseLayoutsDiffer<typename First::spec_type, typename Other::spec_type>>{};
  } else {
    return std::type_identity<ExtentsMistake<typename First::spec_type, typename Other::spec_type>>{};
  }
}
template <class First, class Other>
using PlacementMistake = typename decltype(placement_mistake<First, Other>())::type;

template <class First, class Operand>
struct OperandPlacementMistake {
  using type = PlacementMistake<First, FirstTensor<Operand>>;
};
template <class First, class T>
struct OperandPlacementMistake<First, Constant<T>> {
  using type = void;
};

template <class Operand>
inline constexpr bool is_partial_sum = !FirstTensor<Operand>::layout.partial.empty();
template <class T>
inline constexpr bool is_partial_sum<Constant<T>> = false;

template <class Operand, class Otherwise>
struct SpecOfOperand {
  using type = typename FirstTensor<Operand>::spec_type;
};
template <class T, class Otherwise>
struct SpecOfOperand<Constant<T>, Otherwise> {
  using type = Otherwise;
};

template <class Operand, AxisSet Axes>
inline constexpr bool is_whole_or_partial_over =
    FirstTensor<Operand>::layout.partial.empty() || FirstTensor<Operand>::layout.partial == Axes;
template <class T, AxisSet Axes>
inline constexpr bool is_whole_or_partial_over<Constant<T>, Axes> = true;

/// Whether `Function` is linear in its operands but those that are marked.
template <class Function, bool... IsFixed>
constexpr bool is_linear() {
  if constexpr (requires { Function::template is_linear<IsFixed...>; }) return Function::template is_linear<IsFixed...>;
  else return false;
}

/// The mistake of a function of unreduced sums, which may be applied to the parts where it is linear in the sums, whole
/// tensors and numbers being fixed; void for none.
template <class Function, class... Operands>
constexpr auto partial_sum_mistake() {
  using First = FirstTensor<Map<Function, Operands...>>;
  using Spec = typename First::spec_type;
  using OtherSpec = typename OtherType<Spec, typename SpecOfOperand<Operands, Spec>::type...>::type;
  if constexpr (First::layout.partial.empty()) {
    return std::type_identity<void>{};
  } else if constexpr (!(is_whole_or_partial_over<Operands, First::layout.partial> && ...)) {
    return std::type_identity<error::WholeMeetsPartialSum<Spec, OtherSpec>>{};
  } else if constexpr (is_linear<Function, !is_partial_sum<Operands>...>()) {
    return std::type_identity<void>{};
  } else if constexpr (is_linear<Function, is_constant<Operands>...>()) {
    return std::type_identity<error::WholeMeetsPartialSum<Spec, OtherSpec>>{};
  } else if constexpr (!requires { Function::template is_linear<is_constant<Operands>...>; }) {
    return std::type_identity<error::FunctionSaysNotWhetherLinear<Function, Spec>>{};
  } else {
    return std::type_identity<error::NonlinearOfPartialSum<Function, Spec>>{};
  }
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

template <class Ready>
using ValueOf = std::remove_cvref_t<decltype(kernel_of(std::declval<Ready const&>())(0))>;

/// A function whose values are fractions, which would be lost of integers.
template <class Function>
concept OfFractions = requires { requires Function::is_of_fractions; };

template <class Function, class First, class... Rest>
constexpr auto value_mistake() {
  using Other = typename OtherType<First, Rest...>::type;
  if constexpr (OfFractions<Function> && (std::is_integral_v<First> || ... || std::is_integral_v<Rest>))
    return std::type_identity<error::FunctionOfIntegers<Function, First>>{};
  else if constexpr (std::is_invocable_v<Function const&, First, Rest...>) return std::type_identity<void>{};
  else if constexpr (!std::is_same_v<First, Other>)
    return std::type_identity<error::PointwiseElementsDiffer<First, Other>>{};
  else return std::type_identity<error::FunctionDoesNotTakeOperands<Function, static_cast<int>(1 + sizeof...(Rest))>>{};
}

template <class Function, class... Operands>
struct MapMistakeOf {
  using First = FirstTensor<Map<Function, Operands...>>;
  using placement = typename FirstMistake<typename OperandPlacementMistake<First, Operands>::type...>::type;
  static constexpr auto find() {
    if constexpr (std::is_void_v<placement>)
      return std::type_identity<
          typename FirstMistake<typename decltype(partial_sum_mistake<Function, Operands...>())::type,
                                typename decltype(value_mistake<Function, ValueOf<Operands>...>())::type>::type>{};
    else return std::type_identity<placement>{};
  }
  using type = typename decltype(find())::type;
};

/// The mistake of `function` of operands of these types; void for none.
template <class Function, class... Operands>
using MapMistake = typename MapMistakeOf<Function, decltype(materialized(std::declval<Operands const&>()))...>::type;

/// The first operand that is no number: stands in for the result where the compiler has refused an expression, and
/// keeps it from saying more.
template <class First, class... Rest>
auto stand_in(First const& first, Rest const&... rest) {
  if constexpr (is_constant<First>) return stand_in(rest...);
  else return first;
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

/// An expression ready to run: without deferred tensors, its meshes and extents checked. `operation` is what it is an
/// operand of.
template <class Operand>
auto prepared(Operand const& operand, std::string_view operation = "pointwise function") {
  auto ready = materialized(operand);
  std::optional<detail::Operand> first;
  int position = 0;
  for_each_tensor(ready, [&](auto const& tensor) {
    detail::Operand const next(role_of_operand(position++), tensor);
    if (!first) first = next;
    require_same_shape(operation, {*first, next});
  });
  return ready;
}

template <class Function, class Otherwise>
struct NamedStoredType {
  using type = Otherwise;
};
template <class Function, class Otherwise>
  requires requires { typename Function::stored_type; }
struct NamedStoredType<Function, Otherwise> {
  using type = typename Function::stored_type;
};

/// The mistake of assigning the value of an expression, held as `First`, to a tensor; void for none.
template <class Result, class First>
using AssignMistake = typename FirstMistake<
    PlacementMistake<Result, First>,
    std::conditional_t<Result::layout.partial == First::layout.partial, void,
                       error::WholeMeetsPartialSum<typename Result::spec_type, typename First::spec_type>>>::type;

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
  using Mistake = detail::AssignMistake<Result, detail::FirstTensor<std::remove_const_t<decltype(ready)>>>;
  if constexpr (std::is_void_v<Mistake>) {
    detail::require_same_shape("assign", {{"result", result}, {"operand 0", detail::first_tensor(ready)}});
    detail::run_into(result, ready);
  } else {
    using Refused [[maybe_unused]] = decltype(Mistake{});
  }
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
