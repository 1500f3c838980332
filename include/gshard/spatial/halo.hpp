// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/expr/cast.hpp>
#include <gshard/reshard/exchange.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

namespace detail {

/// Elements of a box of global indices: packed, LayoutRight.
template <class T, class MemorySpace>
class BoxBuffer {
 public:
  /// Allocates the elements of `box`; they are not set. Throws MemoryError.
  BoxBuffer(MemoryPool& memory, Block const& box)
      : box_(box), storage_(memory.template allocate<MemorySpace>(static_cast<std::size_t>(size()) * sizeof(T))) {}

  /// Returns offsets and extents of the box.
  Block const& box() const { return box_; }
  /// Returns the number of elements of the box.
  std::int64_t size() const { return product(box_.extents); }
  /// Returns a pointer to the first element.
  T* data() const { return static_cast<T*>(storage_.get()); }

 private:
  Block box_;
  std::shared_ptr<void> storage_;
};

}  // namespace detail

/// Box of global indices around a rank's block of a tensor, with a copy of its elements: packed, LayoutRight. Index 0
/// along dimension d is global index `range(d).begin`. The box may reach outside the tensor; there `exchange_halo`
/// stores the border value. `T` may differ from the element type of the tensor: sums of BFloat16 are held in float.
/// Does not keep the elements of the tensor.
template <AnyTensor Tensor, class T = typename Tensor::value_type>
class HaloBlock {
 public:
  using value_type = T;
  using memory_space = typename Tensor::memory_space;

  /// Allocates `box`, given by global indices of `owner`; the elements are not set. Throws MemoryError.
  HaloBlock(Tensor const& owner, detail::Block const& box) : owner_(owner), elements_(owner.memory(), box) {}

  /// Returns the shape and the mesh of the tensor whose indices the box refers to.
  Unread<Tensor> const& owner() const { return owner_; }
  /// Returns offsets and extents of the box.
  detail::Block const& box() const { return elements_.box(); }
  /// Returns the global indices of the box along `dimension`; may begin below 0 or end beyond the extent of the tensor.
  Range range(int dimension) const {
    return {box().offsets[dimension], box().offsets[dimension] + box().extents[dimension]};
  }
  /// Returns the extents of the box.
  Extents const& extents() const { return box().extents; }
  /// Returns the number of elements of the box.
  std::int64_t size() const { return elements_.size(); }

  /// Returns the elements as an unmanaged Kokkos::View, LayoutRight, valid while a copy of this object exists.
  auto local() const { return detail::local_view<value_type, Tensor::rank, memory_space>(data(), box().extents); }
  /// Returns a pointer to the first element.
  value_type* data() const { return elements_.data(); }

 private:
  Unread<Tensor> owner_;
  detail::BoxBuffer<T, memory_space> elements_;
};

/// Bytes that a halo exchange sends from, and receives on, this rank.
struct HaloBytes {
  std::int64_t sent = 0;
  std::int64_t received = 0;
};

namespace detail {

/// Plan of a halo exchange: `needed(coordinates)` returns the box that the rank at these mesh coordinates works on.
/// Exchanges with the ranks that differ from this one along `axes` only. One exchange covers all dimensions, so corners
/// travel in one step and a halo may be wider than the neighbour's block. Holds the shape of the tensor, not its
/// elements.
template <AnyTensor Tensor, class Needed>
class HaloPlan {
  using T = typename Tensor::value_type;
  using Number = Computed<T>;
  using Space = typename Tensor::memory_space;
  static constexpr std::int64_t element_size = sizeof(T);

 public:
  /// Plans the exchange of a tensor with the mesh and the extents of `x`, a tensor or an Unread one.
  template <class X>
  HaloPlan(X const& x, AxisSet axes, Needed needed)
      : mesh_(x.mesh()), extents_(x.extents()), group_(mesh_.state().group(axes)), needed_(std::move(needed)) {
    MeshState const& mesh = mesh_.state();
    own_ = block_of(Tensor::layout, extents_, mesh, mesh.coordinates());
    mine_ = checked(x, needed_(mesh.coordinates()));
    for (int member = 0; member < group_.size; ++member) {
      std::vector<int> const coordinates = mesh.member_coordinates(axes, member);
      Block const own = block_of(Tensor::layout, extents_, mesh, coordinates);
      Block const needed_there = checked(x, needed_(coordinates));
      bound_ = std::max({bound_, product(own.extents), product(needed_there.extents)});
      is_local_ = is_local_ && product(intersection(own, needed_there).extents) ==
                                   product(intersection(inside(), needed_there).extents);
      gives_.push_back(intersection(own_, needed_there));
      takes_.push_back(intersection(own, mine_));
    }
  }

