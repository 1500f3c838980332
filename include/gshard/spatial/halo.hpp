// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <gshard/expr/functions.hpp>
#include <gshard/reshard/exchange.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

/// A rank's block of a tensor together with what it needs around it: a packed Kokkos view, LayoutRight, whose index 0
/// along dimension d is the global index `range(d).begin`. Positions outside the tensor hold the border value. Elements
/// that are added up are of the type that the tensor's are computed with, float for BFloat16.
template <AnyTensor Tensor, class T = typename Tensor::value_type>
class HaloBlock {
 public:
  using value_type = T;
  using memory_space = typename Tensor::memory_space;

  /// Room for a box of `owner`'s global indices, unset.
  HaloBlock(Tensor const& owner, detail::Block const& box)
      : owner_(owner),
        box_(box),
        storage_(
            owner.memory().template allocate<memory_space>(static_cast<std::size_t>(size()) * sizeof(value_type))) {}

  /// The tensor that this is a part of.
  Tensor const& owner() const { return owner_; }
  detail::Block const& box() const { return box_; }
  Range range(int dimension) const {
    return {box_.offsets[dimension], box_.offsets[dimension] + box_.extents[dimension]};
  }
  Extents const& extents() const { return box_.extents; }
  std::int64_t size() const { return product(box_.extents); }

  auto local() const { return detail::local_view<value_type, Tensor::rank, memory_space>(data(), box_.extents); }
  value_type* data() const { return static_cast<value_type*>(storage_.get()); }

 private:
  Tensor owner_;
  detail::Block box_;
  std::shared_ptr<void> storage_;
};

/// What an exchange of halos sends and receives, in bytes, on this rank.
struct HaloBytes {
  std::int64_t sent = 0;
  std::int64_t received = 0;
};

namespace detail {

/// Who needs what of a tensor: `needed(coordinates)` is the box that the rank there works on. Ranks that differ along
/// `axes` only hold what they need of each other. One exchange for all dimensions: corners travel straight, and a halo
/// may be wider than its neighbour's block.
template <AnyTensor Tensor, class Needed>
class HaloPlan {
  using T = typename Tensor::value_type;
  using Number = Computed<T>;
  using Space = typename Tensor::memory_space;
  static constexpr std::int64_t element_size = sizeof(T);

 public:
  HaloPlan(Tensor const& x, AxisSet axes, Needed needed)
      : x_(x), group_(x.mesh_state().group(axes)), needed_(std::move(needed)) {
    MeshState const& mesh = x.mesh_state();
    mine_ = checked(needed_(mesh.coordinates()));
    for (int member = 0; member < group_.size; ++member) {
      std::vector<int> const coordinates = mesh.member_coordinates(axes, member);
      Block const own = block_of(Tensor::layout, x.extents(), mesh, coordinates);
      Block const needed_there = checked(needed_(coordinates));
      bound_ = std::max({bound_, product(own.extents), product(needed_there.extents)});
      is_local_ = is_local_ && product(intersection(own, needed_there).extents) ==
                                   product(intersection(inside(), needed_there).extents);
      gives_.push_back(intersection(x.block(), needed_there));
      takes_.push_back(intersection(own, mine_));
    }
  }

  HaloBytes bytes() const {
    if (is_local_) return {};
    return {elements_of_others(gives_) * element_size, elements_of_others(takes_) * element_size};
  }

  /// Throws ExtentError where a block is not what these widths make of this rank's.
  void require_box(std::string_view operation, Block const& box) const {
    if (box != mine_)
      throw ExtentError(concat(operation, ": the block has extents ", text_of(box.extents), ", but these widths make ",
                               text_of(mine_.extents), " of the block of rank ", x_.mesh().rank(),
                               "; give the widths that it was made with"));
  }

  /// Room for the box that this rank needs.
  HaloBlock<Tensor> unset() const { return HaloBlock<Tensor>(x_, mine_); }

  /// Room for sums of the same box.
  HaloBlock<Tensor, Number> unset_sums() const { return HaloBlock<Tensor, Number>(x_, mine_); }

  /// The box that this rank needs: own elements, those of others by one all-to-all over the axes, and `border` outside
  /// the tensor.
  HaloBlock<Tensor> gather(T border) const {
    HaloBlock<Tensor> const block = unset();
    if (product(intersection(inside(), mine_).extents) < block.size())
      fill_elements<Space>(block.data(), block.size(), border);
    Exchange<Space, T> moved(group_, pool());
    moved.keep(x_.data(), box_in(kept(), x_.block()), block.data(), box_in(kept(), mine_));
    for_each_other([&](int member, Block const& given, Block const& taken) {
      moved.outgoing.add(member, x_.data(), box_in(given, x_.block()));
      moved.incoming.add(member, block.data(), box_in(taken, mine_));
    });
    if (is_local_) moved.copy_kept();
    else moved.run(bound_ * group_.size);
    return block;
  }

  /// The transpose of `gather`: each element's sum over all boxes that hold it, by one all-to-all over the axes, added
  /// in the order of the ranks, and rounded once.
  Tensor scatter_sum(HaloBlock<Tensor, Number> const& block) const {
    Widened<Tensor> const sum(x_.mesh(), x_.extents());
    Exchange<Space, Number> moved(group_, pool());
    moved.keep(block.data(), box_in(kept(), mine_), sum.data(), box_in(kept(), sum.block()));
    for_each_other([&](int member, Block const& given, Block const& taken) {
      moved.outgoing.add(member, block.data(), box_in(taken, mine_));
      moved.incoming.add(member, sum.data(), box_in(given, sum.block()));
    });
    if (is_local_) moved.copy_kept(true);
    else moved.run(bound_ * group_.size, true);
    if constexpr (is_rounded<T>) return eval(convert<T>(sum));
    else return sum;
  }

