// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/einsum/fixed_extents.hpp>
#include <gshard/einsum/plan.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

/// Compile-time errors of einsums. Mistakes that depend on run-time values throw before anything is sent.
namespace gshard::error {

/// Reports an einsum of `Given` operands whose subscripts name `Wanted`.
template <class Subscripts, int Given, int Wanted>
struct EinsumOperandCount {
  static_assert(
      always_false<Subscripts>,
      "gshard: einsum is called with another number of operands than its subscripts name; separate the operands by a comma in the text");
};

/// Reports an operand with `Dimensions` dimensions but `Letters` letters.
template <class Subscripts, int Operand, int Letters, int Dimensions>
struct EinsumOperandRank {
  static_assert(
      always_false<Subscripts>,
      "gshard: an einsum operand has another number of dimensions than letters; write one letter for each dimension of the tensor");
};

/// Reports a declared result with `Dimensions` dimensions but `Letters` letters.
template <class Subscripts, int Letters, int Dimensions>
struct EinsumResultRank {
  static_assert(
      always_false<Subscripts>,
      "gshard: the declared einsum result has another number of dimensions than the letters behind the arrow; declare one spec entry "
      "for each letter");
};

/// Reports an einsum for which no order of contraction keeps its intermediate products within max_rank dimensions.
template <class Subscripts>
struct EinsumProductTooLarge {
  static_assert(
      always_false<Subscripts>,
      "gshard: in every order of contraction of this einsum the product of two operands has more than 8 dimensions; contract some of the "
      "operands by einsums of their own first, or merge dimensions that go together");
};

/// Reports tensors on meshes of two types.
template <class First, class Other>
struct EinsumMeshesDiffer {
  static_assert(always_false<First>,
                "gshard: the tensors of an einsum live on meshes of different types; put them on one mesh");
};

/// Reports a letter for which two types fix different extents.
template <class Subscripts, class Letter, std::int64_t Known, std::int64_t Other>
struct EinsumExtentsDiffer {
  static_assert(
      always_false<Subscripts>,
      "gshard: the types of two tensors of an einsum fix different extents for one letter; give both specs the same extent(...), or leave one to "
      "run time by `_`");
};

/// Reports tensors with two element types, or in two memory spaces.
template <class First, class Other>
struct EinsumElementsDiffer {
  static_assert(
      always_false<First>,
      "gshard: the tensors of an einsum have different element types or memory spaces; convert one of them first");
};

/// Reports an unmarked operand that would have to be communicated along `AxisName`, to be split on `LetterNeeded`.
template <class Subscripts, int Operand, class LetterNeeded, class AxisName>
struct EinsumOperandMustMove {
  static_assert(
      always_false<Subscripts>,
      "gshard: this einsum needs an operand (0 is the first) on another letter of the named axis than its spec has, and operands do not "
      "move unseen; declare the result so that the axis stays where it is, reshard the operand before, or allow it by movable(operand), gathered(operand) or in_ring(operand)");
};

/// Reports an unmarked operand that lists the axes of a letter in another order than the other operand.
template <class Subscripts, int Operand, class AxisName>
struct EinsumOperandMustReorder {
  static_assert(
      always_false<Subscripts>,
      "gshard: two operands of this einsum list the axes of one letter in different orders, so their blocks do not meet, and operands do "
      "not move unseen; use one order in both specs, reshard one before, or allow it by movable(operand)");
};

/// Reports an unmarked operand that is an unreduced sum over `AxisName`, which the other operand uses too.
template <class Subscripts, int Operand, class AxisName>
struct EinsumOperandMustReduce {
  static_assert(
      always_false<Subscripts>,
      "gshard: an einsum operand (0 is the first) is an unreduced sum over the named axis, which the other operand uses too; reduce it first, "
      "by reshard to a spec without partial, or allow it by movable(operand)");
};

/// Reports an operand that is marked gathered or in_ring, but does not have to be communicated.
template <class Subscripts, int Operand>
struct EinsumOperandStays {
  static_assert(
      always_false<Subscripts>,
      "gshard: an einsum operand (0 is the first) is marked gathered or in_ring, but its spec meets the other operand's as it is, and "
      "nothing of it moves; remove the mark");
};

/// Reports a tensor (2 is the result) that is marked in_ring, but whose movement has no ring form.
template <class Subscripts, int Operand>
struct EinsumWithoutRing {
  static_assert(
      always_false<Subscripts>,
      "gshard: a tensor of this einsum (0 is the first operand, 2 the result) is marked in_ring, but is not to be gathered along one "
      "dimension, or is no result whose sum is scattered to one dimension, so it has no windows to go round; mark an operand gathered or "
      "movable, leave a result without a mark");
};

/// Reports an einsum marked in_ring whose result is not declared.
template <class Operand>
struct RingResultUndeclared {
  static_assert(
      always_false<Operand>,
      "gshard: an einsum whose result is marked in_ring is reduce-scattered to a declared spec; assign it to a tensor type, or "
      "write shard<Spec<...>>(in_ring(einsum<...>(...)))");
};

}  // namespace gshard::error

