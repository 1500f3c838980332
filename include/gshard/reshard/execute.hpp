// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/comm/all_gather.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/comm/all_to_all.hpp>
#include <gshard/comm/reduce_scatter.hpp>
#include <gshard/reshard/plan.hpp>
#include <gshard/tensor/copy_block.hpp>

namespace gshard::detail {

/// Some elements of a block that go to, or come from, one rank.
struct Piece {
  Block box;
  std::int64_t count = 0;
};

inline bool is_contiguous(Extents const& box, Extents const& whole) {
  if (product(box) == 0) return true;
  int dimension = box.size() - 1;
  while (dimension >= 0 && box[dimension] == whole[dimension]) --dimension;
  for (--dimension; dimension >= 0; --dimension)
    if (box[dimension] != 1) return false;
  return true;
}

/// The position of the first element of `box` inside the packed `block`.
inline std::int64_t position_in(Block const& box, Block const& block) {
  Extents const strides = packed_strides(block.extents);
  std::int64_t position = 0;
  for (int d = 0; d < strides.size(); ++d) position += (box.offsets[d] - block.offsets[d]) * strides[d];
  return position;
}

inline Extents relative(Extents offsets, Extents const& origin) {
  for (int d = 0; d < offsets.size(); ++d) offsets[d] -= origin[d];
  return offsets;
}

template <class MemorySpace, class T>
void copy_box(T* destination, Block const& destination_block, T const* source, Block const& source_block, Block const& box) {
  if (product(box.extents) == 0) return;
  copy_block<T, MemorySpace>(destination, destination_block.extents, relative(box.offsets, destination_block.offsets), source,
                             source_block.extents, relative(box.offsets, source_block.offsets), box.extents);
}

/// Whether a buffer has to hold its parts one after the other, without gaps.
enum class PartOrder { any, packed };

/// The parts of `block` that an exchange sends or receives, in a buffer: the block itself where the parts lie there as they should, else a packed copy.
template <class MemorySpace, class T>
class PartBuffer {
 public:
  PartBuffer(T* data, Block const& block, std::vector<Piece> pieces, PartOrder order, MemoryPool& pool)
      : data_(data), block_(block), pieces_(std::move(pieces)), scratch_(pool) {
    std::vector<std::int64_t> counts;
    for (Piece const& piece : pieces_) counts.push_back(piece.count);
    parts_ = comm::Parts(std::move(counts));
    comm::Parts in_place = parts_;
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      if (pieces_[i].count == 0) continue;
      in_place.offsets[i] = position_in(pieces_[i].box, block);
      direct_ = direct_ && is_contiguous(pieces_[i].box.extents, block.extents) &&
                (order == PartOrder::any || in_place.offsets[i] == parts_.offsets[i]);
    }
    if (direct_) parts_ = in_place;
    if (!direct_) packed_ = scratch_.template get<std::remove_const_t<T>>(comm::detail::total(parts_.counts));
  }

  T* buffer() const { return direct_ ? data_ : packed_; }
  comm::Parts const& parts() const { return parts_; }

  void pack() const {
    for_each_copied([&](auto* packed, Block const& box) {
      copy_box<MemorySpace>(packed, box, data_, block_, box);
    });
  }

  void unpack() const {
    for_each_copied([&](auto* packed, Block const& box) { copy_box<MemorySpace>(data_, block_, packed, box, box); });
  }

 private:
  template <class Copy>
  void for_each_copied(Copy const& copy) const {
    if (direct_) return;
    for (std::size_t i = 0; i < pieces_.size(); ++i) copy(packed_ + parts_.offsets[i], pieces_[i].box);
  }

  T* data_;
  Block block_;
  std::vector<Piece> pieces_;
  Scratch<MemorySpace> scratch_;
  comm::Parts parts_;
  std::remove_const_t<T>* packed_ = nullptr;
  bool direct_ = true;
};