 private:
  /// A box that is to be held. Throws ExtentError where it has more bytes than a tensor may have.
  Block checked(Block const& box) const {
    if (!fits(box.extents, Tensor::max_bytes / element_size))
      throw ExtentError(concat("halo of '", x_.name(), "' ", text_of(x_.extents()), ": a box of extents ",
                               text_of(box.extents), " has more than 2^62 bytes"));
    return box;
  }

  MemoryPool& pool() const { return x_.memory(); }
  Block inside() const {
    Block whole{x_.extents(), x_.extents()};
    for (std::int64_t& offset : whole.offsets) offset = 0;
    return whole;
  }
  Block kept() const { return intersection(x_.block(), mine_); }

  /// Calls `visit(member, given, taken)` for the other members of the group.
  template <class Visit>
  void for_each_other(Visit const& visit) const {
    for (int member = 0; member < group_.size; ++member)
      if (member != group_.rank)
        visit(member, gives_[static_cast<std::size_t>(member)], takes_[static_cast<std::size_t>(member)]);
  }

  std::int64_t elements_of_others(std::vector<Block> const& boxes) const {
    std::int64_t sum = 0;
    for (int member = 0; member < group_.size; ++member)
      if (member != group_.rank) sum += product(boxes[static_cast<std::size_t>(member)].extents);
    return sum;
  }

  Tensor x_;
  Group const& group_;
  Needed needed_;
  Block mine_;
  std::vector<Block> gives_;  // to each member, of this rank's block
  std::vector<Block> takes_;  // from each member, into this rank's box
  std::int64_t bound_ = 0;
  bool is_local_ = true;
};

/// The block of each rank, wider by `low` and `high`; an empty block needs nothing.
template <AnyTensor Tensor>
struct WidenedBlock {
  Tensor x;
  std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)> low;
  std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)> high;

  Block operator()(std::vector<int> const& coordinates) const {
    Block block = block_of(Tensor::layout, x.extents(), x.mesh_state(), coordinates);
    if (product(block.extents) == 0) return block;
    for (int d = 0; d < Tensor::rank; ++d) {
      block.offsets[d] -= low[static_cast<std::size_t>(d)];
      block.extents[d] = std::max<std::int64_t>(
          0, block.extents[d] + low[static_cast<std::size_t>(d)] + high[static_cast<std::size_t>(d)]);
    }
    return block;
  }
};

/// Throws StateError where x is unset, and ExtentError where positions do not fit into 64 bits.
template <AnyTensor Tensor>
auto widening(std::string_view operation, Tensor const& x,
              std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)> const& low,
              std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)> const& high) {
  require_set(operation, {{"tensor", x}});
  constexpr std::int64_t most = std::int64_t{1} << 60;
  for (auto const& widths : {low, high})
    for (std::int64_t const width : widths)
      if (width < -most || width > most)
        throw ExtentError(concat(operation, ": a halo of width ", width, "; widths are at most 2^60"));
  return HaloPlan<Tensor, WidenedBlock<Tensor>>(x, Tensor::layout.split(), {x, low, high});
}

}  // namespace detail

/// The widths of a halo, one for each dimension of `Tensor`.
template <AnyTensor Tensor>
using Widths = std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)>;

/// This rank's block with `low` elements before and `high` behind it along each dimension (negative: fewer), for
/// stencils of one's own. Widths may exceed the neighbour's block; outside the tensor stands `border`. Communication:
/// one all-to-all over the axes that split the tensor, in which only neighbours send; none where no rank lacks
/// anything. Source: paper 3.3.3.
template <AnyTensor Tensor>
HaloBlock<Tensor> exchange_halo(Tensor const& x, Widths<Tensor> const& low, Widths<Tensor> const& high,
                                typename Tensor::value_type border = {}) {
  return detail::widening("exchange_halo", x, low, high).gather(border);
}

/// The transpose of exchange_halo, for its gradient: the sum, for each element of the tensor, of what the ranks' blocks
/// of these widths hold for it. Throws ExtentError where the block was made with other widths.
template <AnyTensor Tensor, class T>
Tensor sum_halo(HaloBlock<Tensor, T> const& block, Widths<Tensor> const& low, Widths<Tensor> const& high) {
  auto const plan = detail::widening("sum_halo", block.owner(), low, high);
  plan.require_box("sum_halo", block.box());
  if constexpr (detail::is_rounded<T>) {
    auto const sums = plan.unset_sums();
    detail::convert_elements<typename Tensor::memory_space>(sums.data(), block.data(), block.size());
    return plan.scatter_sum(sums);
  } else {
    return plan.scatter_sum(block);
  }
}

/// What exchange_halo sends and receives on this rank.
template <AnyTensor Tensor>
HaloBytes halo_bytes(Tensor const& x, Widths<Tensor> const& low, Widths<Tensor> const& high) {
  return detail::widening("halo_bytes", x, low, high).bytes();
}

}  // namespace gshard
