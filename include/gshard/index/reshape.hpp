// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/reshard/exchange.hpp>
#include <gshard/tensor/loop_nest.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

namespace error {

template <class From, class To>
struct ReshapePartialDiffers {
  static_assert(
      always_false<From>,
      "gshard: a reshape keeps the axes over which a tensor is an unreduced sum; give the new spec the same partial(...), or reshard before or after");
};

}  // namespace error

namespace detail {

/// Lists the elements of a block by their row-major positions in the whole tensor: contiguous runs of `length` elements
/// that begin at `first` plus each offset of the loops `outer`. Runs ascend, as the elements of the packed block do.
struct LinearRuns {
  std::int64_t first = 0;
  std::int64_t length = 0;
  LoopNest<1> outer;

  LinearRuns(Block const& block, Extents const& extents) {
    if (product(block.extents) == 0) return;
    Extents const strides = packed_strides(extents);
    LoopNest<1> loops;
    for (int d = 0; d < extents.size(); ++d) {
      first += block.offsets[d] * strides[d];
      loops.push_inner(block.extents[d], {strides[d]});
    }
    loops = coalesce(loops);
    length = 1;
    if (loops.rank > 0 && loops.strides[loops.rank - 1][0] == 1) {
      length = loops.extents[loops.rank - 1];
      loops.erase(loops.rank - 1);
    }
    outer = loops;
  }

  /// Returns the number of runs.
  std::int64_t count() const { return length == 0 ? 0 : outer.count(); }

  friend bool operator==(LinearRuns const& left, LinearRuns const& right) {
    bool same = left.length == right.length && left.count() == right.count() &&
                (left.length == 0 || left.first == right.first) && left.outer.rank == right.outer.rank;
    for (int i = 0; same && i < left.outer.rank; ++i)
      same = left.outer.extents[i] == right.outer.extents[i] && left.outer.strides[i][0] == right.outer.strides[i][0];
    return same;
  }
};

/// Returns the common elements of two blocks as segments; `from` is the position in the left block, `to` that in the
/// right block. Walks both lists of runs once.
inline std::vector<Segment> common_segments(LinearRuns const& left, LinearRuns const& right) {
  std::vector<Segment> segments;
  if (left.count() == 0 || right.count() == 0) return segments;
  LoopCursor<1> at_left(left.outer, 0);
  LoopCursor<1> at_right(right.outer, 0);
  std::int64_t i = 0;
  std::int64_t j = 0;
  while (i < left.count() && j < right.count()) {
    Range const run_left{left.first + at_left.offsets[0], left.first + at_left.offsets[0] + left.length};
    Range const run_right{right.first + at_right.offsets[0], right.first + at_right.offsets[0] + right.length};
    Range const common = intersection(run_left, run_right);
    if (common.size() > 0)
      segments.push_back({i * left.length + common.begin - run_left.begin,
                          j * right.length + common.begin - run_right.begin, common.size()});
    if (run_left.end <= run_right.end) {
      at_left.advance(left.outer);
      ++i;
    } else {
      at_right.advance(right.outer);
      ++j;
    }
  }
  return segments;
}

/// Exchange that reshapes a tensor: each rank receives the elements that its new block shares, in row-major order, with
/// the old blocks of the other ranks.
template <AnyTensor From, AnyTensor To>
class ReshapeExchange {
  using T = typename From::value_type;
  using Space = typename From::memory_space;
  static constexpr AxisSet axes = From::layout.split() | To::layout.split();
  /// Axes along which all ranks hold the same old block. A rank receives only from ranks with its own coordinates along
  /// them, so that each element arrives once.
  static constexpr AxisSet replicated = To::layout.split() - From::layout.split();

 public:
  ReshapeExchange(From const& from, Extents const& extents)
      : from_(from), extents_(extents), mesh_(from.mesh_state()), group_(mesh_.group(axes)) {}

  /// Returns whether every rank of the group holds the same elements before and after, in the same order. All ranks
  /// compute the same answer, without communication.
  bool is_local() const {
    for (int member = 0; member < group_.size; ++member)
      if (!(before(member) == after(member))) return false;
    return true;
  }