/// The elements of the largest block of a layout: a bound that all ranks know.
inline std::int64_t largest_block(Layout const& layout, Extents const& extents, MeshState const& mesh) {
  std::vector<int> const first(static_cast<std::size_t>(mesh.axis_count()), 0);
  return product(block_of(layout, extents, mesh, first).extents);
}

/// One tensor on its way between two layouts: the block that this rank has and the one that it gets.
template <class MemorySpace, class T>
struct Transfer {
  MeshState const& mesh;
  Extents const& extents;
  Layout const& from;
  Layout const& to;
  T const* source;
  T* result;
  std::int64_t limit = comm::largest_count;

  Block before(std::vector<int> const& coordinates) const { return block_of(from, extents, mesh, coordinates); }
  Block after(std::vector<int> const& coordinates) const { return block_of(to, extents, mesh, coordinates); }
  Block before() const { return before(mesh.coordinates()); }
  Block after() const { return after(mesh.coordinates()); }

  static void fence() { detail::fence<MemorySpace>("gshard: local work before communication"); }

  std::vector<Piece> pieces(AxisSet axes, auto const& box_of) const {
    std::vector<Piece> list;
    for (int member = 0; member < mesh.group(axes).size; ++member) {
      Block const box = box_of(mesh.member_coordinates(axes, member));
      list.push_back({box, product(box.extents)});
    }
    return list;
  }

  void slice() const { copy_box<MemorySpace>(result, after(), source, before(), intersection(before(), after())); }

  /// Each rank gets, from the members of its group along `axes`, what its new block shares with their old ones.
  void exchange(AxisSet axes) const {
    Block const mine_before = before();
    Block const mine_after = after();
    auto sent = pieces(axes, [&](auto const& member) { return intersection(mine_before, after(member)); });
    auto received = pieces(axes, [&](auto const& member) { return intersection(before(member), mine_after); });
    PartBuffer<MemorySpace, T const> const send(source, mine_before, std::move(sent), PartOrder::any, mesh.memory());
    PartBuffer<MemorySpace, T> const receive(result, mine_after, std::move(received), PartOrder::any, mesh.memory());
    send.pack();
    fence();
    Group const& group = mesh.group(axes);
    std::int64_t const bound = std::max(largest_block(from, extents, mesh) * group.size, largest_block(to, extents, mesh));
    comm::all_to_all(group, send.buffer(), send.parts(), receive.buffer(), receive.parts(), bound, limit);
    receive.unpack();
  }

  void all_gather(AxisSet axes) const {
    Block const mine_after = after();
    auto received = pieces(axes, [&](auto const& member) { return before(member); });
    PartBuffer<MemorySpace, T> const receive(result, mine_after, std::move(received), PartOrder::packed, mesh.memory());
    fence();
    comm::all_gather(mesh.group(axes), source, receive.buffer(), receive.parts().counts, limit);
    receive.unpack();
  }

  void reduce_scatter(AxisSet axes) const {
    Block const mine_before = before();
    auto sent = pieces(axes, [&](auto const& member) { return after(member); });
    PartBuffer<MemorySpace, T const> const send(source, mine_before, std::move(sent), PartOrder::packed, mesh.memory());
    send.pack();
    fence();
    comm::reduce_scatter(mesh.group(axes), send.buffer(), result, send.parts().counts, limit);
  }

  /// Zeros but for the old block, which the first rank along each axis that did not split the tensor before keeps.
  void zero_fill(AxisSet axes) const {
    Block const mine_after = after();
    std::int64_t const count = product(mine_after.extents);
    if (count == 0) return;
    fill_elements<MemorySpace>(result, count, T{});
    for (int axis = 0; axis < mesh.axis_count(); ++axis)
      if (axes.contains(axis) && from.dimension_of(axis) < 0 && mesh.coordinate(axis) != 0) return;
    copy_box<MemorySpace>(result, mine_after, source, before(), before());
  }
};

}  // namespace gshard::detail
