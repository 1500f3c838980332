// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/core/checked.hpp>
#include <gshard/index/progression.hpp>
#include <gshard/reshard/exchange.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard::detail {

/// Source tensor and index map of elements that go into another tensor of the same layout.
template <AnyTensor Tensor>
struct Move {
  Tensor source;
  Progressions map;
};

/// Moves elements of several tensors into `result` by one exchange; with `add`, adds them.
/// Precondition: `axes` contains the axes that split the dimensions whose map is not the identity.
/// Communication: one all-to-all over `axes`, each element sent at most once to each rank that needs it; none if every
/// rank holds what it needs.
template <AnyTensor Tensor>
class MoveExchange {
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;

 public:
  MoveExchange(std::vector<Move<Tensor>> const& moves, Tensor const& result, AxisSet axes, bool add)
      : moves_(moves), result_(result), axes_(axes), group_(result.mesh_state().group(axes)), add_(add) {}

  void run() const {
    Kokkos::Profiling::ScopedRegion const region("gshard::move");
    Exchange<Space, T> moved(group_, result_.memory());
    std::vector<int> const here = coordinates(group_.rank);
    std::int64_t bound = 0;
    for (int member = 0; member < group_.size; ++member) {
      std::vector<int> const there = coordinates(member);
      bound = saturated_sum(bound, largest_part(result_, there));
      for (Move<Tensor> const& move : moves_) {
        bound = saturated_sum(bound, largest_part(move.source, there));
        if (member == group_.rank) {
          Progressions const kept = part(move, here, here);
          moved.keep(move.source.data(), from_box(kept, move.source.block()), result_.data(),
                     to_box(kept, result_.block()));
        } else {
          moved.outgoing.add(member, move.source.data(), from_box(part(move, here, there), move.source.block()));
          moved.incoming.add(member, result_.data(), to_box(part(move, there, here), result_.block()));
        }
      }
    }
    if (is_local()) moved.copy_kept(add_);
    else moved.run(bound, add_);
  }

 private:
  std::vector<int> coordinates(int member) const { return result_.mesh_state().member_coordinates(axes_, member); }

  /// Returns the part of a move that leads from the rank at coordinates `from` to the rank at coordinates `to`.
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

  /// Returns whether every rank of the group holds what it needs. Every rank computes it for all members, so that all
  /// take the same branch without communication.
  bool is_local() const {
    for (int member = 0; member < group_.size; ++member)
      for (Move<Tensor> const& move : moves_)
        if (count_of(part(move, coordinates(member), coordinates(member))) < needed_of_group(move, coordinates(member)))
          return false;
    return true;
  }

  /// Returns the number of elements that the rank at coordinates `at` needs from its group, itself included.
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

  /// Returns the size of the block at coordinates `at`, a bound of the messages from and to it.
  static std::int64_t largest_part(Tensor const& tensor, std::vector<int> const& at) {
    return product(block_of(Tensor::layout, tensor.extents(), tensor.mesh_state(), at).extents);
  }

  /// Returns one side of a map, selected by members of Progression, as a box inside a packed block.
  static StridedBox side_of(Progressions const& way, std::int64_t Progression::* first,
                            std::int64_t Progression::* step, Block const& block) {
    if (count_of(way) == 0) return {0, {0}, {1}};
    StridedBox box{0, {}, packed_strides(block.extents)};
    for (int d = 0; d < way.size(); ++d) {
      box.offset += (way[d].*first - block.offsets[d]) * box.strides[d];
      box.extents.push_back(way[d].count);
      box.strides[d] *= way[d].*step;
    }
    return box;
  }
  static StridedBox from_box(Progressions const& way, Block const& block) {
    return side_of(way, &Progression::from, &Progression::from_step, block);
  }
  static StridedBox to_box(Progressions const& way, Block const& block) {
    return side_of(way, &Progression::to, &Progression::to_step, block);
  }

  std::vector<Move<Tensor>> const& moves_;
  Tensor const& result_;
  AxisSet axes_;
  Group const& group_;
  bool add_;
};

}  // namespace gshard::detail
