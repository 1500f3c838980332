// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <gshard/core/compile_error.hpp>
#include <gshard/expr/map.hpp>
#include <gshard/tensor/mistakes.hpp>

// The mistakes in pointwise expressions that types show, and what the compiler says of them.

namespace gshard {

namespace error {

/// `First` and `Other` are the specs, meshes or memory spaces that differ.
template <class First, class Other>
struct PointwiseLayoutsDiffer {
  static_assert(
      always_false<First>,
      "gshard: the operands of a pointwise expression have different meshes, specs or memory spaces; bring one to "
      "the other's spec first, by reshard<Spec<...>>(tensor), so that what moves is written down");
};

template <class ResultSpec, class OperandSpec>
struct BroadcastOperandSplitOtherwise {
  static_assert(
      always_false<ResultSpec>,
      "gshard: a tensor that is broadcast in a pointwise expression is neither whole nor split as the result along a dimension that "
      "both have; bring it to the spec of the last dimensions of the result, or make it whole, by reshard<Spec<...>>(tensor)");
};

template <class ResultSpec, class OperandSpec>
struct NoOperandHasAllDimensions {
  static_assert(
      always_false<ResultSpec>,
      "gshard: each tensor of a pointwise expression is broadcast along some dimension, so that none has the placement of the result; "
      "compute the product of their dimensions first, as einsum<\"ab,bc->ac\">(x, y) does");
};

template <class ResultSpec, class ExpressionSpec>
struct AssignedHasMoreDimensions {
  static_assert(
      always_false<ResultSpec>,
      "gshard: a pointwise expression has dimensions that the tensor it is assigned or added to lacks; reduce it first, as "
      "sum<0>(x) does, or assign it to a tensor of its own spec");
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
      "cast<double>(tensor)");
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
                "tensor first, by cast<float>(tensor), or give an integer");
};

template <class Function, class Element>
struct FunctionOfIntegers {
  static_assert(
      always_false<Function>,
      "gshard: a function whose values are fractions, such as exp, takes floating point; convert the integers first, as in exp(cast<float>(x))");
};

}  // namespace error

namespace detail {

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

/// Whether a tensor that is broadcast in an expression placed as `Leading` is whole or split as the result along each
/// dimension that both have.
template <AnyTensor Leading, AnyTensor Tensor>
constexpr bool is_split_as_result() {
  for (int d = 0; d < Tensor::rank; ++d) {
    int const of_result = d + Leading::rank - Tensor::rank;
    if (Tensor::layout.dimensions[d].empty()) continue;
    if (Tensor::static_extents[d] == 1 && Leading::static_extents[of_result] != 1) return false;
    if (Tensor::layout.dimensions[d] != Leading::layout.dimensions[of_result]) return false;
  }
  return true;
}

/// Whether `Leading` has each dimension of a tensor that is broadcast beside it.
template <AnyTensor Leading, AnyTensor Tensor>
constexpr bool has_all_dimensions_of() {
  for (int d = 0; d < Tensor::rank; ++d)
    if (Tensor::static_extents[d] != 1 && Leading::static_extents[d + Leading::rank - Tensor::rank] == 1) return false;
  return true;
}

/// The first dimension of a tensor whose extent its type fixes, and that of `Leading` fixes otherwise; -1 for none.
template <AnyTensor Leading, AnyTensor Tensor>
constexpr int contradicting_dimension() {
  for (int d = 0; d < Tensor::rank; ++d) {
    std::int64_t const own = Tensor::static_extents[d];
    std::int64_t const wanted = Leading::static_extents[d + Leading::rank - Tensor::rank];
    if (own != 1 && own != wanted && own != dynamic_extent && wanted != dynamic_extent) return d;
  }
  return -1;
}

/// The mistake of a tensor that is broadcast in an expression placed as `Leading`; void for none.
template <AnyTensor Leading, AnyTensor Tensor>
constexpr auto broadcast_mistake() {
  using ResultSpec = typename Leading::spec_type;
  using Spec = typename Tensor::spec_type;
  if constexpr (!has_all_dimensions_of<Leading, Tensor>())
    return std::type_identity<error::NoOperandHasAllDimensions<ResultSpec, Spec>>{};
  else if constexpr (!is_split_as_result<Leading, Tensor>())
    return std::type_identity<error::BroadcastOperandSplitOtherwise<ResultSpec, Spec>>{};
  else if constexpr (!Tensor::layout.partial.empty() && Tensor::layout.partial != Leading::layout.partial)
    return std::type_identity<error::WholeMeetsPartialSum<ResultSpec, Spec>>{};
  else if constexpr (constexpr int d = contradicting_dimension<Leading, Tensor>(); d >= 0)
    return std::type_identity<error::TensorExtentsContradict<
        d, Tensor::static_extents[d], Leading::static_extents[d + Leading::rank - Tensor::rank]>>{};
  else return std::type_identity<void>{};
}

/// The mistake of a pointwise function of two tensors that are held differently, unreduced sums apart; void for none.
template <class First, class Other>
constexpr auto placement_mistake() {
  if constexpr (!std::is_same_v<typename First::mesh_type, typename Other::mesh_type>) {
    return std::type_identity<error::PointwiseLayoutsDiffer<typename First::mesh_type, typename Other::mesh_type>>{};
  } else if constexpr (!std::is_same_v<typename First::memory_space, typename Other::memory_space>) {
    return std::type_identity<
        error::PointwiseLayoutsDiffer<typename First::memory_space, typename Other::memory_space>>{};
  } else if constexpr (is_broadcast<First, Other>()) {
    return broadcast_mistake<First, Other>();
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

/// A function whose values of integers are rounded, and so not linear in them.
template <class Function>
concept RoundsIntegers = requires { requires Function::rounds_integers; };

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
  } else if constexpr (RoundsIntegers<Function> && (std::is_integral_v<ValueOf<Operands>> && ...)) {
    return std::type_identity<error::NonlinearOfPartialSum<Function, Spec>>{};
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

/// The mistake of assigning the value of an expression, held as `First`, to a tensor; void for none.
template <class Result, class First>
constexpr auto assign_mistake() {
  if constexpr (later_leads<Result, First>() && is_broadcast<First, Result>())
    return std::type_identity<
        error::AssignedHasMoreDimensions<typename Result::spec_type, typename First::spec_type>>{};
  else if constexpr (!std::is_void_v<PlacementMistake<Result, First>>)
    return std::type_identity<PlacementMistake<Result, First>>{};
  else
    return std::type_identity<
        std::conditional_t<Result::layout.partial == First::layout.partial, void,
                           error::WholeMeetsPartialSum<typename Result::spec_type, typename First::spec_type>>>{};
}
template <class Result, class First>
using AssignMistake = typename decltype(assign_mistake<Result, First>())::type;

/// The first operand that is no number: stands in for the result where the compiler has refused an expression, and
/// keeps it from saying more.
template <class First, class... Rest>
auto stand_in(First const& first, Rest const&... rest) {
  if constexpr (is_constant<First>) return stand_in(rest...);
  else return first;
}

}  // namespace detail
}  // namespace gshard
