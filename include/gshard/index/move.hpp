// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/comm/all_to_all.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/index/progression.hpp>
#include <gshard/tensor/copy_block.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard::detail {

/// Elements of one tensor on their way into another of the same layout.
template <AnyTensor Tensor>
struct Move {
  Tensor source;
  Progressions map;
};

/// Carries out moves into `result`, all of them in one exchange among the ranks that differ along `axes`: those that
/// split the dimensions in which something moves. Each element travels at most once, and none where every rank has what
/// it needs. With `add` elements are added.
template <AnyTensor Tensor>
class MoveExchange {
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;

 public:
  MoveExchange(std::vector<Move<Tensor>> const& moves, Tensor const& result, AxisSet axes, bool add)
      : moves_(moves), result_(result), axes_(axes), group_(result.mesh_state().group(axes)), add_(add) {}

  void run() const {
    Kokkos::Profiling::ScopedRegion const region("gshard::move");
    for (Move<Tensor> const& move : moves_) {
      Progressions const kept = part(move, coordinates(group_.rank), coordinates(group_.rank));
      copy(result_.data(), result_.block(), move.source.data(), move.source.block(), kept);
    }
    if (!is_local()) exchange();
  }

 private:
  std::vector<int> coordinates(int member) const { return result_.mesh_state().member_coordinates(axes_, member); }

  /// What of a move leads from the rank at `from` to the rank at `to`.
  Progressions part(Move<Tensor> const& move, std::vector<int> const& from, std::vector<int> const& to) const {
    MeshState const& mesh = result_.mesh_state();
    Block const source = block_of(Tensor::layout, move.source.extents(), mesh, from);
    Block const target = block_of(Tensor::layout, result_.extents(), mesh, to);
    Progressions result;
    for (int d = 0; d < Tensor::rank; ++d)
      result.push_back(restricted(move.map[d], {source.offsets[d], source.offsets[d] + source.extents[d]},
                                  {target.offsets[d], target.offsets[d] + target.extents[d]}));
    return result;
  }

  /// Whether every rank of the group has what it needs, a fact that all of them see.
  bool is_local() const {
    for (int member = 0; member < group_.size; ++member)
      for (Move<Tensor> const& move : moves_)
        if (count_of(part(move, coordinates(member), coordinates(member))) < needed_of_group(move, coordinates(member)))
          return false;
    return true;
  }

  /// How many elements the rank at `at` gets from the ranks of its group, itself included.
  std::int64_t needed_of_group(Move<Tensor> const& move, std::vector<int> const& at) const {
    MeshState const& mesh = result_.mesh_state();
    Block const target = block_of(Tensor::layout, result_.extents(), mesh, at);
    Block const source = block_of(Tensor::layout, move.source.extents(), mesh, at);
    std::int64_t count = 1;
    for (int d = 0; d < Tensor::rank; ++d) {
      bool const moves = !(set_of(Tensor::layout.dimensions[d]) & axes_).empty();
      Range const from =
          moves ? Range{0, move.source.extent(d)} : Range{source.offsets[d], source.offsets[d] + source.extents[d]};
      count *= restricted(move.map[d], from, {target.offsets[d], target.offsets[d] + target.extents[d]}).count;
    }
    return count;
  }