  /// Returns the bytes that `gather` moves.
  HaloBytes bytes() const {
    if (is_local_) return {};
    return {elements_of_others(gives_) * element_size, elements_of_others(takes_) * element_size};
  }

  /// Throws ExtentError if `box` is not the box of this rank.
  void require_box(std::string_view operation, Block const& box) const {
    if (box != mine_)
      throw ExtentError(concat(operation, ": the block has extents ", text_of(box.extents), ", but these widths make ",
                               text_of(mine_.extents), " of the block of rank ", mesh_.rank(),
                               "; give the widths that it was made with"));
  }

  /// Returns the block of this rank.
  Block const& own() const { return own_; }

  /// Returns the box of this rank for sums, elements not set.
  BoxBuffer<Number, Space> unset_sums() const { return {memory(), mine_}; }

  /// Returns the box of this rank of x, filled; positions outside the tensor are `border`.
  /// Precondition: x has the shape of the plan.
  /// Communication: one all-to-all over the axes, bytes per rank: bytes(); none if no rank lacks an element.
  HaloBlock<Tensor> gather(Tensor const& x, T border) const {
    HaloBlock<Tensor> const block(x, mine_);
    if (product(intersection(inside(), mine_).extents) < block.size())
      fill_elements<Space>(block.data(), block.size(), border);
    Exchange<Space, T> moved(group_, memory());
    moved.keep(x.data(), box_in(kept(), own_), block.data(), box_in(kept(), mine_));
    for_each_other([&](int member, Block const& given, Block const& taken) {
      moved.outgoing.add(member, x.data(), box_in(given, own_));
      moved.incoming.add(member, block.data(), box_in(taken, mine_));
    });
    if (is_local_) moved.copy_kept();
    else moved.run(saturated_product(bound_, group_.size));
    return block;
  }

  /// Returns the transpose of `gather`: the sum of each element over all boxes that hold it, added in ascending order
  /// of the ranks and rounded once. `elements` are those of the box of this rank.
  /// Communication: that of `gather` in the opposite direction, elements of the type `Computed<T>`.
  Tensor scatter_sum(Number* elements) const {
    Widened<Tensor> const sum(mesh_, extents_);
    Exchange<Space, Number> moved(group_, memory());
    moved.keep(elements, box_in(kept(), mine_), sum.data(), box_in(kept(), own_));
    for_each_other([&](int member, Block const& given, Block const& taken) {
      moved.outgoing.add(member, elements, box_in(taken, mine_));
      moved.incoming.add(member, sum.data(), box_in(given, own_));
    });
    if (is_local_) moved.copy_kept(true);
    else moved.run(saturated_product(bound_, group_.size), true);
    if constexpr (is_rounded<T>) return eval(cast<T>(sum));
    else return sum;
  }

 private:
  /// Returns the box. Throws ExtentError if it has more bytes than a tensor may have.
  template <class X>
  static Block checked(X const& x, Block const& box) {
    if (!fits(box.extents, Tensor::max_bytes / element_size))
      throw ExtentError(concat("halo of ", name_of(x), text_of(x.extents()), ": a box of extents ",
                               text_of(box.extents), " has more than 2^62 bytes"));
    return box;
  }
  /// Returns the name of a tensor for a message; of an Unread one, nothing.
  template <class X>
  static std::string name_of(X const& x) {
    if constexpr (AnyTensor<X>) return concat("'", x.name(), "' ");
    else return {};
  }

  MemoryPool& memory() const { return mesh_.memory(); }
  /// Returns the box of the whole tensor.
  Block inside() const {
    Block whole{extents_, extents_};
    for (std::int64_t& offset : whole.offsets) offset = 0;
    return whole;
  }
  /// Returns the elements that this rank both holds and needs.
  Block kept() const { return intersection(own_, mine_); }

  /// Calls `visit(member, given, taken)` for each other member of the group.
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