namespace gshard::detail {

/// Returns the error class if types fix different extents for one letter; void if none. `Result` is void if not
/// declared.
template <FixedString Text, class Result, class... Tensors>
constexpr auto fixed_extents_mistake() {
  constexpr FixedExtents fixed = [] {
    FixedExtents all = extents_fixed_by<Text, Tensors...>();
    if constexpr (!std::is_void_v<Result>) all.add(subscripts_for<Text, Tensors...>.result, Result::static_extents);
    return all;
  }();
  if constexpr (fixed.contradicted == '\0') return std::type_identity<void>{};
  else
    return std::type_identity<
        error::EinsumExtentsDiffer<TextLetters<Text>, error::Letter<fixed.contradicted>, fixed.known, fixed.other>>{};
}

/// Returns the error class if two tensors differ in mesh, element type or memory space; void if none.
template <class First, class Other>
constexpr auto einsum_tensor_mistake() {
  if constexpr (!std::is_same_v<typename Other::mesh_type, typename First::mesh_type>)
    return std::type_identity<error::EinsumMeshesDiffer<typename First::mesh_type, typename Other::mesh_type>>{};
  else if constexpr (!std::is_same_v<typename Other::value_type, typename First::value_type>)
    return std::type_identity<error::EinsumElementsDiffer<typename First::value_type, typename Other::value_type>>{};
  else if constexpr (!std::is_same_v<typename Other::memory_space, typename First::memory_space>)
    return std::type_identity<
        error::EinsumElementsDiffer<typename First::memory_space, typename Other::memory_space>>{};
  else return std::type_identity<void>{};
}

/// Returns the error class for one operand; void if none.
template <FixedString Text, int Operand, int Letters, class First, class Tensor>
constexpr auto einsum_operand_mistake() {
  if constexpr (Letters != Tensor::rank)
    return std::type_identity<error::EinsumOperandRank<TextLetters<Text>, Operand, Letters, Tensor::rank>>{};
  else return einsum_tensor_mistake<First, Tensor>();
}

/// Returns the first error class for the operands; void if none.
template <FixedString Text, class First, class... Rest, std::size_t... Position>
constexpr auto einsum_operands_mistake(std::index_sequence<0, Position...>) {
  constexpr Subscripts subscripts = subscripts_for<Text, First, Rest...>;
  return std::type_identity<typename FirstMistake<
      typename decltype(einsum_operand_mistake<Text, 0, subscripts.operands[0].size(), First, First>())::type,
      typename decltype(einsum_operand_mistake<Text, static_cast<int>(Position),
                                               subscripts.operands[static_cast<int>(Position)].size(), First,
                                               Rest>())::type...>::type>{};
}

/// Returns the first error class for the types of an einsum; void if none. `Result` is void if not declared.
template <FixedString Text, class Result, class... Tensors>
constexpr auto einsum_types_mistake() {
  using First = std::tuple_element_t<0, std::tuple<Tensors...>>;
  constexpr Subscripts subscripts = subscripts_for<Text, Tensors...>;
  if constexpr (parse_subscripts(Text.view()).fault.kind != SubscriptsFault::none) {
    return subscripts_mistake<Text>();
  } else if constexpr (subscripts.operands.size() != static_cast<int>(sizeof...(Tensors))) {
    return std::type_identity<error::EinsumOperandCount<TextLetters<Text>, static_cast<int>(sizeof...(Tensors)),
                                                        subscripts.operands.size()>>{};
  } else if constexpr (parse_subscripts(Text.view(), OperandRanks{Tensors::rank...}).fault.kind !=
                       SubscriptsFault::none) {
    return subscripts_mistake<Text, Tensors::rank...>();
  } else {
    using OfOperands = decltype(einsum_operands_mistake<Text, Tensors...>(std::index_sequence_for<Tensors...>{}));
    if constexpr (!std::is_void_v<typename OfOperands::type>) {
      return OfOperands{};
    } else if constexpr (std::is_void_v<Result>) {
      return fixed_extents_mistake<Text, Result, Tensors...>();
    } else if constexpr (subscripts.result.size() != Result::rank) {
      return std::type_identity<error::EinsumResultRank<TextLetters<Text>, subscripts.result.size(), Result::rank>>{};
    } else if constexpr (!std::is_void_v<typename decltype(einsum_tensor_mistake<First, Result>())::type>) {
      return einsum_tensor_mistake<First, Result>();
    } else {
      return fixed_extents_mistake<Text, Result, Tensors...>();
    }
  }
}
template <FixedString Text, class Result, class... Tensors>
using EinsumTypesMistake = typename decltype(einsum_types_mistake<Text, Result, Tensors...>())::type;

/// Returns the error class for the fault of a plan; void if none.
template <FixedString Text, PlanFault fault, class Mesh>
constexpr auto plan_mistake() {
  using Name = TextLetters<Text>;
  if constexpr (fault.kind == PlanFault::none) {
    return std::type_identity<void>{};
  } else {
    using AxisName = NameOf<AxisNames{Mesh::name(fault.axis), false}>;
    if constexpr (fault.kind == PlanFault::operand_must_move)
      return std::type_identity<
          error::EinsumOperandMustMove<Name, fault.operand, error::Letter<fault.letter>, AxisName>>{};
    else if constexpr (fault.kind == PlanFault::operand_must_reorder)
      return std::type_identity<error::EinsumOperandMustReorder<Name, fault.operand, AxisName>>{};
    else if constexpr (fault.kind == PlanFault::operand_must_reduce)
      return std::type_identity<error::EinsumOperandMustReduce<Name, fault.operand, AxisName>>{};
    else if constexpr (fault.kind == PlanFault::operand_stays)
      return std::type_identity<error::EinsumOperandStays<Name, fault.operand>>{};
    else return std::type_identity<error::EinsumWithoutRing<Name, fault.operand>>{};
  }
}
template <FixedString Text, PlanFault fault, class Mesh>
using PlanMistake = typename decltype(plan_mistake<Text, fault, Mesh>())::type;

}  // namespace gshard::detail
