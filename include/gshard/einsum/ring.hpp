// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include <gshard/comm/permute.hpp>
#include <gshard/einsum/local/contract_rounded.hpp>
#include <gshard/einsum/plan.hpp>
#include <gshard/einsum/work.hpp>
#include <gshard/tensor/copy_block.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

/// Whose window rank `rank` of a ring of `size` handles in an iteration: its own first; then those of the ranks behind
/// it (paper 2.2).
constexpr int ring_window(int rank, int iteration, int size) { return (rank + iteration) % size; }

/// To whom a rank hands its window after every iteration but the last.
constexpr int ring_target(int rank, int size) { return (rank + size - 1) % size; }

/// From whom it gets the next one.
constexpr int ring_source(int rank, int size) { return (rank + 1) % size; }

namespace detail {

/// A tensor beside a ring: this rank's block, and where it begins along the ring's letter, if it has that.
template <class T>
struct RingSide {
  LocalTensor<T> block;
  std::int64_t begin = 0;

  template <AnyTensor Tensor>
  RingSide(Tensor const& tensor, Labels const& labels, char letter)
      : block{tensor.data(), labels, tensor.local_extents()} {
    if (int const dimension = labels.find(letter); dimension >= 0) begin = tensor.range(dimension).begin;
  }

  /// What it has of these global indices of the letter: all where it lacks the letter.
  LocalTensor<T> window(char letter, Range range) const {
    return block.narrowed(letter, {range.begin - begin, range.end - begin});
  }
};

/// Enters one product of a ring into the ledger.
template <class T, std::size_t Count>
void record_window(Ledger& ledger, Subscripts const& subscripts, Extents const& result,
                   std::array<LocalTensor<T const>, Count> const& operands) {
  std::array<Extents, Count> blocks;
  for (std::size_t i = 0; i < Count; ++i) blocks[i] = operands[i].extents;
  record_contraction<T>(ledger, subscripts, result, blocks);
}

template <class Space, class T, class Sum>
void contract_window(std::array<LocalTensor<T const>, 1> const& operands, LocalTensor<Sum> const& result,
                     bool accumulate, Scratch<Space>&& scratch) {
  contract<Space>(operands[0], result, accumulate, scratch);
}

template <class Space, class T, class Sum>
void contract_window(std::array<LocalTensor<T const>, 2> const& operands, LocalTensor<Sum> const& result,
                     bool accumulate, Scratch<Space>&& scratch) {
  contract<Space>(operands[0], operands[1], result, accumulate, scratch);
}

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

template <class... Held>
using ElementOfHeld = typename std::tuple_element_t<0, std::tuple<Held...>>::value_type;

/// The looped form that stands for an all-gather of operand `Which`: its windows come by, and each writes its block of
/// the result where the result has the ring's letter, or adds to the whole where the letter is contracted. Two buffers
/// hold the window that is multiplied and the one that is under way.
template <int Which, class Plan, AnyTensor Produced, AnyTensor... Held>
void contract_windows(Produced const& produced, bool add, Held const&... held) {
  using Space = typename Produced::memory_space;
  using Sum = typename Produced::value_type;
  using T = ElementOfHeld<Held...>;
  constexpr char letter = Plan::plan.loop.letter;
  constexpr int dimension = Plan::subscripts.operands[Which].find(letter);
  auto const& own = std::get<Which>(std::tie(held...));
  int operand = 0;
  std::array<RingSide<T const>, sizeof...(Held)> const sides{
      RingSide<T const>(held, Plan::subscripts.operands[operand++], letter)...};
  RingSide<Sum> const result(produced, Plan::subscripts.result, letter);
  RingBlocks const ring{produced.mesh_state(), Plan::plan.loop.axes, std::remove_cvref_t<decltype(own)>::layout,
                        own.extents()};
  Group const& group = ring.group();

  Scratch<Space> scratch(produced.memory());
  std::int64_t const room = group.size > 1 ? ring.largest() : 0;
  T* const buffers[2] = {scratch.template get<T>(room), scratch.template get<T>(group.size > 2 ? room : 0)};
  T const* current = own.data();
  Block window = own.block();
  for (int iteration = 0; iteration < group.size; ++iteration) {
    comm::Pending next_window;
    Block next;
    if (iteration + 1 < group.size) {
      fence<Space>("gshard: local work before communication");
      next = ring.block(ring_window(group.rank, iteration + 1, group.size));
      next_window =
          comm::start_permute(group, current, product(window.extents), ring_target(group.rank, group.size),
                              buffers[iteration % 2], product(next.extents), ring_source(group.rank, group.size));
    }
    Range const range{window.offsets[dimension], window.offsets[dimension] + window.extents[dimension]};
    std::array<LocalTensor<T const>, sizeof...(Held)> operands;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (i == Which) operands[i] = {current, Plan::subscripts.operands[i], window.extents};
      else operands[i] = sides[i].window(letter, range);
    }
    bool const accumulate = add || (iteration > 0 && !Plan::subscripts.result.contains(letter));
    record_window<T>(produced.memory().ledger(), Plan::subscripts, result.window(letter, range).extents, operands);
    contract_window<Space>(operands, result.window(letter, range), accumulate, Scratch<Space>(produced.memory()));
    next_window.wait();
    current = buffers[iteration % 2];
    window = next;
  }
}

