// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/autodiff/var.hpp>
#include <gshard/einsum/subscripts.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/spatial/halo.hpp>
#include <gshard/spatial/kernels/convolve.hpp>
#include <gshard/tensor/layout.hpp>

// Gradients of a convolution. Each one is computed in the layout of the forward contraction and then resharded to the
// spec of its operand: the all-reduce of data parallelism or the reduce-scatter of sharded weights. `Plan` is the
// einsum plan, `Run` a ConvolutionRun (convolution.hpp), `gradient` that of the result as the contraction produces it.

namespace gshard::detail {

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

/// Returns the gradient of x, an operand like `X`; reads the shape of x and the elements of w.
/// Communication: w is resharded to the layout of the contraction; halos are added on the ranks that own the elements.
template <class Plan, AnyTensor X, class Run, AnyTensor Gradient, class Shape, AnyTensor W>
Cotangent<X> gradient_of_input(Run const& run, Gradient const& gradient, Shape const& x, W const& w) {
  using Space = typename X::memory_space;
  auto const weights = reshard_or_share<typename Run::PlannedWeights::spec_type>(w);
  auto const plan = run.halo(x);
  auto const seen = plan.unset_sums();
  Scratch<Space> scratch(gradient.memory());
  run.record("convolution input gradient", gradient, seen.box(), weights);
  auto const upstream = widened_elements<Space>(gradient.data(), gradient.local_size(), scratch);
  auto const factors = widened_elements<Space>(weights.data(), weights.local_size(), scratch);
  run.local(seen.box(), gradient.block(), weights.local_extents())
      .template input_gradient<Space>(upstream, factors, seen.data(), scratch);
  auto const sum = plan.scatter_sum(seen.data());
  using Part = with_layout<X, gradient_part_layout<Plan, 0>()>;
  return reshard<typename Cotangent<X>::spec_type>(sum.template reinterpreted<typename Part::spec_type>(sum.extents()));
}

/// Returns the gradient of w, an operand like `W`; reads the elements of x and the shape of w.
/// Communication: x is resharded to the layout of the contraction; its halos are gathered again, instead of keeping the
/// box of the forward pass in memory.
template <class Plan, AnyTensor W, class Run, AnyTensor Gradient, AnyTensor X, class Shape>
Cotangent<W> gradient_of_weights(Run const& run, Gradient const& gradient, X const& x, Shape const& w) {
  using Space = typename W::memory_space;
  typename Run::PlannedInput const input = reshard_or_share<typename Run::PlannedInput::spec_type>(x);
  auto const seen = run.halo(input).gather(input, typename X::value_type(0));
  with_layout<W, gradient_part_layout<Plan, 1>()> part(uninitialized, w.mesh(), w.extents());
  Scratch<Space> scratch(gradient.memory());
  run.record("convolution weight gradient", gradient, seen.box(), part);
  auto const elements = widened_elements<Space>(seen.data(), seen.size(), scratch);
  auto const upstream = widened_elements<Space>(gradient.data(), gradient.local_size(), scratch);
  compute_rounded<Space>(part.data(), part.local_size(), scratch, [&](typename Run::Number* results) {
    run.local(seen.box(), gradient.block(), part.local_extents())
        .template weight_gradient<Space>(elements, upstream, results, scratch);
  });
  return reshard<typename Cotangent<W>::spec_type>(std::move(part));
}

}  // namespace gshard::detail
