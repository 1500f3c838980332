// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/expr/expression.hpp>
#include <gshard/expr/pointwise.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/kernels/scan.hpp>
#include <gshard/reduce/local/rules.hpp>
#include <gshard/reduce/run_on_expression.hpp>
#include <gshard/reduce/scan_over_ranks.hpp>

namespace gshard {

namespace detail {

/// Returns the sums of all elements up to each one along `Dimension`, or from each one on if `reversed`.
template <int Dimension, class Ready>
auto scanned(Ready const& ready, Scan scan, bool reversed) {
  Kokkos::Profiling::ScopedRegion const region("gshard::cumulative_sum");
  using First = FirstTensor<Ready>;
  using Along = Dimensions<First, Dimension>;
  using Space = typename First::memory_space;
  using Rule = RuleOf<Summing, ValueOf<Ready>>;
  using Sum = typename Rule::accumulator;
  auto const& first = first_tensor(ready);
  MemoryPool& memory = first.memory();
  using Result = Summing::result<typename StoredType<Ready>::type>;
  ShardedTensor<typename First::mesh_type, typename First::spec_type, Result, Space> const result(
      uninitialized, first.mesh(), first.extents());
  AlongShape const shape(first.local_extents(), Along::only);
  if (shape.rows() == 0) return result;
  auto const kernel = kernel_of(ready);
  using Kernel = std::remove_const_t<decltype(kernel)>;
  bool const exclusive = scan == Scan::exclusive;
  RankLine const line(first.mesh_state(), First::layout.dimensions[Along::only], reversed);
  std::int64_t const rows = shape.rows();
  std::int64_t const chunks = chunks_of_scan<Space>(shape);
  Scratch<Space> scratch(memory);
  Sum* starts = nullptr;
  if (chunks > 1 || line.size() > 1) {
    Sum* const totals = scratch.template get<Sum>(chunks * rows);
    if (shape.length == 0) fill_elements<Space>(totals, rows, Sum(0));
    else
      fold_parts<Space, Rule>("gshard::scan_totals", fold_loops(first.local_extents(), Along::reduced), chunks,
                              ElementTerm<Summing, Sum, Kernel>{kernel}, StoreInRow<Sum>{totals});
    Sum* before = nullptr;
    if (line.size() > 1) {
      before = chunks == 1 ? totals : scratch.template get<Sum>(rows);
      if (chunks > 1)
        fold_across<Space, Rule>("gshard::scan_totals", over_parts(chunks, rows), 1, LoadFromRow<Sum>{totals},
                                 StoreInRow<Sum>{before});
      exclusive_scan<Space>(line, first.mesh_state().group(Along::axes), before, rows, memory);
    }
    starts = totals;
    if (chunks > 1)
      run_scan<Space>(ScanKernel<Sum, Sum, LeafKernel<Sum>>{
          {totals}, totals, before, AlongShape({chunks, rows}, 0), 1, true, reversed});
  }
  run_scan<Space>(ScanKernel<Result, Sum, Kernel>{kernel, result.data(), starts, shape, chunks, exclusive, reversed});
  return result;
}

/// Cumulative sum along `Dimension`, as an operation with a gradient.
template <int Dimension>
struct CumulativeSum {
  Scan scan;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <class Ready>
  auto forward(Ready const& x) const {
    return scanned<Dimension>(x, scan, false);
  }

  void vjp(auto const&, auto const& gradient, auto const& gradients) const {
    auto const& [dx] = gradients;
    dx.add(scanned<Dimension>(gradient, scan, true));
  }
};

}  // namespace detail

/// Returns the sums of all elements up to each one along `Dimension`, split or not; without the element itself if the
/// scan is exclusive. x is a tensor, a recorded tensor or a pointwise expression, which is read in the same pass. The
/// result has the layout of x, and is an unreduced sum if x is. Floating point is added up in double; of integers the
/// sums are std::int64_t.
/// Communication: an exclusive scan of the totals of blocks over the axes that split the dimension, in the order in
/// which the spec lists them: ceil(log2 p) permutes of one number for each row. The gradient is the cumulative sum of
/// that of the result from the last element to the first, with the same communication. Throws StateError if a tensor is
/// unset, MeshError or ExtentError if tensors do not belong together.
template <int Dimension, PointwiseOperand X>
auto cumulative_sum(X&& x, Scan scan = Scan::inclusive) {
  return detail::run_on_expression(detail::CumulativeSum<Dimension>{scan}, "cumulative_sum", std::forward<X>(x));
}

}  // namespace gshard
