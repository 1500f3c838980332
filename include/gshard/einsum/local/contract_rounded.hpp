// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/einsum/local/contract.hpp>

// Contractions of element types with fewer bits in memory than in arithmetic (BFloat16, computed in float): the
// operands are widened, and the result is rounded once.

namespace gshard::detail {

/// Sets `to[i]` to `from[i]`, or to `to[i] + from[i]` if `accumulate`, rounded to T.
template <class T>
struct RoundRow {
  T* to;
  Computed<T> const* from;
  bool accumulate;
  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    to[i] = static_cast<T>(accumulate ? to[i] + from[i] : from[i]);
  }
};

/// Returns a packed copy of a tensor, converted to Computed<T>, in scratch memory.
template <class MemorySpace, class T, class Scratch>
LocalTensor<Computed<T> const> widened(LocalTensor<T const> tensor, Scratch& scratch) {
  std::int64_t const count = product(tensor.extents);
  if (!tensor.is_packed()) {
    T* const packed = scratch.template get<T>(count);
    copy_strided<T, MemorySpace>(packed, packed_strides(tensor.extents), tensor.data, tensor.strides, tensor.extents);
    tensor.data = packed;
  }
  Computed<T>* const wide = scratch.template get<Computed<T>>(count);
  convert_elements<MemorySpace>(wide, tensor.data, count);
  return {wide, tensor.labels, tensor.extents};
}

/// Contracts widened operands in Computed<T> and rounds the result once into c.
template <class MemorySpace, class T, class Scratch, class... Wide>
void contract_and_round(LocalTensor<T> c, bool accumulate, Scratch& scratch, Wide... operands) {
  std::int64_t const count = product(c.extents);
  LocalTensor<Computed<T>> const sums{scratch.template get<Computed<T>>(count), c.labels, c.extents};
  contract<MemorySpace>(operands..., sums, false, scratch);
  if (c.is_packed()) {
    launch<MemorySpace>("gshard::round", count, count <= small_row, RoundRow<T>{c.data, sums.data, accumulate});
    return;
  }
  T* const packed = scratch.template get<T>(count);
  if (accumulate)
    copy_strided<T, MemorySpace>(packed, packed_strides(c.extents), static_cast<T const*>(c.data), c.strides,
                                 c.extents);
  launch<MemorySpace>("gshard::round", count, count <= small_row, RoundRow<T>{packed, sums.data, accumulate});
  copy_strided<T, MemorySpace>(c.data, c.strides, static_cast<T const*>(packed), packed_strides(c.extents), c.extents);
}

/// Computes c = or += a as the generic form does, in Computed<T>. A permute is not widened: it rounds each element once
/// at most.
template <class MemorySpace, class T, class Scratch>
  requires is_rounded<T>
void contract(LocalTensor<T const> a, LocalTensor<T> c, bool accumulate, Scratch& scratch) {
  if (contract_nothing<MemorySpace>(product(a.extents) == 0, c, accumulate, scratch)) return;
  if (permute<MemorySpace>(fused_units(a, c), a.data, c.data, accumulate)) return;
  contract_and_round<MemorySpace>(c, accumulate, scratch, widened<MemorySpace>(a, scratch));
}

/// Computes c = or += a * b as the generic form does, in Computed<T>.
template <class MemorySpace, class T, class Scratch>
  requires is_rounded<T>
void contract(LocalTensor<T const> a, LocalTensor<T const> b, LocalTensor<T> c, bool accumulate, Scratch& scratch) {
  if (contract_nothing<MemorySpace>(product(a.extents) == 0 || product(b.extents) == 0, c, accumulate, scratch)) return;
  contract_and_round<MemorySpace>(c, accumulate, scratch, widened<MemorySpace>(a, scratch),
                                  widened<MemorySpace>(b, scratch));
}

/// Computes c = or += a into unrounded sums.
template <class MemorySpace, class T, class Scratch>
  requires is_rounded<T>
void contract(LocalTensor<T const> a, LocalTensor<Computed<T>> c, bool accumulate, Scratch& scratch) {
  contract<MemorySpace>(widened<MemorySpace>(a, scratch), c, accumulate, scratch);
}

/// Computes c = or += a * b into unrounded sums.
template <class MemorySpace, class T, class Scratch>
  requires is_rounded<T>
void contract(LocalTensor<T const> a, LocalTensor<T const> b, LocalTensor<Computed<T>> c, bool accumulate,
              Scratch& scratch) {
  contract<MemorySpace>(widened<MemorySpace>(a, scratch), widened<MemorySpace>(b, scratch), c, accumulate, scratch);
}

/// Calls the form of `contract` for the number of operands.
template <class MemorySpace, class T, class Sum, class Scratch>
void contract_one_or_two(StaticVector<LocalTensor<T const>, 2> const& operands, LocalTensor<Sum> const& result,
                         bool accumulate, Scratch& scratch) {
  if (operands.size() == 1) contract<MemorySpace>(operands[0], result, accumulate, scratch);
  else contract<MemorySpace>(operands[0], operands[1], result, accumulate, scratch);
}

}  // namespace gshard::detail
