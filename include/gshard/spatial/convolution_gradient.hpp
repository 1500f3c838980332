// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/einsum.hpp>
#include <gshard/spatial/convolution.hpp>

namespace gshard {

namespace detail {

/// Returns the axes that split letters of the operands that `labels`, the letters of one operand, lacks. Ranks that
/// differ along these axes contribute to the same element of that operand's gradient.
template <class Plan>
constexpr AxisSet axes_of_others(Labels const& labels) {
  AxisSet axes;
  auto add = [&](Labels const& others, Layout const& layout) {
    for (int d = 0; d < layout.rank(); ++d)
      if (!labels.contains(others[d])) axes |= set_of(layout.dimensions[d]);
  };
  for (int operand = 0; operand < 2; ++operand) add(Plan::subscripts.operands[operand], Plan::plan.operands[operand]);
  return axes;
}

/// Returns the layout of an operand's gradient before reduction.
template <class Plan, int Operand>
constexpr Layout gradient_part_layout() {
  Layout layout = Plan::plan.operands[Operand];
  layout.partial = axes_of_others<Plan>(Plan::subscripts.operands[Operand]);
  return layout;
}

/// Vjp of a convolution. Each gradient is computed in the layout of the forward contraction and then resharded to the
/// spec of its operand: the all-reduce of data parallelism or the reduce-scatter of sharded weights.
/// Fetches the halos of x again for the gradient of w, instead of keeping the box of the forward pass in memory. Adds
/// the halos of the gradient of x on the ranks that own the elements.
template <class Plan, AnyTensor X, AnyTensor W>
struct ConvolutionGradient {
  using Run = ConvolutionRun<Plan, X, W>;
  using Space = typename X::memory_space;
  using Gradient = with_layout<X, without_partial(Plan::plan.produced)>;

  /// Adds to `slots` the gradients of the operands that are recorded; `given` is the gradient of the result.
  template <class Slots, class Given>
  static void vjp(Run const& run, Slots const& slots, Given const& given, X const& x, W const& w) {
    Kokkos::Profiling::ScopedRegion const region("gshard::convolution_gradient");
    Gradient const gradient = reshard_or_share<typename Gradient::spec_type>(given);
    auto const held = reshard_or_share<typename Run::PlannedInput::spec_type>(x);
    auto const weights = reshard_or_share<typename Run::PlannedWeights::spec_type>(w);
    if constexpr (wants_gradient<decltype(std::get<0>(slots))>)
      std::get<0>(slots).add(of_input(run, gradient, held, weights));
    if constexpr (wants_gradient<decltype(std::get<1>(slots))>)
      std::get<1>(slots).add(of_weights(run, gradient, held, weights));
  }

 private:
  static Cotangent<X> of_input(Run const& run, Gradient const& gradient, typename Run::PlannedInput const& x,
                               typename Run::PlannedWeights const& w) {
    auto const plan = run.halo(x);
    auto const seen = plan.unset_sums();
    Scratch<Space> scratch(x.memory());
    run.record("convolution input gradient", gradient, seen, w);
    auto const upstream = widened_elements<Space>(gradient.data(), gradient.local_size(), scratch);
    auto const factors = widened_elements<Space>(w.data(), w.local_size(), scratch);
    run.local(seen, gradient.block(), w).template input_gradient<Space>(upstream, factors, seen.data(), scratch);
    auto const sum = plan.scatter_sum(seen);
    using Part = with_layout<X, gradient_part_layout<Plan, 0>()>;
    return reshard<typename Cotangent<X>::spec_type>(
        sum.template reinterpreted<typename Part::spec_type>(sum.extents()));
  }

  static Cotangent<W> of_weights(Run const& run, Gradient const& gradient, typename Run::PlannedInput const& x,
                                 typename Run::PlannedWeights const& w) {
    auto const seen = run.halo(x).gather(typename X::value_type(0));
    with_layout<W, gradient_part_layout<Plan, 1>()> part(uninitialized, w.mesh(), w.extents());
    Scratch<Space> scratch(w.memory());
    run.record("convolution weight gradient", gradient, seen, w);
    auto const elements = widened_elements<Space>(seen.data(), seen.size(), scratch);
    auto const upstream = widened_elements<Space>(gradient.data(), gradient.local_size(), scratch);
    compute_rounded<Space>(part.data(), part.local_size(), scratch, [&](typename Run::Number* results) {
      run.local(seen, gradient.block(), w).template weight_gradient<Space>(elements, upstream, results, scratch);
    });
    return reshard<typename Cotangent<W>::spec_type>(std::move(part));
  }
};

}  // namespace detail

/// Deferred convolution with recorded operands: runs, and is recorded, when its result spec is known (see Convolution).
template <class X, class W>
class RecordedConvolution : public detail::UnevaluatedOperation {
 public:
  static constexpr bool is_recorded = true;
  using PlainX = detail::PlainOperand<X>;
  using PlainW = detail::PlainOperand<W>;
  using Input = detail::OperandTensor<PlainX>;
  using Weights = detail::OperandTensor<PlainW>;
  static constexpr int rank = detail::spatial_rank<Input>;