  /// Fills `to`. Communication: one all-to-all over the axes that split either tensor.
  void run(To const& to) const {
    Kokkos::Profiling::ScopedRegion const region("gshard::reshape");
    Exchange<Space, T> moved(group_, from_.memory());
    std::int64_t bound = 0;
    for (int member = 0; member < group_.size; ++member) {
      bound = std::max(
          {bound, before(member).length * before(member).count(), after(member).length * after(member).count()});
      if (member == group_.rank) continue;
      if (serves(group_.rank, member))
        moved.outgoing.add(member, from_.data(), packed_to(common_segments(before(group_.rank), after(member))));
      if (serves(member, group_.rank))
        moved.incoming.add(member, to.data(), packed_from(common_segments(before(member), after(group_.rank))));
    }
    moved.keep(from_.data(), to.data(), common_segments(before(group_.rank), after(group_.rank)));
    moved.run(saturated_product(bound, group_.size));
  }

 private:
  /// Returns the old block of a member of the group.
  LinearRuns before(int member) const {
    return {block_of(From::layout, from_.extents(), mesh_, mesh_.member_coordinates(axes, member)), from_.extents()};
  }
  /// Returns the new block of a member of the group.
  LinearRuns after(int member) const {
    return {block_of(To::layout, extents_, mesh_, mesh_.member_coordinates(axes, member)), extents_};
  }

  /// Returns whether `receiver` receives its part of the old block of `holder` from `holder`.
  bool serves(int holder, int receiver) const {
    return mesh_.member_index(replicated, mesh_.member_coordinates(axes, holder)) ==
           mesh_.member_index(replicated, mesh_.member_coordinates(axes, receiver));
  }

  /// Returns the segments with `to` replaced by positions in the packed message.
  static std::vector<Segment> packed_to(std::vector<Segment> segments) {
    std::int64_t next = 0;
    for (Segment& segment : segments) {
      segment.to = next;
      next += segment.count;
    }
    return segments;
  }
  /// Returns the segments with `from` replaced by positions in the packed message.
  static std::vector<Segment> packed_from(std::vector<Segment> segments) {
    std::int64_t next = 0;
    for (Segment& segment : segments) {
      segment.from = next;
      next += segment.count;
    }
    return segments;
  }

  From const& from_;
  Extents const& extents_;
  MeshState const& mesh_;
  Group const& group_;
};

/// Checks the operand and the new extents. Throws StateError or ExtentError.
template <AnyTensor From, AnyTensor To>
auto check_reshape(From const& x, Extents const& extents) {
  if constexpr (!(From::layout.partial == To::layout.partial))
    using Refused [[maybe_unused]] = decltype(error::ReshapePartialDiffers<From, To>{});
  require_set("reshape", {{"x", x}});
  To::checked(extents, x.name());
  if (product(x.extents()) != product(extents))
    throw ExtentError(concat("reshape: '", x.name(), "' ", text_of(x.extents()), " has ", product(x.extents()),
                             " elements, not the ", product(extents), " of ", text_of(extents), "; rank ",
                             x.mesh().rank(), " of mesh (", x.mesh().text(), ")"));
}

/// Reshape to spec `To`, as an operation with a gradient.
template <class To>
struct Reshape {
  Extents extents;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    using Result = with_spec<Tensor, To>;
    check_reshape<Tensor, Result>(x, extents);
    ReshapeExchange<Tensor, Result> const exchange(x, extents);
    if (exchange.is_local()) return x.template reinterpreted<To>(extents);
    Result const result(uninitialized, x.mesh(), extents);
    exchange.run(result);
    return result;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using Gradient = Cotangent<typename std::remove_cvref_t<decltype(dx)>::tensor_type>;
    dx.add(Reshape<typename Gradient::spec_type>{x.extents()}.forward(gradient));
  }
};

}  // namespace detail

/// Returns the elements of `x`, in row-major order, as a tensor of `extents` with spec `To`.
/// The result shares the storage of `x` if every rank holds the same elements before and after, in the same order.
/// An unreduced sum stays one: `To` has the partial axes of `x`, else the call does not compile.
/// Communication: none if the storage is shared, else one all-to-all over the axes that split either tensor; each rank
/// receives each element at most once. The gradient is reshaped back, with the same communication.
/// Throws StateError if `x` is unset, ExtentError if the extents do not fit `To` or the number of elements differs.
/// Source: paper 3.3.3, fig. 5c.
template <class To, TensorOperand X>
auto reshape(X&& x, Extents const& extents) {
  return Differentiable(detail::Reshape<To>{extents})(std::forward<X>(x));
}

}  // namespace gshard
