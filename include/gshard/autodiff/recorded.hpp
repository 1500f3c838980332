// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/autodiff/tape.hpp>
#include <gshard/core/error.hpp>
#include <gshard/tensor/unevaluated.hpp>

// Operands that are recorded or not: what operations with a gradient ask of either.

namespace gshard {

namespace detail {

/// Where the gradient of what is not recorded goes: nowhere.
struct NoSlot {
  template <class Gradient>
  void add(Gradient const&) const {}
  template <class Part>
  void add_part(Part const&) const {}
};

template <class Operand>
auto slot_of(Operand const& operand) {
  if constexpr (AnyVar<Operand>) return operand.slot();
  else return NoSlot{};
}

template <class Slot>
inline constexpr bool wants_gradient = !std::is_same_v<std::remove_cvref_t<Slot>, NoSlot>;

/// The tensor behind an operand, recorded or not.
template <AnyTensor Tensor>
Tensor const& value_of(Tensor const& tensor) {
  return tensor;
}
template <AnyTensor Tensor>
Tensor const& value_of(Var<Tensor> const& var) {
  return var.value();
}
template <Unevaluated Operation>
auto value_of(Operation const& operation) {
  return value_of(refuse_unevaluated(operation));
}

template <class Operand>
using ValueTensor = std::remove_cvref_t<decltype(value_of(std::declval<Operand const&>()))>;

/// Takes the tape of one more operand into account. Throws StateError where it is not that of those before.
inline void join_tape(Tape*& tape, Tape& own) {
  if (tape != nullptr && tape != &own)
    throw StateError("two operands are recorded on two Tapes; record both on one, or take the value() of one");
  tape = &own;
}

/// The tape of the recorded operands.
template <class... Operands>
Tape& tape_of(Operands const&... operands) {
  Tape* tape = nullptr;
  auto join = [&]<class Operand>(Operand const& operand) {
    if constexpr (AnyVar<Operand>) join_tape(tape, operand.tape());
  };
  (join(operands), ...);
  return *tape;
}

}  // namespace detail

/// A parameter as an operand of a layer: recorded where any of the layer's `operands` is recorded, on the tape of the
/// first one that is; else its plain value, so that one layer serves training and inference.
template <AnyTensor Tensor, class... Operands>
decltype(auto) bind(Parameter<Tensor>& parameter, Operands const&... operands) {
  if constexpr ((AnyVar<Operands> || ...)) return detail::tape_of(operands...).watch(parameter);
  else return static_cast<Tensor const&>(parameter.value);
}
template <AnyTensor Tensor, class Operand>
Tensor const& bind(Parameter<Tensor> const& parameter, Operand const&) {
  using Refused [[maybe_unused]] = decltype(error::GradientOfConstParameter<typename Tensor::spec_type>{});
  return parameter.value;
}

}  // namespace gshard