  void exchange() const {
    MemoryPool& pool = result_.memory();
    Scratch<Space> scratch(pool);
    std::vector<int> const here = coordinates(group_.rank);
    std::vector<std::int64_t> sent(static_cast<std::size_t>(group_.size), 0);
    std::vector<std::int64_t> received = sent;
    std::int64_t bound = 0;
    for (int member = 0; member < group_.size; ++member) {
      std::vector<int> const there = coordinates(member);
      std::size_t const i = static_cast<std::size_t>(member);
      bound = saturated_sum(bound,
                            product(block_of(Tensor::layout, result_.extents(), result_.mesh_state(), there).extents));
      for (Move<Tensor> const& move : moves_) {
        bound = saturated_sum(
            bound, product(block_of(Tensor::layout, move.source.extents(), result_.mesh_state(), there).extents));
        if (member == group_.rank) continue;
        sent[i] += count_of(part(move, here, there));
        received[i] += count_of(part(move, there, here));
      }
    }
    comm::Parts const outgoing(std::move(sent));
    comm::Parts const incoming(std::move(received));
    T* const packed = scratch.template get<T>(comm::detail::total(outgoing.counts));
    T* const arrived = scratch.template get<T>(comm::detail::total(incoming.counts));
    for_each_part(
        outgoing, [&](Move<Tensor> const& move, int member) { return part(move, here, coordinates(member)); },
        [&](Move<Tensor> const& move, Progressions const& way, std::int64_t offset) {
          pack(packed + offset, move, way);
        });
    fence<Space>("gshard: local work before communication");
    comm::all_to_all(group_, static_cast<T const*>(packed), outgoing, arrived, incoming, bound);
    for_each_part(
        incoming, [&](Move<Tensor> const& move, int member) { return part(move, coordinates(member), here); },
        [&](Move<Tensor> const&, Progressions const& way, std::int64_t offset) { unpack(arrived + offset, way); });
  }

  /// Calls `visit(move, way, offset)` for all parts that go to, or come from, other ranks, in the order of ranks and
  /// moves.
  template <class Way, class Visit>
  void for_each_part(comm::Parts const& parts, Way const& way_of, Visit const& visit) const {
    for (int member = 0; member < group_.size; ++member) {
      if (member == group_.rank) continue;
      std::int64_t offset = parts.offsets[static_cast<std::size_t>(member)];
      for (Move<Tensor> const& move : moves_) {
        Progressions const way = way_of(move, member);
        if (count_of(way) > 0) visit(move, way, offset);
        offset += count_of(way);
      }
    }
  }

  static Extents counts_of(Progressions const& way) {
    Extents counts;
    for (Progression const& dimension : way) counts.push_back(dimension.count);
    return counts;
  }

  /// The first element on a side of a way inside a packed block, and the steps from one element to the next.
  static std::int64_t from_position(Progressions const& way, Block const& block, Extents& strides) {
    strides = packed_strides(block.extents);
    std::int64_t position = 0;
    for (int d = 0; d < way.size(); ++d) {
      position += (way[d].from - block.offsets[d]) * strides[d];
      strides[d] *= way[d].from_step;
    }
    return position;
  }
  static std::int64_t to_position(Progressions const& way, Block const& block, Extents& strides) {
    strides = packed_strides(block.extents);
    std::int64_t position = 0;
    for (int d = 0; d < way.size(); ++d) {
      position += (way[d].to - block.offsets[d]) * strides[d];
      strides[d] *= way[d].to_step;
    }
    return position;
  }

  void transfer(T* to, Extents const& to_strides, T const* from, Extents const& from_strides,
                Extents const& counts) const {
    if (add_) add_strided<T, Space>(to, to_strides, from, from_strides, counts);
    else copy_strided<T, Space>(to, to_strides, from, from_strides, counts);
  }

  void copy(T* result, Block const& target, T const* elements, Block const& source, Progressions const& way) const {
    if (count_of(way) == 0) return;
    Extents to_strides, from_strides;
    std::int64_t const to = to_position(way, target, to_strides);
    std::int64_t const from = from_position(way, source, from_strides);
    transfer(result + to, to_strides, elements + from, from_strides, counts_of(way));
  }

  void pack(T* packed, Move<Tensor> const& move, Progressions const& way) const {
    Extents from_strides;
    std::int64_t const from = from_position(way, move.source.block(), from_strides);
    copy_strided<T, Space>(packed, packed_strides(counts_of(way)), move.source.data() + from, from_strides,
                           counts_of(way));
  }

  void unpack(T const* arrived, Progressions const& way) const {
    Extents to_strides;
    std::int64_t const to = to_position(way, result_.block(), to_strides);
    transfer(result_.data() + to, to_strides, arrived, packed_strides(counts_of(way)), counts_of(way));
  }

  std::vector<Move<Tensor>> const& moves_;
  Tensor const& result_;
  AxisSet axes_;
  Group const& group_;
  bool add_;
};

}  // namespace gshard::detail
