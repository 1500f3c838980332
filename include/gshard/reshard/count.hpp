// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/comm/message.hpp>
#include <gshard/core/bfloat16.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/reshard/exchange.hpp>

// What a movement of a reshard asks of a rank, where nothing moves: the same messages, bytes and temporaries as where
// something does, from this rank's blocks and not from those of every other rank.

namespace gshard::detail {

/// What the blocks of one dimension share with a window of it, over all coordinates along some of the axes that cut the
/// dimension.
struct Overlaps {
  std::int64_t blocks = 0;    ///< that share anything
  std::int64_t elements = 0;  ///< that they share, all together
  std::int64_t single = 0;    ///< blocks that share one element
  std::int64_t whole = 0;     ///< blocks that share the window
  AxisSet cuts;               ///< axes along which several blocks share something

  constexpr void add(Overlaps const& other, std::int64_t times = 1) {
    blocks += times * other.blocks;
    elements += times * other.elements;
    single += times * other.single;
    whole += times * other.whole;
    cuts |= other.cuts;
  }
};

/// Overlaps in a number of steps that does not depend on how many ranks there are: blocks that lie inside the window
/// are alike.
struct DimensionOverlaps {
  Range window;
  AxisList const& axes;
  AxisSet varying;
  MeshState const& mesh;

  Overlaps of(Range block, int level = 0) const {
    Range const shared = intersection(window, block);
    if (shared.size() == 0) return {};
    if (level == axes.size())
      return {1, shared.size(), shared.size() == 1 ? 1 : 0, shared.size() == window.size() ? 1 : 0, {}};
    int const axis = axes[level];
    auto part = [&](std::int64_t index) {
      Range const cut = shard_range(block.size(), mesh.size(axis), index);
      return of({block.begin + cut.begin, block.begin + cut.end}, level + 1);
    };
    if (!varying.contains(axis)) return part(mesh.coordinate(axis));
    std::int64_t const length = shard_range(block.size(), mesh.size(axis), 0).size();
    std::int64_t const first = (shared.begin - block.begin) / length;
    std::int64_t const last = (shared.end - 1 - block.begin) / length;
    Overlaps const at_first = part(first);
    Overlaps const at_last = last > first ? part(last) : Overlaps{};
    Overlaps const between = last > first + 1 ? part(first + 1) : Overlaps{};
    Overlaps all = at_first;
    all.add(at_last);
    all.add(between, last - first - 1);
    std::int64_t const sharing =
        (at_first.blocks > 0 ? 1 : 0) + (at_last.blocks > 0 ? 1 : 0) + (between.blocks > 0 ? last - first - 1 : 0);
    if (sharing > 1) all.cuts |= AxisSet::of(axis);
    return all;
  }
};

/// The pieces of a block that ranks along some axes hold in a layout, each a box.
struct PieceCount {
  std::int64_t pieces = 1;
  std::int64_t elements = 1;
  std::int64_t contiguous = 0;  ///< pieces whose elements lie in a row in the block
  bool in_order = true;         ///< whether the pieces come in the order of the ranks
};

inline PieceCount pieces_of_block(Block const& block, Layout const& layout, Extents const& extents,
                                  MeshState const& mesh, AxisSet axes) {
  PieceCount count;
  std::int64_t whole_rows = 1;     // pieces that are whole in the dimensions seen so far
  std::int64_t pieces_of_row = 0;  // other contiguous ones
  int before = mesh.axis_count();
  for (int d = layout.rank() - 1; d >= 0; --d) {
    Range const window{block.offsets[d], block.offsets[d] + block.extents[d]};
    Overlaps const along = DimensionOverlaps{window, layout.dimensions[d], axes, mesh}.of({0, extents[d]});
    count.pieces *= along.blocks;
    count.elements *= along.elements;
    pieces_of_row = whole_rows * (along.blocks - along.whole) + pieces_of_row * along.single;
    whole_rows *= along.whole;
    for (int i = layout.dimensions[d].size() - 1; i >= 0; --i) {
      int const axis = layout.dimensions[d][i];
      if (!along.cuts.contains(axis)) continue;
      count.in_order = count.in_order && axis < before;
      before = axis;
    }
  }
  count.contiguous = whole_rows + pieces_of_row;
  return count;
}

/// The elements of a packed buffer for all pieces but this rank's own; none where they all lie in the block as they
/// should.
inline std::int64_t packed_elements(PieceCount const& all, Block const& own, Block const& block, bool own_is_packed) {
  std::int64_t const kept = own_is_packed ? 0 : product(own.extents);
  bool const apart = kept > 0 && !box_in(own, block).is_contiguous();
  return all.contiguous + (apart ? 1 : 0) == all.pieces ? 0 : all.elements - kept;
}

/// Enters an exchange among the ranks along `axes`, by which this rank's block becomes another.
template <class T>
void count_exchange(MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& from,
                    Block const& before, Layout const& to, Block const& after) {
  Block const own = intersection(before, after);
  std::int64_t const kept = product(own.extents);
  std::int64_t const replicas = mesh.size(axes - to.split());
  PieceCount const sent = pieces_of_block(before, to, extents, mesh, axes);
  PieceCount const received = pieces_of_block(after, from, extents, mesh, axes);
  Scratch<AbstractSpace> scratch(mesh.memory());
  // What several ranks want is packed once, this rank's own piece where others want it too.
  scratch.get<T>(packed_elements(sent, own, before, replicas > 1));
  scratch.get<T>(packed_elements(received, own, after, false));
  comm::detail::only_counted(mesh.group(axes), Collective::all_to_all, sent.pieces * replicas - (kept > 0 ? 1 : 0),
                             (sent.elements * replicas - kept) * static_cast<std::int64_t>(sizeof(T)));
}

/// Enters a collective of which `whole` is the buffer of all ranks' parts, held by them in `parts`.
template <class T>
void count_ring(Collective collective, MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& parts,
                Block const& whole, Scratch<AbstractSpace>& scratch) {
  PieceCount const pieces = pieces_of_block(whole, parts, extents, mesh, axes);
  if (pieces.contiguous < pieces.pieces || !pieces.in_order) scratch.get<T>(pieces.elements);
  Group const& group = mesh.group(axes);
  comm::detail::only_counted(group, collective, group.size - 1,
                             comm::detail::ring_bytes<T>(group, product(whole.extents)));
}

template <class T>
void count_all_gather(MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& from,
                      Block const& after) {
  Scratch<AbstractSpace> scratch(mesh.memory());
  count_ring<T>(Collective::all_gather, mesh, axes, extents, from, after, scratch);
}

template <class T>
void count_reduce_scatter(MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& to,
                          Block const& before, Block const& after) {
  Scratch<AbstractSpace> scratch(mesh.memory());
  count_ring<T>(Collective::reduce_scatter, mesh, axes, extents, to, before, scratch);
  if constexpr (is_rounded<T>) scratch.get<T>(product(after.extents) * mesh.size(axes));
}

}  // namespace gshard::detail