  typename Tensor::mesh_type mesh_;
  Extents extents_;
  Group const& group_;
  Needed needed_;
  Block own_;
  Block mine_;
  std::vector<Block> gives_;  // box of this rank's block that each member needs
  std::vector<Block> takes_;  // box of each member's block that this rank needs
  std::int64_t bound_ = 0;    // largest block or box of any member; the same on every rank
  bool is_local_ = true;
};

/// Returns the block of each rank of a tensor of these extents, widened by `low` and `high`; an empty block stays
/// empty.
template <AnyTensor Tensor>
struct WidenedBlock {
  typename Tensor::mesh_type mesh;
  Extents extents;
  std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)> low;
  std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)> high;

  Block operator()(std::vector<int> const& coordinates) const {
    Block block = block_of(Tensor::layout, extents, mesh.state(), coordinates);
    if (product(block.extents) == 0) return block;
    for (int d = 0; d < Tensor::rank; ++d) {
      block.offsets[d] -= low[static_cast<std::size_t>(d)];
      block.extents[d] = std::max<std::int64_t>(
          0, block.extents[d] + low[static_cast<std::size_t>(d)] + high[static_cast<std::size_t>(d)]);
    }
    return block;
  }
};

/// Returns the halo plan of blocks widened by `low` and `high`; `x` is a tensor, or an Unread one.
/// Throws StateError if x is unset, ExtentError if a width is beyond 2^60 or a box has more than 2^62 bytes.
template <AnyTensor Tensor, class Shape>
auto widening(std::string_view operation, Shape const& x,
              std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)> const& low,
              std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)> const& high) {
  if constexpr (AnyTensor<Shape>) require_set(operation, {{"tensor", x}});
  constexpr std::int64_t most = std::int64_t{1} << 60;
  for (auto const& widths : {low, high})
    for (std::int64_t const width : widths)
      if (width < -most || width > most)
        throw ExtentError(concat(operation, ": a halo of width ", width, "; widths are at most 2^60"));
  return HaloPlan<Tensor, WidenedBlock<Tensor>>(x, Tensor::layout.split(), {x.mesh(), x.extents(), low, high});
}

}  // namespace detail

/// Widths of a halo on one side, in elements, one for each dimension of `Tensor`.
template <AnyTensor Tensor>
using Widths = std::array<std::int64_t, static_cast<std::size_t>(Tensor::rank)>;

/// Returns this rank's block widened along each dimension by `low` elements below and `high` elements above, for
/// stencil kernels. Negative widths narrow it. Widths may exceed the neighbour's block. Positions outside the tensor
/// are `border`. An empty block stays empty.
/// Communication: one all-to-all over the axes that split the tensor, in which a rank sends only elements that another
/// rank needs (bytes per rank: `halo_bytes`); none if no rank lacks an element.
/// Throws StateError if x is unset, ExtentError if a width is beyond 2^60 or a box has more than 2^62 bytes.
/// Source: paper 3.3.3.
template <AnyTensor Tensor>
HaloBlock<Tensor> exchange_halo(Tensor const& x, Widths<Tensor> const& low, Widths<Tensor> const& high,
                                typename Tensor::value_type border = {}) {
  return detail::widening<Tensor>("exchange_halo", x, low, high).gather(x, border);
}

/// Returns the transpose of exchange_halo, its gradient: for each element of the tensor, the sum over the ranks' blocks
/// that hold it. Elements outside the tensor are dropped. BFloat16 is summed in float and rounded once.
/// Precondition: `low` and `high` are the widths that `block` was made with.
/// Communication: that of exchange_halo in the opposite direction, in float for BFloat16.
/// Throws ExtentError if the box of `block` does not fit the widths.
template <AnyTensor Tensor, class T>
Tensor sum_halo(HaloBlock<Tensor, T> const& block, Widths<Tensor> const& low, Widths<Tensor> const& high) {
  auto const plan = detail::widening<Tensor>("sum_halo", block.owner(), low, high);
  plan.require_box("sum_halo", block.box());
  if constexpr (detail::is_rounded<T>) {
    auto const sums = plan.unset_sums();
    detail::convert_elements<typename Tensor::memory_space>(sums.data(), block.data(), block.size());
    return plan.scatter_sum(sums.data());
  } else {
    return plan.scatter_sum(block.data());
  }
}

/// Returns the bytes that exchange_halo sends from and receives on this rank. No communication.
/// Throws as exchange_halo does.
template <AnyTensor Tensor>
HaloBytes halo_bytes(Tensor const& x, Widths<Tensor> const& low, Widths<Tensor> const& high) {
  return detail::widening<Tensor>("halo_bytes", x, low, high).bytes();
}

}  // namespace gshard
