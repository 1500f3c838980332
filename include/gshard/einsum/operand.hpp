// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/einsum/plan.hpp>
#include <gshard/expr/expression.hpp>

namespace gshard {

/// A tensor of an einsum, marked with how it may move.
template <class Operand, Handling How>
struct Handled {
  Operand operand;
};

template <class Operand>
using Movable = Handled<Operand, Handling::movable>;
template <class Operand>
using Gathered = Handled<Operand, Handling::gathered>;
template <class Operand>
using Circulating = Handled<Operand, Handling::circulating>;

/// An operand that an einsum may gather, exchange or reduce, as fully sharded weights are: `einsum<"ab,bc->ac">(x,
/// movable(w))`.
template <class Operand>
Movable<std::remove_cvref_t<Operand>> movable(Operand&& operand) {
  return {std::forward<Operand>(operand)};
}

/// The operand that moves where the two operands split different letters over an axis, before the contraction:
/// `einsum<"ab,bc->ac">(x, gathered(w))`.
template <class Operand>
Gathered<std::remove_cvref_t<Operand>> gathered(Operand&& operand) {
  return {std::forward<Operand>(operand)};
}

/// As `gathered`, but never whole on any rank: its blocks go round in a ring, one permute each, and the next is under
/// way while the present one is multiplied. An einsum by itself is marked for its result, whose sums then go round and
/// grow block by block in place of a reduce-scatter: `Y y = circulating(einsum<"ab,bc->ac">(x, w))`. Source:
/// paper 3.3.2 and figure 4.
template <class Operand>
Circulating<std::remove_cvref_t<Operand>> circulating(Operand&& operand) {
  return {std::forward<Operand>(operand)};
}

namespace detail {

template <class Type>
inline constexpr bool is_handled = false;
template <class Operand, Handling How>
inline constexpr bool is_handled<Handled<Operand, How>> = Expression<Operand>;

}  // namespace detail

/// What an einsum takes: a tensor or an expression, marked or not.
template <class Type>
concept EinsumInput = Expression<Type> || detail::is_handled<std::remove_cvref_t<Type>>;

namespace detail {

template <class Operand>
struct EinsumOperand {
  using tensor_type = std::remove_cvref_t<decltype(eval(std::declval<Operand const&>()))>;
  static tensor_type tensor(Operand const& operand) { return eval(operand); }
};

template <class Operand, Handling How>
struct EinsumOperand<Handled<Operand, How>> {
  using tensor_type = typename EinsumOperand<Operand>::tensor_type;
  static tensor_type tensor(Handled<Operand, How> const& handled) {
    return EinsumOperand<Operand>::tensor(handled.operand);
  }
};

template <class Operand>
using OperandTensor = typename EinsumOperand<std::remove_cvref_t<Operand>>::tensor_type;

/// The tensor type of a declared result, marked or not; void where none is declared.
template <class Result>
struct DeclaredTensorOf {
  using type = OperandTensor<Result>;
};
template <>
struct DeclaredTensorOf<void> {
  using type = void;
};
template <class Result>
using DeclaredTensor = typename DeclaredTensorOf<Result>::type;

/// The type that names a result and its mark; movable ones have none.
template <class Tensor, Handling How>
using Marked = std::conditional_t<How == Handling::movable, Tensor, Handled<Tensor, How>>;

template <class Type>
inline constexpr Handling handling_of = Handling::fixed;
template <class Operand, Handling How>
inline constexpr Handling handling_of<Handled<Operand, How>> = How;

/// Results move as they are declared; a mark can say that their sums go round.
template <class Result>
inline constexpr Handling result_handling_of =
    handling_of<Result> == Handling::circulating ? Handling::circulating : Handling::movable;

}  // namespace detail
}  // namespace gshard
