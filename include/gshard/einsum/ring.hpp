// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <gshard/comm/permute.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/einsum/local/contract_rounded.hpp>
#include <gshard/einsum/planned_einsum.hpp>
#include <gshard/einsum/work.hpp>
#include <gshard/tensor/copy_block.hpp>
#include <gshard/tensor/tensor_state.hpp>

namespace gshard {

/// Returns the rank whose window rank `rank` of a ring of `size` ranks multiplies in iteration `iteration`: `(rank +
/// iteration) mod size`, its own first (paper 3.3.2, figure 4).
constexpr int ring_window(int rank, int iteration, int size) { return (rank + iteration) % size; }

/// Returns the rank to which `rank` sends after every iteration but the last: `(rank - 1) mod size`.
constexpr int ring_target(int rank, int size) { return (rank + size - 1) % size; }

/// Returns the rank from which `rank` receives: `(rank + 1) mod size`.
constexpr int ring_source(int rank, int size) { return (rank + 1) % size; }

namespace detail {

/// Block of one tensor on this rank, and the first global index of the block along the letter of the ring.
template <class T>
struct RingSide {
  LocalTensor<T> block;
  std::int64_t begin = 0;

  RingSide() = default;
  RingSide(TensorState const& tensor, Labels const& labels, char letter)
      : block{tensor.elements<T>(), labels, tensor.block.extents} {
    if (int const dimension = labels.find(letter); dimension >= 0) begin = tensor.block.offsets[dimension];
  }

  /// Returns the part of the block at the global indices `range` of `letter`; the whole block if it lacks `letter`.
  LocalTensor<T> window(char letter, Range range) const {
    return block.narrowed(letter, {range.begin - begin, range.end - begin});
  }
};

/// Blocks of one tensor that travel in the ring: one per rank of the group along `axes`.
struct RingBlocks {
  MeshState const& mesh;
  AxisSet axes;
  Layout const& layout;
  Extents const& extents;

  Group const& group() const { return mesh.group(axes); }
  Block block(int member) const { return block_of(layout, extents, mesh, mesh.member_coordinates(axes, member)); }

  /// Returns the number of elements of the largest block.
  std::int64_t largest() const {
    std::int64_t result = 0;
    for (int member = 0; member < group().size; ++member) result = std::max(result, product(block(member).extents));
    return result;
  }
};

/// Runs an einsum as a collective matmul: one local product per rank of a group, on the windows of the tensors that
/// have the letter of the ring, while the next window is communicated (paper 3.3.2, figure 4).
/// `Sum` is the element type of the result, and of the partial sums in the ring.
template <class MemorySpace, class T, class Sum>
class Ring {
 public:
  Ring(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, TensorState const& produced)
      : einsum_(einsum),
        produced_(produced),
        result_(produced, einsum.subscripts.result, letter()),
        scratch_(produced.mesh->memory()) {
    for (std::size_t i = 0; i < operands.size(); ++i)
      sides_.push_back({**operands[i], einsum.subscripts.operands[static_cast<int>(i)], letter()});
  }

  /// Replaces the all-gather of `in_ring`, operand number `position`.
  /// If the result has the letter of the ring, each window writes its own block of the result; if the letter is
  /// contracted, each window adds to the whole result.
  /// Communication: p - 1 permutes in a group of p ranks; each sends one window. At most two receive buffers of the
  /// largest window.
  void contract_windows(TensorState const& moving, int position, bool add) {
    RingBlocks const ring{*produced_.mesh, einsum_.plan.loop.axes, moving.layout, moving.extents};
    int const dimension = einsum_.subscripts.operands[position].find(letter());
    Group const& group = ring.group();
    std::int64_t const room = group.size > 1 ? ring.largest() : 0;
    T* const buffers[2] = {scratch_.template get<T>(room), scratch_.template get<T>(group.size > 2 ? room : 0)};
    T const* current = moving.elements<T>();
    Block window = moving.block;
    for (int iteration = 0; iteration < group.size; ++iteration) {
      comm::Pending next_window;
      Block next;
      if (iteration + 1 < group.size) {
        fence<MemorySpace>("gshard: local work before communication");
        next = ring.block(ring_window(group.rank, iteration + 1, group.size));
        next_window =
            comm::start_permute(group, current, product(window.extents), ring_target(group.rank, group.size),
                                buffers[iteration % 2], product(next.extents), ring_source(group.rank, group.size));
      }
      Range const range = range_of(window, dimension);
      Windows operands;
      for (int i = 0; i < sides_.size(); ++i)
        operands.push_back(i == position ? LocalTensor<T const>{current, einsum_.subscripts.operands[i], window.extents}
                                         : sides_[i].window(letter(), range));
      contract_window(operands, result_.window(letter(), range),
                      add || (iteration > 0 && !einsum_.subscripts.result.contains(letter())));
      next_window.wait();
      current = buffers[iteration % 2];
      window = next;
    }
  }

