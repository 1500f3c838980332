// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/static_vector.hpp>
#include <gshard/einsum/local/direct.hpp>
#include <gshard/einsum/local/gemm.hpp>
#include <gshard/einsum/local/local_tensor.hpp>
#include <gshard/einsum/local/lowering.hpp>
#include <gshard/einsum/local/lowering_cache.hpp>
#include <gshard/einsum/local/units.hpp>
#include <gshard/tensor/copy_block.hpp>

namespace gshard::detail {

/// Permute between a tensor and its packed temporary: the strides of both, for copy_strided.
struct Permutation {
  Extents extents;
  Extents given;
  Extents packed;

  constexpr Permutation(Lowering const& lowering, int operand) {
    for (int i = 0; i < lowering.given.size(); ++i) {
      Unit const& unit = lowering.given[i];
      if (!unit.in(operand)) continue;
      extents.push_back(unit.extent);
      given.push_back(unit.strides[operand]);
      packed.push_back(lowering.packed[i].strides[operand]);
    }
  }

  /// Returns the number of elements of the temporary; letters that only c has do not count.
  constexpr std::int64_t packed_size() const {
    std::int64_t size = 1;
    for (int i = 0; i < extents.size(); ++i)
      if (packed[i] != 0) size *= extents[i];
    return size;
  }
};

/// Returns an operand as the matrix products read it: as it is, or permuted into scratch memory.
template <class MemorySpace, class T, class Scratch>
T const* arranged(Lowering const& lowering, int operand, T const* data, Scratch& scratch) {
  if (!lowering.permuted[operand]) return data;
  Permutation const permutation(lowering, operand);
  T* const copy = scratch.template get<T>(permutation.packed_size());
  copy_strided<T, MemorySpace>(copy, permutation.packed, data, permutation.given, permutation.extents);
  return copy;
}

/// Runs the matrix products of a lowering, once per step of the summing loops. Computes C^T = B^T A^T if the rows of c
/// are not contiguous, as its columns are then.
template <class MemorySpace, class T>
void multiply(Lowering const& lowering, T const* a, T const* b, T* c, bool accumulate) {
  if constexpr (is_abstract<MemorySpace>) return;
  int const m = lowering.m;
  int const n = lowering.n;
  int const k = lowering.k;
  bool const swap = n >= 0 && lowering.stride(n, operand_c) != 1;
  GemmBatch<T> batch;
  batch.m = lowering.extent(swap ? n : m);
  batch.n = lowering.extent(swap ? m : n);
  batch.k = lowering.extent(k);
  batch.a_row = swap ? lowering.stride(n, operand_b) : lowering.stride(m, operand_a);
  batch.a_column = lowering.stride(k, swap ? operand_b : operand_a);
  batch.b_row = lowering.stride(k, swap ? operand_a : operand_b);
  batch.b_column = swap ? lowering.stride(m, operand_a) : lowering.stride(n, operand_b);
  batch.c_row = lowering.stride(swap ? n : m, operand_c);
  LoopNest<3> loops;
  LoopNest<3> sums;
  for (int i = 0; i < lowering.units.size(); ++i) {
    if (!lowering.is_loop(i)) continue;
    Unit const& unit = lowering.units[i];
    LoopNest<3>& nest = unit.in(operand_c) ? loops : sums;
    nest.push_inner(unit.extent, {unit.strides[operand_c], unit.strides[swap ? operand_b : operand_a],
                                  unit.strides[swap ? operand_a : operand_b]});
  }
  if (loops.rank > 1) loops = coalesce(loops);
  for (int i = 0; i < loops.rank; ++i)
    batch.batch.push_inner(loops.extents[i], {loops.strides[i][1], loops.strides[i][2], loops.strides[i][0]});
  std::int64_t const steps = sums.count();
  LoopCursor<3> cursor(sums, 0);
  for (std::int64_t step = 0; step < steps; ++step, cursor.advance(sums)) {
    batch.a = (swap ? b : a) + cursor.offsets[1];
    batch.b = (swap ? a : b) + cursor.offsets[2];
    batch.c = c;
    batch.accumulate = accumulate || step > 0;
    LocalGemm<MemorySpace, T>::run(batch);
  }
}

/// Carries out a lowering.
template <class MemorySpace, class T, class Scratch>
void execute(Lowering const& lowering, T const* a, T const* b, T* c, bool accumulate, Scratch& scratch) {
  if (lowering.direct) return contract_directly<MemorySpace, true>(lowering.given, a, b, c, accumulate, scratch);
  T const* const from_a = arranged<MemorySpace>(lowering, operand_a, a, scratch);
  T const* const from_b = arranged<MemorySpace>(lowering, operand_b, b, scratch);
  if (!lowering.permuted[operand_c]) return multiply<MemorySpace>(lowering, from_a, from_b, c, accumulate);
  Permutation const permutation(lowering, operand_c);
  T* const result = scratch.template get<T>(permutation.packed_size());
  multiply<MemorySpace>(lowering, from_a, from_b, result, false);
  if (accumulate) add_strided<T, MemorySpace>(c, permutation.given, result, permutation.packed, permutation.extents);
  else copy_strided<T, MemorySpace>(c, permutation.given, result, permutation.packed, permutation.extents);
}

/// Handles a contraction without a multiplication: leaves an empty result alone, and sets the result of an empty sum to
/// zero. Returns whether it was one.
template <class MemorySpace, class T, class Scratch>
bool contract_nothing(bool empty_operands, LocalTensor<T> const& c, bool accumulate, Scratch& scratch) {
  std::int64_t const size = product(c.extents);
  if (size != 0 && !empty_operands) return false;
  if (accumulate || size == 0) return true;
  if (c.is_packed()) {
    fill_elements<MemorySpace>(c.data, size, T(0));
  } else {
    T* const zero = scratch.template get<T>(1);
    fill_elements<MemorySpace>(zero, 1, T(0));
    Extents repeated = c.strides;
    for (std::int64_t& stride : repeated) stride = 0;
    copy_strided<T, MemorySpace>(c.data, c.strides, static_cast<T const*>(zero), repeated, c.extents);
  }
  return true;
}

/// Returns the fused units of c += a.
template <class T>
Units fused_units(LocalTensor<T const> const& a, LocalTensor<T> const& c) {
  return fuse(units_of(labelled_strides(a), {}, labelled_strides(c)));
}

/// Copies the elements of a to c, or adds them, if c has all units. Returns whether c has all units.
template <class MemorySpace, class T>
bool permute(Units const& units, T const* a, T* c, bool accumulate) {
  Extents extents;
  Extents from;
  Extents to;
  for (Unit const& unit : units) {
    if (!unit.in(operand_c)) return false;
    extents.push_back(unit.extent);
    from.push_back(unit.strides[operand_a]);
    to.push_back(unit.strides[operand_c]);
  }
  if (accumulate) add_strided<T, MemorySpace>(c, to, a, from, extents);
  else copy_strided<T, MemorySpace>(c, to, a, from, extents);
  return true;
}

/// Computes c = or += a, summed over the letters that c lacks. Covers transposes, sums, diagonals, and repetition along
/// letters that only c has.
/// `scratch.get<T>(count)` provides temporaries; they must stay valid until the work is done, which on a device may be
/// after the call returns.
/// Preconditions: no letter occurs twice in c; equal letters have equal extents.
template <class MemorySpace, class T, class Scratch>
void contract(LocalTensor<T const> a, LocalTensor<T> c, bool accumulate, Scratch& scratch) {
  if (contract_nothing<MemorySpace>(product(a.extents) == 0, c, accumulate, scratch)) return;
  Units const units = fused_units(a, c);
  if (permute<MemorySpace>(units, a.data, c.data, accumulate)) return;
  contract_directly<MemorySpace, false>(units, a.data, static_cast<T const*>(nullptr), c.data, accumulate, scratch);
}

/// Returns an operand summed, in scratch memory, over the letters that neither the other operand nor c has.
template <class MemorySpace, class T, class Scratch>
LocalTensor<T const> summed(LocalTensor<T const> tensor, Labels const& other, Labels const& c, Scratch& scratch) {
  LocalTensor<T> result{nullptr, {}, {}};
  bool complete = true;
  for (int i = 0; i < tensor.labels.size(); ++i) {
    char const letter = tensor.labels[i];
    bool const kept = other.contains(letter) || c.contains(letter);
    complete = complete && kept;
    if (!kept || result.labels.contains(letter)) continue;
    result.labels.push_back(letter);
    result.extents.push_back(tensor.extents[i]);
  }
  if (complete) return tensor;
  result.data = scratch.template get<T>(product(result.extents));
  contract<MemorySpace>(tensor, result, false, scratch);
  return {result.data, result.labels, result.extents};
}

/// Computes c = or += a * b for tensors of any strides. Letters of both operands and c are batches; letters of both
/// operands alone are contracted.
/// Preconditions: elements of c do not overlap; every letter of an operand is in the other operand or in c; if an
/// operand is empty and `accumulate` is false, c is packed.
/// If `accumulate` is false, c is not read.
template <class MemorySpace, class T, class Scratch>
void contract_strided(T const* a, LabelledStrides const& a_strides, T const* b, LabelledStrides const& b_strides, T* c,
                      LabelledStrides const& c_strides, bool accumulate, Scratch& scratch) {
  if (product(c_strides.extents) == 0) return;
  if (product(a_strides.extents) == 0 || product(b_strides.extents) == 0) {
    if (!accumulate) fill_elements<MemorySpace>(c, product(c_strides.extents), T(0));
    return;
  }
  Units const units = units_of(a_strides, b_strides, c_strides);
  if constexpr (LocalGemm<MemorySpace, T>::available)
    execute<MemorySpace>(LoweringCache::of_thread().lowering_of(units), a, b, c, accumulate, scratch);
  else contract_directly<MemorySpace, true>(fuse(units), a, b, c, accumulate, scratch);
}

/// Computes c = or += a * b, summed over the letters that c lacks. Letters of both operands and c are batches, those of
/// both operands alone are contracted, those of one operand alone are summed beforehand. A letter twice in one operand
/// takes its diagonal; a letter that only c has repeats the result.
/// Temporaries: as in the form of one operand. If `accumulate` is false, c is not read.
/// Preconditions: no letter occurs twice in c; equal letters have equal extents.
template <class MemorySpace, class T, class Scratch>
void contract(LocalTensor<T const> a, LocalTensor<T const> b, LocalTensor<T> c, bool accumulate, Scratch& scratch) {
  if (contract_nothing<MemorySpace>(product(a.extents) == 0 || product(b.extents) == 0, c, accumulate, scratch)) return;
  a = summed<MemorySpace>(a, b.labels, c.labels, scratch);
  b = summed<MemorySpace>(b, a.labels, c.labels, scratch);
  contract_strided<MemorySpace>(a.data, labelled_strides(a), b.data, labelled_strides(b), c.data, labelled_strides(c),
                                accumulate, scratch);
}

}  // namespace gshard::detail
