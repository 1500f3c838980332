// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/core/compiled.hpp>
#include <gshard/einsum/local/contract_rounded.hpp>
#include <gshard/einsum/planned_einsum.hpp>
#include <gshard/einsum/result_extents.hpp>
#include <gshard/einsum/ring.hpp>
#include <gshard/einsum/work.hpp>
#include <gshard/reshard/execute.hpp>

// Runs planned einsums of one or two operands. Compiled once per element type and memory space.

namespace gshard::detail {

/// Contracts the local blocks: `contract` of a plan without a ring.
/// Communication: none.
template <class MemorySpace, class T>
void contract_blocks(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, TensorState const& produced,
                     bool add) {
  Subscripts const& subscripts = einsum.subscripts;
  StaticVector<LocalTensor<T const>, 2> blocks;
  StaticVector<Extents, 2> extents;
  for (TensorHandle const* operand : operands) {
    extents.push_back((*operand)->block.extents);
    blocks.push_back({(*operand)->template elements<T>(), subscripts.operands[blocks.size()], extents.back()});
  }
  MemoryPool& memory = produced.mesh->memory();
  record_contraction(memory.ledger(), subscripts, produced.block.extents, extents, sizeof(T));
  Scratch<MemorySpace> scratch(memory);
  LabelledStrides const once = labelled_strides(subscripts.result, produced.block.extents);
  T* const elements = produced.elements<T>();
  if (once.labels == subscripts.result)
    return contract_one_or_two<MemorySpace>(blocks, LocalTensor<T>{elements, once.labels, once.extents}, add, scratch);
  // The result repeats a letter, as the gradient of a diagonal does: zero off the diagonal.
  LocalTensor<T> const diagonal{scratch.template get<T>(product(once.extents)), once.labels, once.extents};
  contract_one_or_two<MemorySpace>(blocks, diagonal, false, scratch);
  if (produced.local_size == 0) return;
  fill_elements<MemorySpace>(elements, produced.local_size, T{});
  copy_strided<T, MemorySpace>(elements, once.strides, diagonal.data, packed_strides(once.extents), once.extents);
}
GSHARD_COMPILED(contract_blocks)

/// Reshards the operands as planned and contracts them into `produced`. Overwrites `produced`, or adds to it if `add`.
/// Communication: `operand_moves` and the ring of the plan.
template <class MemorySpace, class T>
void produce(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, TensorState const& produced, bool add) {
  Kokkos::Profiling::ScopedRegion const region("gshard::einsum");
  TensorHandle moved[2];
  TensorHandle const* const held[2] = {&moved[0], &moved[1]};
  for (std::size_t i = 0; i < operands.size(); ++i) {
    int const operand = static_cast<int>(i);
    moved[i] = run_reshard(*operands[i], einsum.plan.operand_moves[operand], einsum.movers,
                           einsum.type(einsum.plan.operands[operand]), Original::is_read);
  }
  einsum.contract(einsum, HandleList(held, operands.size()), produced, add);
}
GSHARD_COMPILED(produce)

/// Returns the result of the contraction in layout `plan.produced`, before `result_move`. `extents` are the global
/// extents of the result.
template <class MemorySpace, class T>
TensorHandle produced_by(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, Extents const& extents) {
  TensorHandle produced = new_tensor<MemorySpace>(einsum.type(einsum.plan.produced), (*operands[0])->mesh, extents, {});
  produce(einsum, operands, *produced, false);
  return produced;
}
GSHARD_COMPILED(produced_by)

/// Runs an einsum and returns its result, of type `type`.
/// Communication: all movements of the plan.
/// Throws as `result_extents` does, and ExtentError if the type fixes other extents.
template <class MemorySpace, class T>
TensorHandle run_einsum(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, TensorType const& type) {
  Extents const extents = result_extents(einsum.name, einsum.subscripts, operands);
  return run_reshard(produced_by(einsum, operands, extents), einsum.plan.result_move, einsum.movers, type,
                     Original::is_given_up);
}
GSHARD_COMPILED(run_einsum)

/// Returns whether the contraction can write into `result` directly: the plan moves nothing after the contraction, and
/// `result` shares no storage with an operand.
template <class MemorySpace, class T>
bool contracts_in_place(PlannedEinsum<MemorySpace, T> const& einsum, HandleList operands, TensorState const& result) {
  for (TensorHandle const* operand : operands)
    if ((*operand)->storage == result.storage) return false;
  return einsum.plan.result_move.steps.empty();
}

}  // namespace gshard::detail
