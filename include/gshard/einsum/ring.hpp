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

/// Whose window rank `rank` of a ring of `size` handles in an iteration: its own first; then those of the ranks behind
/// it (paper 2.2).
constexpr int ring_window(int rank, int iteration, int size) { return (rank + iteration) % size; }

/// To whom a rank hands its window after every iteration but the last.
constexpr int ring_target(int rank, int size) { return (rank + size - 1) % size; }

/// From whom it gets the next one.
constexpr int ring_source(int rank, int size) { return (rank + 1) % size; }

namespace detail {

/// This rank's block of a tensor of a ring, and its first global index along the ring's letter.
template <class T>
struct RingSide {
  LocalTensor<T> block;
  std::int64_t begin = 0;

  RingSide() = default;
  RingSide(TensorState const& tensor, Labels const& labels, char letter)
      : block{tensor.elements<T>(), labels, tensor.block.extents} {
    if (int const dimension = labels.find(letter); dimension >= 0) begin = tensor.block.offsets[dimension];
  }

  /// Returns the part of the block at these global indices of the letter; the whole block if it lacks the letter.
  LocalTensor<T> window(char letter, Range range) const {
    return block.narrowed(letter, {range.begin - begin, range.end - begin});
  }
};

/// The blocks of one tensor that go round a ring: those of the ranks of a group along `axes`.
struct RingBlocks {
  MeshState const& mesh;
  AxisSet axes;
  Layout const& layout;
  Extents const& extents;

  Group const& group() const { return mesh.group(axes); }
  Block block(int member) const { return block_of(layout, extents, mesh, mesh.member_coordinates(axes, member)); }

  std::int64_t largest() const {
    std::int64_t result = 0;
    for (int member = 0; member < group().size; ++member) result = std::max(result, product(block(member).extents));
    return result;
  }
};

/// Runs an einsum as a collective matmul: one local product per rank of a group, on windows of the tensors that have
/// the ring's letter, while the next window is communicated (paper 3.3.2, figure 4).
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

  /// Replaces the all-gather of `circulating`, operand number `position`: its windows arrive one by one. Each writes
  /// its block of the result if the result has the ring's letter, and adds to the whole result if the letter is
  /// contracted. Two buffers hold the current window and the next one.
  void contract_windows(TensorState const& circulating, int position, bool add) {
    RingBlocks const ring{*produced_.mesh, einsum_.plan.loop.axes, circulating.layout, circulating.extents};
    int const dimension = einsum_.subscripts.operands[position].find(letter());
    Group const& group = ring.group();
    std::int64_t const room = group.size > 1 ? ring.largest() : 0;
    T* const buffers[2] = {scratch_.template get<T>(room), scratch_.template get<T>(group.size > 2 ? room : 0)};
    T const* current = circulating.elements<T>();
    Block window = circulating.block;
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

  /// Replaces the reduce-scatter of the result: in each iteration a rank computes its part of one block while it
  /// receives the sum of the previous ranks' parts of that block. The last block is its own. Holds at most three
  /// blocks.
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

  static Range range_of(Block const& block, int dimension) {
    return {block.offsets[dimension], block.offsets[dimension] + block.extents[dimension]};
  }

  /// Computes one product; its temporaries end with the call.
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

template <class Sum, class MemorySpace, class T>
void run_ring(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, TensorState const& produced, bool add) {
  Ring<MemorySpace, T, Sum> ring(einsum, operands, produced);
  if (einsum.plan.loop.role == Role::result) return ring.sum_blocks(add);
  int const position = einsum.plan.loop.role == Role::left ? 0 : 1;
  ring.contract_windows(**operands[static_cast<std::size_t>(position)], position, add);
}

/// Contracts by a ring: the contraction of a plan with a loop. Elements that are stored in fewer bits than they are
/// computed with are summed and sent in the wider type, and rounded once at the end.
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
