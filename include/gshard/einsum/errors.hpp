// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include <gshard/core/error.hpp>
#include <gshard/einsum/fixed_extents.hpp>
#include <gshard/einsum/plan.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

/// What can be wrong with an einsum: found by the compiler where types tell, and else before anything is sent.
namespace gshard::error {

template <class Subscripts, int Given, int Wanted>
struct EinsumOperandCount {
  static_assert(
      always_false<Subscripts>,
      "gshard: einsum is called with another number of operands than its subscripts name; separate the operands by a comma in the text");
};

template <class Subscripts, int Operand, int Letters, int Dimensions>
struct EinsumOperandRank {
  static_assert(
      always_false<Subscripts>,
      "gshard: an einsum operand has another number of dimensions than letters; write one letter for each dimension of the tensor");
};

template <class Subscripts, int Letters, int Dimensions>
struct EinsumResultRank {
  static_assert(
      always_false<Subscripts>,
      "gshard: the declared einsum result has another number of dimensions than the letters behind the arrow; declare one spec entry "
      "for each letter");
};

template <class Subscripts>
struct EinsumProductTooLarge {
  static_assert(
      always_false<Subscripts>,
      "gshard: in every order of contraction of this einsum the product of two operands has more than 8 dimensions; contract some of the "
      "operands by einsums of their own first, or merge dimensions that go together");
};

template <class First, class Other>
struct EinsumMeshesDiffer {
  static_assert(always_false<First>,
                "gshard: the tensors of an einsum live on meshes of different types; put them on one mesh");
};

template <class Subscripts, class Letter, std::int64_t Known, std::int64_t Other>
struct EinsumExtentsDiffer {
  static_assert(
      always_false<Subscripts>,
      "gshard: the types of two tensors of an einsum fix different extents for one letter; give both specs the same extent(...), or leave one to "
      "run time by `_`");
};

template <class First, class Other>
struct EinsumElementsDiffer {
  static_assert(
      always_false<First>,
      "gshard: the tensors of an einsum have different element types or memory spaces; convert one of them first");
};

template <class Subscripts, int Operand, class LetterNeeded, class AxisName>
struct EinsumOperandMustMove {
  static_assert(
      always_false<Subscripts>,
      "gshard: this einsum needs an operand (0 is the first) on another letter of the named axis than its spec has, and operands do not "
      "move unseen; declare the result so that the axis stays where it is, reshard the operand before, or allow it by movable(operand), gathered(operand) or circulating(operand)");
};

template <class Subscripts, int Operand, class AxisName>
struct EinsumOperandMustReorder {
  static_assert(
      always_false<Subscripts>,
      "gshard: two operands of this einsum list the axes of one letter in different orders, so their blocks do not meet, and operands do "
      "not move unseen; use one order in both specs, reshard one before, or allow it by movable(operand)");
};

template <class Subscripts, int Operand, class AxisName>
struct EinsumOperandMustReduce {
  static_assert(
      always_false<Subscripts>,
      "gshard: an einsum operand (0 is the first) is an unreduced sum over the named axis, which the other operand uses too; reduce it first, "
      "by reshard to a spec without partial, or allow it by movable(operand)");
};

template <class Subscripts, int Operand>
struct EinsumOperandStays {
  static_assert(
      always_false<Subscripts>,
      "gshard: an einsum operand (0 is the first) is marked gathered or circulating, but its spec meets the other operand's as it is, and "
      "nothing of it moves; remove the mark");
};

template <class Subscripts, int Operand>
struct EinsumWithoutRing {
  static_assert(
      always_false<Subscripts>,
      "gshard: a tensor of this einsum (0 is the first operand, 2 the result) is marked circulating, but is not to be gathered along one "
      "dimension, or is no result whose sum is scattered to one dimension, so it has no windows to go round; mark an operand gathered or "
      "movable, leave a result without a mark");
};

}  // namespace gshard::error