  /// Stores the operands as they are.
  RecordedConvolution(X const& x, W const& w, ConvolutionOptions<rank> const& options)
      : x_(x), w_(w), options_(options) {}

  /// Returns the recorded result with the spec that the plan propagates.
  auto eval() const { return run<void>(); }

  /// Returns the recorded result with spec `Spec`.
  template <class Spec>
  auto eval_as() const {
    return run<with_spec<Input, Spec>>();
  }

  /// Returns the recorded result with the spec of the declared tensor.
  template <class Spec>
  operator Var<ShardedTensor<typename Input::mesh_type, Spec, typename Input::value_type,
                             typename Input::memory_space>>() const {
    return eval_as<Spec>();
  }

 private:
  template <class Result>
  auto run() const {
    using Plan = detail::Planned<convolution_subscripts<rank>, Result, PlainX, PlainW>;
    Tape& tape = detail::einsum_tape_of(x_, w_);
    tape.require_unrun();  // before the forward pass communicates
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      using Tensor = std::conditional_t<std::is_void_v<Result>, Input, Result>;
      return Var<Tensor>(tape, 0, Tensor{});
    } else {
      Input const x = detail::EinsumOperand<PlainX>::tensor(detail::plain_einsum_operand(x_));
      Weights const w = detail::EinsumOperand<PlainW>::tensor(detail::plain_einsum_operand(w_));
      detail::ConvolutionRun<Plan, Input, Weights> const forward(options_, x, w);
      auto const slots = std::make_tuple(detail::einsum_slot_of(x_), detail::einsum_slot_of(w_));
      return record<Plan>(tape, forward.forward(x, w), forward, slots, x, w);
    }
  }

  template <class Plan, AnyTensor Result, class Forward, class Slots>
  static auto record(Tape& tape, Result const& result, Forward const& forward, Slots const& slots, Input const& x,
                     Weights const& w) {
    return tape.record(result, [forward, slots, x, w](Cotangent<Result> const& gradient) {
      detail::ConvolutionGradient<Plan, Input, Weights>::vjp(forward, slots, gradient, x, w);
    });
  }

  X x_;
  W w_;
  ConvolutionOptions<rank> options_;
};

/// Returns the deferred convolution of operands of which at least one is recorded on a tape. Shapes and the
/// communication of the forward pass are those of the unrecorded `convolution`.
/// Communication of the backward pass: the gradient of the result and the operands are resharded to the layouts of the
/// contraction. The gradient of x sends its halos to their owners, and the gradient of w gathers the halos of x, by one
/// all-to-all each over the axes that split the spatial dimensions. Each gradient is resharded as its operand is.
/// The evaluation throws as that of the unrecorded `convolution`, and StateError if the tape has run.
template <class X, class W>
  requires(detail::RecordedEinsumInput<X> || detail::RecordedEinsumInput<W>)
auto convolution(
    X const& x, W const& w,
    ConvolutionOptions<detail::spatial_rank<detail::OperandTensor<detail::PlainOperand<X>>>> const& options = {}) {
  [[maybe_unused]] constexpr bool is_fine = detail::check_convolution<detail::OperandTensor<detail::PlainOperand<X>>,
                                                                      detail::OperandTensor<detail::PlainOperand<W>>>();
  return RecordedConvolution<X, W>(x, w, options);
}

/// Evaluates and records a convolution with result spec `Spec`.
template <class Spec, class X, class W>
auto shard(RecordedConvolution<X, W> const& convolution) {
  return convolution.template eval_as<Spec>();
}

/// Evaluates and records a convolution with the spec that its plan propagates.
template <class X, class W>
auto eval(RecordedConvolution<X, W> const& convolution) {
  return convolution.eval();
}

}  // namespace gshard