  /// Replaces the reduce-scatter of the result. In each iteration a rank computes its contribution to one block, while
  /// it receives the sum of the contributions of the ranks before it. The last block is its own.
  /// Communication: p - 1 permutes in a group of p ranks; each sends one block. At most three temporary blocks.
  void sum_blocks(bool add) {
    RingBlocks const ring{*produced_.mesh, einsum_.plan.loop.axes, produced_.layout, produced_.extents};
    int const dimension = einsum_.subscripts.result.find(letter());
    Group const& group = ring.group();
    std::int64_t const room = group.size > 1 ? ring.largest() : 0;
    Sum* const buffers[3] = {scratch_.template get<Sum>(room), scratch_.template get<Sum>(group.size > 2 ? room : 0),
                             scratch_.template get<Sum>(room)};
    std::int64_t sent = 0;
    for (int iteration = 0; iteration < group.size; ++iteration) {
      Block const block = ring.block(ring_window(group.rank, iteration + 1, group.size));
      std::int64_t const count = product(block.extents);
      bool const last = iteration + 1 == group.size;
      Sum* const sum = last ? produced_.elements<Sum>() : buffers[iteration % 3];
      Sum* const incoming = buffers[(iteration + 1) % 3];
      comm::Pending others;
      if (iteration > 0)
        others = comm::start_permute(group, static_cast<Sum const*>(buffers[(iteration - 1) % 3]), sent,
                                     ring_target(group.rank, group.size), incoming, count,
                                     ring_source(group.rank, group.size));
      Windows operands;
      for (RingSide<T const> const& side : sides_)
        operands.push_back(side.window(letter(), range_of(block, dimension)));
      contract_window(operands, LocalTensor<Sum>{sum, einsum_.subscripts.result, block.extents}, add && last);
      others.wait();
      if (iteration > 0) add_strided<Sum, MemorySpace>(sum, {1}, static_cast<Sum const*>(incoming), {1}, {count});
      if (!last) fence<MemorySpace>("gshard: local work before communication");
      sent = count;
    }
  }

 private:
  using Windows = StaticVector<LocalTensor<T const>, 2>;

  char letter() const { return einsum_.plan.loop.letter; }

  /// Returns the global indices of a block along `dimension`.
  static Range range_of(Block const& block, int dimension) {
    return {block.offsets[dimension], block.offsets[dimension] + block.extents[dimension]};
  }

  /// Computes one product. Frees its temporaries on return, so that they do not add up over the iterations.
  void contract_window(Windows const& operands, LocalTensor<Sum> const& result, bool accumulate) const {
    StaticVector<Extents, 2> blocks;
    for (LocalTensor<T const> const& operand : operands) blocks.push_back(operand.extents);
    MemoryPool& memory = produced_.mesh->memory();
    record_contraction(memory.ledger(), einsum_.subscripts, result.extents, blocks, sizeof(T));
    Scratch<MemorySpace> scratch(memory);
    contract_one_or_two<MemorySpace>(operands, result, accumulate, scratch);
  }

  PlannedEinsum<MemorySpace, T> const& einsum_;
  TensorState const& produced_;
  RingSide<Sum> result_;
  StaticVector<RingSide<T const>, 2> sides_;
  Scratch<MemorySpace> scratch_;
};

/// Runs the ring of a plan with partial sums of type `Sum`.
template <class Sum, class MemorySpace, class T>
void run_ring(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, TensorState const& produced, bool add) {
  Ring<MemorySpace, T, Sum> ring(einsum, operands, produced);
  if (einsum.plan.loop.role == Role::result) return ring.sum_blocks(add);
  int const position = einsum.plan.loop.role == Role::left ? 0 : 1;
  ring.contract_windows(**operands[static_cast<std::size_t>(position)], position, add);
}

/// Contracts by a ring: `contract` of a plan with a ring.
/// Sums that grow over several iterations are kept, and sent if they travel, in Computed<T> (float for BFloat16).
/// They are rounded to T once at the end.
/// Communication: p - 1 permutes over `loop.axes`, groups of p ranks.
template <class MemorySpace, class T>
void contract_in_ring(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, TensorState const& produced,
                      bool add) {
  if constexpr (is_rounded<T>) {
    EinsumLoop const& loop = einsum.plan.loop;
    if (loop.role == Role::result || !einsum.subscripts.result.contains(loop.letter)) {
      TensorType type = einsum.type(produced.layout);
      type.element_bytes = sizeof(Computed<T>);
      TensorHandle const sums = new_tensor<MemorySpace>(type, produced.mesh, produced.extents, produced.name);
      run_ring<Computed<T>>(einsum, operands, *sums, false);
      return launch<MemorySpace>("gshard::round", sums->local_size,
                                 RoundRow<T>{produced.elements<T>(), sums->elements<Computed<T>>(), add});
    }
  }
  run_ring<T>(einsum, operands, produced, add);
}
GSHARD_COMPILED(contract_in_ring)

}  // namespace detail
}  // namespace gshard