namespace gshard::detail {

/// Says so where the types fix different extents for one letter; `Result` is void where it is not declared.
template <FixedString Text, class Result, class... Tensors>
consteval bool check_fixed_extents() {
  constexpr FixedExtents fixed = [] {
    FixedExtents all = extents_fixed_by<Text, Tensors...>();
    if constexpr (!std::is_void_v<Result>) all.add(subscripts_for<Text, Tensors...>.result, Result::static_extents);
    return all;
  }();
  if constexpr (fixed.contradicted != '\0')
    (void)sizeof(
        error::EinsumExtentsDiffer<TextLetters<Text>, error::Letter<fixed.contradicted>, fixed.known, fixed.other>);
  return fixed.contradicted == '\0';
}

template <FixedString Text, class... Tensors>
consteval bool check_operands() {
  using Name = TextLetters<Text>;
  using First = std::tuple_element_t<0, std::tuple<Tensors...>>;
  constexpr Subscripts subscripts = subscripts_for<Text, Tensors...>;
  if constexpr (parse_subscripts(Text.view()).fault.kind != SubscriptsFault::none) {
    return false;
  } else if constexpr (subscripts.operands.size() != static_cast<int>(sizeof...(Tensors))) {
    (void)sizeof(error::EinsumOperandCount<Name, static_cast<int>(sizeof...(Tensors)), subscripts.operands.size()>);
    return false;
  } else if constexpr (parse_subscripts(Text.view(), OperandRanks{Tensors::rank...}).fault.kind !=
                       SubscriptsFault::none) {
    return false;
  } else {
    return [&]<std::size_t... Positions>(std::index_sequence<Positions...>) {
      auto check = []<int Operand, class Tensor>(std::integral_constant<int, Operand>, std::type_identity<Tensor>) {
        constexpr int letters = subscripts_for<Text, Tensors...>.operands[Operand].size();
        if constexpr (letters != Tensor::rank)
          (void)sizeof(error::EinsumOperandRank<Name, Operand, letters, Tensor::rank>);
        constexpr bool same_mesh = std::is_same_v<typename Tensor::mesh_type, typename First::mesh_type>;
        if constexpr (!same_mesh)
          (void)sizeof(error::EinsumMeshesDiffer<typename First::mesh_type, typename Tensor::mesh_type>);
        constexpr bool same_elements = std::is_same_v<typename Tensor::value_type, typename First::value_type> &&
                                       std::is_same_v<typename Tensor::memory_space, typename First::memory_space>;
        if constexpr (!same_elements) (void)sizeof(error::EinsumElementsDiffer<First, Tensor>);
        return letters == Tensor::rank && same_mesh && same_elements;
      };
      return (check(std::integral_constant<int, static_cast<int>(Positions)>{}, std::type_identity<Tensors>{}) &&
              ...) &&
             check_fixed_extents<Text, void, Tensors...>();
    }(std::index_sequence_for<Tensors...>{});
  }
}

template <FixedString Text, class Result, class First, class... Rest>
consteval bool check_result() {
  constexpr int letters = subscripts_for<Text, First, Rest...>.result.size();
  if constexpr (letters != Result::rank)
    (void)sizeof(error::EinsumResultRank<TextLetters<Text>, letters, Result::rank>);
  constexpr bool same_mesh = std::is_same_v<typename Result::mesh_type, typename First::mesh_type>;
  if constexpr (!same_mesh)
    (void)sizeof(error::EinsumMeshesDiffer<typename First::mesh_type, typename Result::mesh_type>);
  constexpr bool same_elements = std::is_same_v<typename Result::value_type, typename First::value_type> &&
                                 std::is_same_v<typename Result::memory_space, typename First::memory_space>;
  if constexpr (!same_elements) (void)sizeof(error::EinsumElementsDiffer<First, Result>);
  return letters == Result::rank && same_mesh && same_elements;
}

template <FixedString Text, PlanFault fault, class First, class...>
consteval void report_fault() {
  using Name = TextLetters<Text>;
  if constexpr (fault.kind != PlanFault::none) {
    using AxisName = NameOf<AxisNames{First::mesh_type::name(fault.axis), false}>;
    if constexpr (fault.kind == PlanFault::operand_must_move)
      (void)sizeof(error::EinsumOperandMustMove<Name, fault.operand, error::Letter<fault.letter>, AxisName>);
    else if constexpr (fault.kind == PlanFault::operand_must_reorder)
      (void)sizeof(error::EinsumOperandMustReorder<Name, fault.operand, AxisName>);
    else if constexpr (fault.kind == PlanFault::operand_must_reduce)
      (void)sizeof(error::EinsumOperandMustReduce<Name, fault.operand, AxisName>);
    else if constexpr (fault.kind == PlanFault::operand_stays)
      (void)sizeof(error::EinsumOperandStays<Name, fault.operand>);
    else (void)sizeof(error::EinsumWithoutRing<Name, fault.operand>);
  }
}

/// An einsum in messages, as `einsum "ab,bc->ac"`; of a convolution, the einsum by which it is planned.
struct EinsumName {
  std::string_view subscripts;
  std::string_view operation = "einsum";
};

inline std::string text_of(EinsumName const& name) { return text(name.operation, " \"", name.subscripts, "\""); }

/// The extents of the result. Throws StateError where an operand is unset, MeshError where the operands live on two
/// meshes, and ExtentError where a letter has two extents; on every rank alike.
inline Extents result_extents(EinsumName const& name, Subscripts const& subscripts, std::span<Operand const> operands) {
  MeshState const* const mesh = operands.front().mesh;
  for (Operand const& operand : operands)
    if (operand.mesh == nullptr || operand.mesh != mesh) require_one_mesh(text_of(name), operands);
  StaticVector<char, max_letters> letters;
  StaticVector<std::int64_t, max_letters> of_letter;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    Operand const& operand = operands[i];
    for (int dimension = 0; dimension < operand.extents->size(); ++dimension) {
      char const letter = subscripts.operands[static_cast<int>(i)][dimension];
      std::int64_t const extent = (*operand.extents)[dimension];
      int const known = letters.find(letter);
      if (known < 0) {
        letters.push_back(letter);
        of_letter.push_back(extent);
      } else if (of_letter[known] != extent) {
        throw ExtentError(text(text_of(name), ": letter '", letter, "' has extent ", of_letter[known],
                               ", but dimension ", dimension, " of ", text_of(operand), " has ", extent,
                               place_of(operand)));
      }
    }
  }
  Extents result;
  for (char letter : subscripts.result) result.push_back(of_letter[letters.find(letter)]);
  return result;
}

template <class... Tensors>
Extents result_extents(EinsumName const& name, Subscripts const& subscripts, std::tuple<Tensors...> const& operands) {
  return std::apply(
      [&](auto const&... tensors) {
        int position = 0;
        std::array const list{Operand(role_of_operand(position++), tensors)...};
        return result_extents(name, subscripts, std::span<Operand const>(list));
      },
      operands);
}

/// Throws where a tensor that is there already cannot take the result, of these extents, of an einsum of operands like
/// `first`; on every rank alike.
inline void check_result_tensor(EinsumName const& name, Operand const& result, Extents const& extents,
                                Operand const& first) {
  if (result.mesh == nullptr || result.mesh != first.mesh) require_one_mesh(text_of(name), {first, result});
  if (!(*result.extents == extents))
    throw ExtentError(text(text_of(name), " gives extents ", text_of(extents), ", which are not those of ",
                           text_of(result), place_of(result)));
}

}  // namespace gshard::detail