/// The looped form that stands for a reduce-scatter: in each iteration a rank computes its part of one block of the
/// result, while the sum of what the ranks before it have of that block comes in; the last block is its own. No rank
/// ever holds more than three blocks.
template <class Plan, AnyTensor Produced, AnyTensor... Held>
void sum_blocks(Produced const& produced, bool add, Held const&... held) {
  using Space = typename Produced::memory_space;
  using Sum = typename Produced::value_type;
  using T = ElementOfHeld<Held...>;
  constexpr char letter = Plan::plan.loop.letter;
  constexpr int dimension = Plan::subscripts.result.find(letter);
  int operand = 0;
  std::array<RingSide<T const>, sizeof...(Held)> const sides{
      RingSide<T const>(held, Plan::subscripts.operands[operand++], letter)...};
  RingBlocks const ring{produced.mesh_state(), Plan::plan.loop.axes, Produced::layout, produced.extents()};
  Group const& group = ring.group();

  Scratch<Space> scratch(produced.memory());
  std::int64_t const room = group.size > 1 ? ring.largest() : 0;
  Sum* const buffers[3] = {scratch.template get<Sum>(room), scratch.template get<Sum>(group.size > 2 ? room : 0),
                           scratch.template get<Sum>(room)};
  std::int64_t sent = 0;
  for (int iteration = 0; iteration < group.size; ++iteration) {
    Block const block = ring.block(ring_window(group.rank, iteration + 1, group.size));
    std::int64_t const count = product(block.extents);
    bool const last = iteration + 1 == group.size;
    Sum* const sum = last ? produced.data() : buffers[iteration % 3];
    Sum* const incoming = buffers[(iteration + 1) % 3];
    comm::Pending others;
    if (iteration > 0)
      others = comm::start_permute(group, static_cast<Sum const*>(buffers[(iteration - 1) % 3]), sent,
                                   ring_target(group.rank, group.size), incoming, count,
                                   ring_source(group.rank, group.size));
    Range const range{block.offsets[dimension], block.offsets[dimension] + block.extents[dimension]};
    std::array<LocalTensor<T const>, sizeof...(Held)> operands;
    for (std::size_t i = 0; i < operands.size(); ++i) operands[i] = sides[i].window(letter, range);
    record_window<T>(produced.memory().ledger(), Plan::subscripts, block.extents, operands);
    contract_window<Space>(operands, LocalTensor<Sum>{sum, Plan::subscripts.result, block.extents}, add && last,
                           Scratch<Space>(produced.memory()));
    others.wait();
    if (iteration > 0) add_strided<Sum, Space>(sum, {1}, static_cast<Sum const*>(incoming), {1}, {count});
    if (!last) fence<Space>("gshard: local work before communication");
    sent = count;
  }
}

template <class Plan, AnyTensor Produced, AnyTensor... Held>
void run_ring(Produced const& produced, bool add, Held const&... held) {
  if constexpr (Plan::plan.loop.role == Role::result) sum_blocks<Plan>(produced, add, held...);
  else contract_windows<Plan::plan.loop.role == Role::left ? 0 : 1, Plan>(produced, add, held...);
}

/// Whether elements of a plan's result are summed from iteration to iteration.
template <class Plan>
inline constexpr bool sums_in_ring =
    Plan::plan.loop.role == Role::result || !Plan::subscripts.result.contains(Plan::plan.loop.letter);

/// The looped form of a plan. Elements that are stored in fewer bits than they are computed with are summed, and sent
/// as sums, in the wider type, and rounded at the end.
template <class Plan, AnyTensor Produced, AnyTensor... Held>
void contract_in_ring(Produced const& produced, bool add, Held const&... held) {
  using T = typename Produced::value_type;
  using Space = typename Produced::memory_space;
  if constexpr (is_rounded<T> && sums_in_ring<Plan>) {
    using Sums = ShardedTensor<typename Produced::mesh_type, typename Produced::spec_type, Computed<T>, Space>;
    Sums const sums(uninitialized, produced.mesh(), produced.extents());
    run_ring<Plan>(sums, false, held...);
    launch<Space>("gshard::round", sums.local_size(), RoundRow<T>{produced.data(), sums.data(), add});
  } else {
    run_ring<Plan>(produced, add, held...);
  }
}

}  // namespace detail
}  // namespace gshard
