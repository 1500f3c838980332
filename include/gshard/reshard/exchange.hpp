// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/comm/all_to_all.hpp>
#include <gshard/reshard/kernels/copy_segments.hpp>
#include <gshard/tensor/copy_block.hpp>
#include <gshard/tensor/layout.hpp>

// All-to-all of boxes, used by reshards, halos, moved indices and reshapes. The caller lists the boxes of each message;
// `Exchange` packs, communicates and unpacks.

namespace gshard::detail {

/// Describes a box of elements inside a packed block by offset, extents and strides, all in elements.
struct StridedBox {
  std::int64_t offset = 0;  ///< offset of the first element
  Extents extents;
  Extents strides;

  std::int64_t count() const { return product(extents); }

  /// Returns whether the elements are contiguous in memory.
  bool is_contiguous() const {
    std::int64_t expected = 1;
    for (int d = extents.size() - 1; d >= 0; --d) {
      if (extents[d] != 1 && strides[d] != expected) return false;
      expected *= extents[d];
    }
    return true;
  }
};

/// Returns `box`, given by global indices, relative to the packed `block` that contains it.
inline StridedBox box_in(Block const& box, Block const& block) {
  StridedBox result{0, box.extents, packed_strides(block.extents)};
  if (result.count() == 0) return result;  // the offset of an empty box is arbitrary and may overflow
  for (int d = 0; d < box.extents.size(); ++d) result.offset += (box.offsets[d] - block.offsets[d]) * result.strides[d];
  return result;
}

/// Copies the elements of box `from` to box `to` of the same extents, or adds them.
template <class MemorySpace, class T>
void copy_box(T* destination, StridedBox const& to, T const* source, StridedBox const& from, bool add = false) {
  if (to.count() == 0) return;
  if (add)
    add_strided<T, MemorySpace>(destination + to.offset, to.strides, source + from.offset, from.strides, to.extents);
  else
    copy_strided<T, MemorySpace>(destination + to.offset, to.strides, source + from.offset, from.strides, to.extents);
}

/// Layout of the parts in a PartBuffer.
/// any: in the tensor's own block if every part is contiguous there, else packed into scratch memory.
/// packed: as `any`, but only if the parts also follow one another in the block without gaps.
/// apart: always packed into scratch memory.
enum class PartOrder { any, packed, apart };

/// Holds the parts of a block that a rank sends to, or receives from, each member of a group in one message buffer. The
/// buffer is the block itself if `PartOrder` allows it, else scratch memory.
/// Use: `add` and `repeat` for each member in ascending order, `place` once, then `pack` (sender) or `unpack`
/// (receiver).
template <class MemorySpace, class T>
class PartBuffer {
 public:
  PartBuffer(int members, MemoryPool& pool) : scratch_(pool) {
    parts_.counts.resize(static_cast<std::size_t>(members));
    parts_.offsets.resize(parts_.counts.size());
  }

  /// Appends a box of `block` to the message of `member`. Precondition: members are given in ascending order.
  void add(int member, T* block, StridedBox const& box) {
    if (box.count() > 0) list_.push_back({member, block, box, {}, box.count()});
  }

  /// Appends segments of `block`; the other side of each segment is its position in the packed message.
  void add(int member, T* block, std::vector<Segment> segments) {
    std::int64_t count = 0;
    for (Segment const& segment : segments) count += segment.count;
    if (count > 0) list_.push_back({member, block, {}, std::move(segments), count});
  }

  /// Sends the part of `first`, an earlier member with one part, to `member` as well; it is packed once.
  void repeat(int member, int first) { repeats_.push_back({member, first}); }

  /// Ends the list and allocates the buffer if one is needed.
  void place(PartOrder order) {
    place_packed();
    std::int64_t const packed = list_.empty() ? 0 : list_.back().packed + list_.back().count;
    direct_ = lies_as_it_should(order);
    if (direct_)
      for (Part const& part : list_) parts_.offsets[static_cast<std::size_t>(part.member)] = part.box.offset;
    else packed_ = scratch_.template get<std::remove_const_t<T>>(packed);
    for (auto const& [member, first] : repeats_) {
      parts_.counts[static_cast<std::size_t>(member)] = parts_.counts[static_cast<std::size_t>(first)];
      parts_.offsets[static_cast<std::size_t>(member)] = parts_.offsets[static_cast<std::size_t>(first)];
    }
  }

  /// Returns the message buffer; null if no member has a part. Precondition: `place` has been called.
  T* buffer() const { return !direct_ ? packed_ : list_.empty() ? nullptr : list_.front().block; }
  /// Returns the parts of the members in `buffer()`.
  comm::Parts const& parts() const { return parts_; }

  /// Copies all parts into the message buffer unless the buffer is the block.
  void pack() {
    if (direct_) return;
    for (Part const& part : list_) {
      if (part.segments.empty())
        copy_box<MemorySpace>(packed_ + part.packed, packed_box(part),
                              static_cast<std::remove_const_t<T> const*>(part.block), part.box);
      else copy(part, static_cast<std::remove_const_t<T> const*>(part.block), packed_ + part.packed);
    }
  }

