// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/comm/all_to_all.hpp>
#include <gshard/tensor/copy_block.hpp>
#include <gshard/tensor/layout.hpp>

namespace gshard::detail {

/// Some elements of a block that go to, or come from, one rank.
struct Piece {
  Block box;
  std::int64_t count = 0;
  /// The piece before this one that is the same elements, or -1: they are packed once.
  int same_as = -1;

  Piece() = default;
  explicit Piece(Block const& elements) : box(elements), count(product(elements.extents)) {}
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
void copy_box(T* destination, Block const& destination_block, T const* source, Block const& source_block,
              Block const& box) {
  if (product(box.extents) == 0) return;
  copy_block<T, MemorySpace>(destination, destination_block.extents, relative(box.offsets, destination_block.offsets),
                             source, source_block.extents, relative(box.offsets, source_block.offsets), box.extents);
}

/// Whether a buffer has to hold its parts one after the other, without gaps.
enum class PartOrder { any, packed };

/// The parts of `block` that an exchange sends or receives, in a buffer: the block itself where the parts lie there as
/// they should, else a packed copy.
template <class MemorySpace, class T>
class PartBuffer {
 public:
  PartBuffer(T* data, Block const& block, std::vector<Piece> pieces, PartOrder order, MemoryPool& pool)
      : data_(data), block_(block), pieces_(std::move(pieces)), scratch_(pool) {
    std::vector<std::int64_t> in_place;
    std::int64_t packed = 0;
    for (Piece const& piece : pieces_) {
      parts_.counts.push_back(piece.count);
      parts_.offsets.push_back(piece.same_as >= 0 ? parts_.offsets[static_cast<std::size_t>(piece.same_as)] : packed);
      in_place.push_back(piece.count == 0 ? 0 : position_in(piece.box, block));
      if (piece.same_as < 0) packed += piece.count;
      if (piece.count > 0)
        direct_ = direct_ && is_contiguous(piece.box.extents, block.extents) &&
                  (order == PartOrder::any || in_place.back() == parts_.offsets.back());
    }
    if (direct_) parts_.offsets = std::move(in_place);
    else packed_ = scratch_.template get<std::remove_const_t<T>>(packed);
  }

  T* buffer() const { return direct_ ? data_ : packed_; }
  comm::Parts const& parts() const { return parts_; }

  void pack() const {
    for_each_copied([&](auto* packed, Block const& box) { copy_box<MemorySpace>(packed, box, data_, block_, box); });
  }

  void unpack() const {
    for_each_copied([&](auto* packed, Block const& box) { copy_box<MemorySpace>(data_, block_, packed, box, box); });
  }

 private:
  template <class Copy>
  void for_each_copied(Copy const& copy) const {
    if (direct_) return;
    for (std::size_t i = 0; i < pieces_.size(); ++i)
      if (pieces_[i].count > 0 && pieces_[i].same_as < 0) copy(packed_ + parts_.offsets[i], pieces_[i].box);
  }

  T* data_;
  Block block_;
  std::vector<Piece> pieces_;
  Scratch<MemorySpace> scratch_;
  comm::Parts parts_;
  std::remove_const_t<T>* packed_ = nullptr;
  bool direct_ = true;
};

/// One exchange of pieces among the ranks of a group: what this rank sends to each of them from its old block, and what
/// it receives from each into its new one. What it keeps is copied from block to block and stays out of the messages.
template <class MemorySpace, class T>
struct Exchange {
  Group const& group;
  T const* source;
  Block const& before;
  std::vector<Piece> sent;
  T* result;
  Block const& after;
  std::vector<Piece> received;
  Block kept;
  /// A number of elements that no rank's old or new block exceeds, the same on every rank.
  std::int64_t bound;

  void run(MemoryPool& pool, std::int64_t limit) const {
    PartBuffer<MemorySpace, T const> const outgoing(source, before, sent, PartOrder::any, pool);
    PartBuffer<MemorySpace, T> const incoming(result, after, received, PartOrder::any, pool);
    outgoing.pack();
    fence<MemorySpace>("gshard: local work before communication");
    copy_box<MemorySpace>(result, after, source, before, kept);
    comm::all_to_all(group, outgoing.buffer(), outgoing.parts(), incoming.buffer(), incoming.parts(), bound, limit);
    incoming.unpack();
  }
};

}  // namespace gshard::detail
