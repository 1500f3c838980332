// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <gshard/core/compile_error.hpp>
#include <gshard/core/error.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/unevaluated.hpp>

namespace gshard {

/// The type of a gradient: held as its tensor is; whole where the tensor is an unreduced sum, since each part adds to
/// the whole with factor 1.
template <AnyTensor Tensor>
using Cotangent = with_layout<Tensor, detail::without_partial(Tensor::layout)>;

namespace error {

template <class Spec>
struct GradientOfConstParameter {
  static_assert(
      always_false<Spec>,
      "gshard: bind and watch keep the gradient in the parameter, which is const here; leave out `const` behind "
      "the call operator of the layer, or take parameter.value");
};

template <class Loss>
struct BackwardOfUnrecorded {
  static_assert(always_false<Loss>,
                "gshard: backward starts at a recorded tensor; compute the loss from tape.watch(...) of a parameter or "
                "tensor, and eval(...) it");
};

}  // namespace error

class Tape;

namespace detail {

/// A tape as recorded tensors refer to it: the pointer is null once the tape is gone.
using TapeHandle = std::shared_ptr<Tape*>;

inline TapeHandle const& handle_of(Tape const& tape);

/// The tape of a recorded tensor. Throws StateError where it is gone.
inline Tape& tape_behind(TapeHandle const& handle) {
  if (*handle == nullptr)
    throw StateError("a recorded tensor is used after its Tape is gone; keep the Tape as long as what it has recorded");
  return **handle;
}

}  // namespace detail

/// Where the gradient of a recorded tensor is collected. Holds no elements: operations keep this, not the tensor, for
/// their backward pass.
template <AnyTensor Tensor>
class GradientSlot {
 public:
  using tensor_type = Tensor;

  GradientSlot(Tape& tape, int node) : tape_(&tape), node_(node) {}

  /// Adds to the gradient, which is rounded after the last addition.
  void add(Cotangent<Tensor> const& gradient) const;
  void add(detail::Widened<Cotangent<Tensor>> const& gradient) const
    requires detail::is_rounded<typename Tensor::value_type>;

  /// Adds to the gradient what a reshard to its spec makes of `part`, such as an unreduced sum over the axes that split
  /// the data. Parts alike are added first and resharded together, when the gradient is needed.
  template <AnyTensor Part>
  void add_part(Part part) const;

 private:
  Tape* tape_;
  int node_;
};

namespace detail {

/// Says that a recorded tensor does not become a plain one, and stands in for it.
template <AnyTensor Result>
Result refuse_as_plain() {
  using Refused [[maybe_unused]] = decltype(error::RecordedUsedAsPlain<typename Result::spec_type>{});
  return {};
}

}  // namespace detail

/// A tensor whose history is on a tape. Operations on it are those of tensors, and are recorded; they throw StateError
/// where its tape has run, is gone, or is not that of another operand.
template <AnyTensor Tensor>
class Var : public detail::WithoutTensorMembers<error::RecordedUsedAsPlain> {
 public:
  using tensor_type = Tensor;
  static constexpr bool is_recorded = true;

  Var(Tape& tape, int node, Tensor value) : tape_(detail::handle_of(tape)), node_(node), value_(std::move(value)) {}

  /// The same recorded tensor, with other extents fixed by the type, or none.
  template <AnyTensor Other>
    requires(!std::is_same_v<Other, Tensor> && detail::same_but_extents<Other, Tensor>)
  Var(Var<Other> const& other) : Var(other.tape(), other.node(), other.value()) {}

  /// No recorded tensor moves unseen, or becomes a plain one: says so, and does not compile.
  template <AnyTensor Other>
    requires(!detail::same_but_extents<Other, Tensor>)
  Var(Var<Other> const& other) : Var(other.tape(), other.node(), other.value()) {}
  template <AnyTensor Result>
  operator Result() const {
    return detail::refuse_as_plain<Result>();
  }

  Tensor const& value() const& { return value_; }
  Tensor value() && { return std::move(value_); }
  Tape& tape() const { return detail::tape_behind(tape_); }
  int node() const { return node_; }
  GradientSlot<Tensor> slot() const { return {tape(), node_}; }

 private:
  detail::TapeHandle tape_;
  int node_;
  Tensor value_;
};

namespace detail {

template <class Type>
inline constexpr bool is_var = false;
template <class Tensor>
inline constexpr bool is_var<Var<Tensor>> = true;

}  // namespace detail

/// A recorded tensor of any kind.
template <class Type>
concept AnyVar = detail::is_var<std::remove_cvref_t<Type>>;

namespace error {

template <class Tensor>
struct GradientOfIntegers {
  static_assert(
      always_false<Tensor>,
      "gshard: a tape watches tensors of floating point, since integers have no gradient; leave them unrecorded, or convert them first");
};

}  // namespace error

/// The type in which a parameter's gradients are added up over backward passes: as Cotangent, but in float where the
/// parameter is BFloat16 (Megatron-LM's main_grad), so that small terms are not rounded away.
template <AnyTensor Tensor>
using ParameterGradient = detail::Widened<Cotangent<Tensor>>;

/// A tensor that is learned: its value, and the sum of the gradients that backward passes have left, if any.
template <AnyTensor Tensor>
struct Parameter {
  using tensor_type = Tensor;

  Tensor value;
  ParameterGradient<Tensor> gradient;

  bool has_gradient() const { return gradient.is_set(); }
  void clear_gradient() { gradient = {}; }
};

}  // namespace gshard
