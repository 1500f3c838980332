// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/comm/all_reduce_by.hpp>
#include <gshard/expr/expression.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/local/rules.hpp>

namespace gshard {

namespace detail {

/// An element and its global index.
template <class T>
struct Candidate {
  T value;
  std::int64_t index;
};

/// The larger candidate, or the smaller; a NaN before all numbers. Of equals, and of NaN, the first one: an order
/// without ties, so that the choice does not depend on who combines what. The identity stands behind every element.
template <comm::Reduction Kind, class T>
struct ChoosingCandidate {
  using accumulator = Candidate<T>;

  KOKKOS_FORCEINLINE_FUNCTION static constexpr accumulator identity() {
    return {Combining<Kind, T>::identity(), Kokkos::Experimental::finite_max_v<std::int64_t>};
  }

  KOKKOS_FORCEINLINE_FUNCTION static constexpr void combine(accumulator& into, accumulator const& other) {
    bool const better =
        Kind == comm::Reduction::maximum ? is_larger(other.value, into.value) : is_smaller(other.value, into.value);
    bool const equal = other.value == into.value || (is_nan(other.value) && is_nan(into.value));
    if (better || (equal && other.index < into.index)) into = other;
  }
};

template <class T, class Kernel>
struct CandidateTerm {
  Kernel kernel;
  std::int64_t first;  ///< the global index of local index 0
  KOKKOS_FORCEINLINE_FUNCTION Candidate<T> operator()(std::int64_t position, std::int64_t, std::int64_t index) const {
    return {kernel(position), first + index};
  }
};

template <class T>
struct StoreIndex {
  std::int64_t* indices;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t row, Candidate<T> const& candidate) const {
    indices[row] = candidate.index;
  }
};

template <class T>
struct StoreIndices {
  Candidate<T> const* candidates;
  std::int64_t* indices;
  KOKKOS_FUNCTION void operator()(std::int64_t row) const { StoreIndex<T>{indices}(row, candidates[row]); }
};

/// Combines what the ranks of a group have, wherever it lies: on the host, since MPI calls the rule.
template <class Rule, class MemorySpace, class T>
void all_reduce_on_host(Group const& group, T* data, std::int64_t count, MemoryPool& memory) {
  fence<MemorySpace>("gshard::reduce: what is sent is computed");
  if constexpr (runs_on_host<MemorySpace>) {
    comm::all_reduce_by<Rule>(group, data, count);
  } else {
    Scratch<Kokkos::HostSpace> scratch(memory);
    T* const copy = scratch.template get<T>(count);
    copy_to_host<MemorySpace>(copy, data, count);
    comm::all_reduce_by<Rule>(group, copy, count);
    copy_from_host<MemorySpace>(data, copy, count);
  }
}

template <comm::Reduction Kind, int Dimension, class Ready>
auto index_of_extreme(char const* name, Ready const& ready) {
  refuse_partial<Ready>();
  Kokkos::Profiling::ScopedRegion const region("gshard::argmax");
  using First = FirstTensor<Ready>;
  using Along = Dimensions<First, Dimension>;
  using Space = typename First::memory_space;
  using T = ValueOf<Ready>;
  using Rule = ChoosingCandidate<Kind, T>;
  auto const& first = first_tensor(ready);
  typename Along::template Rows<std::int64_t> const result(uninitialized, first.mesh(),
                                                           Along::kept_extents(first.extents()));
  if (Along::count(first.extents()) == 0 && result.size() > 0)
    throw ExtentError(concat(name, ": dimension ", Along::only, " of '", first.name(), "' ", text_of(first.extents()),
                             " is empty, so it has no first element; rank ", first.mesh().rank(), " of mesh (",
                             first.mesh().text(), ")"));
  if (result.local_size() == 0) return result;
  Group const& group = first.mesh_state().group(Along::axes);
  MemoryPool& memory = first.memory();
  auto const kernel = kernel_of(ready);
  CandidateTerm<T, std::remove_const_t<decltype(kernel)>> const term{kernel, first.range(Along::only).begin};
  if (group.size == 1) {
    fold<Space, Rule>("gshard::argmax", memory, fold_loops(first.local_extents(), Along::reduced), term,
                      StoreIndex<T>{result.data()});
    return result;
  }
  Scratch<Space> scratch(memory);
  Candidate<T>* const candidates = scratch.template get<Candidate<T>>(result.local_size());
  if (first.local_size() == 0) fill_elements<Space>(candidates, result.local_size(), Rule::identity());
  else
    fold<Space, Rule>("gshard::argmax", memory, fold_loops(first.local_extents(), Along::reduced), term,
                      StoreInRow<Candidate<T>>{candidates});
  all_reduce_on_host<Rule, Space>(group, candidates, result.local_size(), memory);
  launch<Space>("gshard::argmax", result.local_size(), result.local_size() <= small_row,
                StoreIndices<T>{candidates, result.data()});
  return result;
}

}  // namespace detail

/// The global index of the largest element along a dimension, split or not, as `argmax<-1>(logits)`: the lowest one
/// where several are equal, the first NaN where there is one. The other dimensions keep their axes. Communicates pairs
/// of a value and an index: one all-reduce over the axes that split the dimension. Throws ExtentError where the
/// dimension is empty.
template <int Dimension, Expression Operand>
auto argmax(Operand&& x) {
  return detail::index_of_extreme<comm::Reduction::maximum, Dimension>(
      "argmax", detail::prepared(std::forward<Operand>(x), "argmax"));
}

/// The global index of the smallest element, as argmax.
template <int Dimension, Expression Operand>
auto argmin(Operand&& x) {
  return detail::index_of_extreme<comm::Reduction::minimum, Dimension>(
      "argmin", detail::prepared(std::forward<Operand>(x), "argmin"));
}

}  // namespace gshard