  /// Stores the messages of all members in the block.
  void unpack() {
    for (int member = 0; member < static_cast<int>(parts_.counts.size()); ++member) unpack(member, false);
  }

  /// Stores the message of `member` in the block, or adds it to the block. Precondition: called in ascending order of
  /// the members.
  void unpack(int member, bool add) {
    if (direct_) return;
    for (; unpacked_ < list_.size() && list_[unpacked_].member <= member; ++unpacked_) {
      Part const& part = list_[unpacked_];
      if (part.segments.empty())
        copy_box<MemorySpace>(part.block, part.box, static_cast<T const*>(packed_ + part.packed), packed_box(part),
                              add);
      else copy(part, static_cast<T const*>(packed_ + part.packed), part.block);
    }
  }

 private:
  struct Part {
    int member;
    T* block;
    StridedBox box;
    std::vector<Segment> segments;
    std::int64_t count;
    std::int64_t packed = 0;
  };

  /// Computes counts and offsets of a packed buffer.
  void place_packed() {
    std::int64_t next = 0;
    std::size_t part = 0;
    for (std::size_t member = 0; member < parts_.counts.size(); ++member) {
      parts_.offsets[member] = next;
      for (; part < list_.size() && list_[part].member == static_cast<int>(member); ++part) {
        list_[part].packed = next;
        next += list_[part].count;
      }
      parts_.counts[member] = next - parts_.offsets[member];
    }
  }

  /// Returns whether the block can be the message buffer: every member has at most one part, a contiguous box of one
  /// common block, at the offset that `order` demands.
  bool lies_as_it_should(PartOrder order) const {
    if (order == PartOrder::apart) return list_.empty();
    for (std::size_t i = 0; i < list_.size(); ++i) {
      Part const& part = list_[i];
      if (!part.segments.empty() || part.block != list_.front().block || !part.box.is_contiguous()) return false;
      if (i > 0 && part.member == list_[i - 1].member) return false;
      if (order == PartOrder::packed && part.box.offset != part.packed) return false;
    }
    return true;
  }

  static StridedBox packed_box(Part const& part) { return {0, part.box.extents, packed_strides(part.box.extents)}; }

  /// Copies the segments of a part; one side is the packed buffer.
  void copy(Part const& part, std::remove_const_t<T> const* from, std::remove_const_t<T>* to) {
    copy_segments<MemorySpace>(from, to, part.segments, scratch_);
  }

  Scratch<MemorySpace> scratch_;
  std::vector<Part> list_;
  std::vector<std::pair<int, int>> repeats_;
  comm::Parts parts_;
  std::remove_const_t<T>* packed_ = nullptr;
  std::size_t unpacked_ = 0;
  bool direct_ = true;
};

/// Exchanges elements among the members of a group by one all-to-all. `outgoing` lists what this rank sends to each
/// member, `incoming` what it receives, `keep` what it copies from its own blocks, which is not sent.
/// Communication: all-to-all over the group, the bytes listed in `outgoing` per rank.
template <class MemorySpace, class T>
class Exchange {
 public:
  Exchange(Group const& group, MemoryPool& pool)
      : outgoing(group.size, pool), incoming(group.size, pool), group_(group), scratch_(pool) {}

  PartBuffer<MemorySpace, T const> outgoing;
  PartBuffer<MemorySpace, T> incoming;

  /// Lists a box, or segments, to copy within this rank.
  void keep(T const* source, StridedBox const& from, T* result, StridedBox const& to) {
    if (from.count() > 0) kept_.push_back({source, from, result, to, {}});
  }
  void keep(T const* source, T* result, std::vector<Segment> segments) {
    if (!segments.empty()) kept_.push_back({source, {}, result, {}, std::move(segments)});
  }

  /// Copies the kept elements only. For exchanges in which no member of the group lacks an element.
  void copy_kept(bool add = false) {
    for (Kept const& kept : kept_) {
      if (kept.segments.empty()) copy_box<MemorySpace>(kept.result, kept.to, kept.source, kept.from, add);
      else copy_segments<MemorySpace>(kept.source, kept.result, kept.segments, scratch_);
    }
  }

  /// Runs the exchange; collective over the group. With `add`, arriving and kept elements are added in ascending order
  /// of the members. Precondition: `bound` is the same on every rank, and no member's message buffer has more elements.
  void run(std::int64_t bound, bool add = false, std::int64_t limit = comm::largest_count) {
    outgoing.place(PartOrder::any);
    incoming.place(add ? PartOrder::apart : PartOrder::any);
    outgoing.pack();
    fence<MemorySpace>("gshard: local work before communication");
    if (!add) copy_kept();
    comm::all_to_all(group_, outgoing.buffer(), outgoing.parts(), incoming.buffer(), incoming.parts(), bound, limit);
    for (int member = 0; member < group_.size; ++member) {
      if (add && member == group_.rank) copy_kept(true);
      incoming.unpack(member, add);
    }
  }

 private:
  struct Kept {
    T const* source;
    StridedBox from;
    T* result;
    StridedBox to;
    std::vector<Segment> segments;
  };

  Group const& group_;
  Scratch<MemorySpace> scratch_;
  std::vector<Kept> kept_;
};

}  // namespace gshard::detail
