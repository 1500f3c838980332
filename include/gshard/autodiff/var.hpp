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

/// Type of the gradient of `Tensor`: the same placement. Whole if `Tensor` is an unreduced sum, since each part adds to
/// the whole with factor 1.
template <AnyTensor Tensor>
using Cotangent = with_layout<Tensor, detail::without_partial(Tensor::layout)>;

namespace detail {

/// Returns the layout of what each rank adds to the gradient of an operand of layout `operand` from its own block of a
/// tensor that `axes` split: an unreduced sum over the axes that do not split the operand.
constexpr Layout layout_of_gradient_part(Layout operand, AxisSet axes) {
  operand.partial = axes - operand.split();
  return operand;
}

}  // namespace detail

/// Type of what the block of each rank of a tensor like `Over` adds to the gradient of `Tensor`: an unreduced sum over
/// the axes that split `Over` and not `Tensor`. `Over` is a tensor type, or an Unread.
template <AnyTensor Tensor, class Over>
using GradientPart = with_layout<Tensor, detail::layout_of_gradient_part(Tensor::layout, Over::layout.split())>;

namespace error {

template <class Spec>
struct GradientOfConstParameter {
  static_assert(
      always_false<Spec>,
      "gshard: bind and watch keep the gradient in the parameter, which is const here; leave out `const` behind "
      "the call operator of the layer, or take parameter.value");
};

template <class Spec>
struct GradientOfInput {
  static_assert(always_false<Spec>,
                "gshard: no gradient of input data is computed; record it by tape.watch(tensor) to ask for one");
};

template <class Loss>
struct BackwardOfUnrecorded {
  static_assert(always_false<Loss>,
                "gshard: backward starts at a recorded tensor; compute the loss from tape.watch(...) of a parameter or "
                "tensor, and eval(...) it");
};

template <class Tensor>
struct GradientOfIntegers {
  static_assert(
      always_false<Tensor>,
      "gshard: a tape watches tensors of floating point, since integers have no gradient; leave them unrecorded, or convert them first");
};

}  // namespace error

class Tape;

namespace detail {

/// Refers to a tape; the pointer is null once the tape is gone.
using TapeHandle = std::shared_ptr<Tape*>;

inline TapeHandle const& handle_of(Tape const& tape);

/// Returns the tape of a recorded tensor. Throws StateError if it is gone, or the recorded tensor was moved from.
inline Tape& tape_behind(TapeHandle const& handle) {
  if (handle == nullptr || *handle == nullptr)
    throw StateError(
        "a recorded tensor is used after its Tape is gone, or after it was moved from; keep the Tape as long as what it has recorded");
  return **handle;
}

}  // namespace detail

/// Collects the gradient of one operand of a recorded operation. Holds no elements: what is recorded keeps this, not
/// the operand.
template <AnyTensor Tensor>
class OperandGradient {
 public:
  using tensor_type = Tensor;

  OperandGradient(Tape& tape, int node) : tape_(&tape), node_(node) {}

  /// Adds to the gradient. BFloat16 is added up in float and rounded after the last addition.
  /// Throws StateError if `gradient` is unset, MeshError or ExtentError if `gradient` does not have the mesh and the
  /// extents of the operand.
  void add(Cotangent<Tensor> const& gradient) const;
  template <class Gradient>
    requires(detail::is_rounded<typename Tensor::value_type> &&
             std::is_same_v<Gradient, detail::Widened<Cotangent<Tensor>>>)
  void add(Gradient const& gradient) const;

  /// Adds `reshard<spec of the operand>(part)` to the gradient; `part` may be an unreduced sum over the axes that split
  /// the data. Parts of one type are added first and resharded together, in the backward pass of the tape.
  /// Throws as `add`.
  template <AnyTensor Part>
  void add_part(Part part) const;

  /// Returns a part of `extents`, elements unset, for what the block of each rank of `over` adds to the gradient (see
  /// GradientPart). `over` is a tensor, such as the gradient of the result, on the mesh of the operand.
  template <AnyTensor Over>
  GradientPart<Tensor, Over> empty_part(Over const& over, Extents const& extents) const {
    return GradientPart<Tensor, Over>(uninitialized, over.mesh(), extents);
  }

 private:
  Tape* tape_;
  int node_;
};

/// Takes the place of an OperandGradient for an operand that wants no gradient.
struct NoGradient {
  template <class Gradient>
  void add(Gradient const&) const {}
  template <class Part>
  void add_part(Part const&) const {}
};

/// Whether a gradient is wanted, of the type of an OperandGradient or of NoGradient: `if constexpr
/// (is_wanted<decltype(dx)>) dx.add(...)`.
template <class Gradient>
inline constexpr bool is_wanted = !std::is_same_v<std::remove_cvref_t<Gradient>, NoGradient>;

namespace detail {

/// Rejects the conversion of a recorded tensor to a plain one, and returns a stand-in.
template <AnyTensor Result>
Result refuse_as_plain() {
  using Refused [[maybe_unused]] = decltype(error::RecordedUsedAsPlain<typename Result::spec_type>{});
  return {};
}

}  // namespace detail

/// Recorded tensor: a tensor and its node on a tape. Operations take it like a tensor, and are recorded.
/// `HasGradient` is false for input data (`Input`): operations on it and on plain tensors alone are not recorded, and
/// no gradient of it is computed or communicated.
/// Operations throw StateError if its tape has run, is gone, or is not the tape of another operand.
template <AnyTensor Tensor, bool HasGradient = true>
class Var : public detail::WithoutTensorMembers<error::RecordedUsedAsPlain> {
 public:
  using tensor_type = Tensor;
  static constexpr bool is_recorded = true;
  static constexpr bool has_gradient = HasGradient;

  Var(Tape& tape, int node, Tensor value) : tape_(detail::handle_of(tape)), node_(node), value_(std::move(value)) {}

  /// Converts a recorded tensor whose spec differs in its fixed extents only.
  template <AnyTensor Other>
    requires(!std::is_same_v<Other, Tensor> && detail::same_but_extents<Other, Tensor>)
  Var(Var<Other, HasGradient> const& other) : Var(other.tape(), other.node(), other.value()) {}

  /// Rejects every other conversion at compile time, since conversions do not communicate.
  template <AnyTensor Other>
    requires(!detail::same_but_extents<Other, Tensor>)
  Var(Var<Other, HasGradient> const& other) : Var(other.tape(), other.node(), other.value()) {}
  template <AnyTensor Result>
  operator Result() const {
    return detail::refuse_as_plain<Result>();
  }

  Tensor const& value() const& { return value_; }
  Tensor value() && { return std::move(value_); }
  Tape& tape() const { return detail::tape_behind(tape_); }
  int node() const { return node_; }

 private:
  detail::TapeHandle tape_;
  int node_;
  Tensor value_;
};

/// Input data of a recorded computation, made by `Tape::input`.
template <AnyTensor Tensor>
using Input = Var<Tensor, false>;

namespace detail {

template <class Type>
inline constexpr bool is_var = false;
template <class Tensor, bool HasGradient>
inline constexpr bool is_var<Var<Tensor, HasGradient>> = true;

template <class Type>
inline constexpr bool has_gradient = false;
template <class Tensor, bool HasGradient>
inline constexpr bool has_gradient<Var<Tensor, HasGradient>> = HasGradient;

}  // namespace detail

/// Satisfied by every recorded tensor, also by input data.
template <class Type>
concept AnyVar = detail::is_var<std::remove_cvref_t<Type>>;

/// Satisfied by every tensor, recorded or not.
template <class Type>
concept TensorOrVar = AnyTensor<Type> || AnyVar<Type>;

}  // namespace gshard
