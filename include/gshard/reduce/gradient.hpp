// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/compiled.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/kernels/broadcast.hpp>
#include <gshard/reduce/row_values.hpp>
#include <gshard/reduce/local/rules.hpp>

// Gradients of reductions.

namespace gshard {

namespace detail {

/// A gradient of each row, times a factor, for every element.
template <class T>
struct BroadcastGradient {
  T* result;
  T const* gradients;
  Computed<T> factor;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    result[position] = static_cast<T>(Computed<T>(gradients[row]) * factor);
  }
};

/// Whether an element is its row's maximum or minimum; where that is NaN, whether it is NaN.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION bool is_extreme(T element, T result) {
  return element == result || (is_nan(element) && is_nan(result));
}

/// 1 for an element that is the result of its row.
template <class T>
struct TieTerm {
  T const* elements;
  T const* results;
  KOKKOS_FORCEINLINE_FUNCTION double operator()(std::int64_t position, std::int64_t row, std::int64_t) const {
    return is_extreme(elements[position], results[row]) ? 1 : 0;
  }
};

template <class T>
struct BroadcastToTies {
  T* result;
  T const* elements;
  T const* results;
  T const* gradients;
  double const* ties;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    bool const is_chosen = is_extreme(elements[position], results[row]);
    result[position] = static_cast<T>(is_chosen ? static_cast<double>(gradients[row]) / ties[row] : 0.0);
  }
};

template <class T>
struct BroadcastNormGradient {
  T* result;
  T const* elements;
  T const* norms;
  T const* gradients;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    Computed<T> const norm = norms[row];
    result[position] = static_cast<T>(
        norm == 0 ? Computed<T>(0) : Computed<T>(elements[position]) * (Computed<T>(gradients[row]) / norm));
  }
};

/// The gradient of a reduction of `x`, from its result and the gradient of that, held as the kept dimensions of x are.
template <class Operation, class Dimensions, AnyTensor Tensor, AnyTensor Results, AnyTensor Gradients>
Tensor gradient_of_reduction(Tensor const& x, Results const& results, Gradients const& gradients) {
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  Tensor const result(uninitialized, x.mesh(), x.extents());
  if constexpr (Operation::takes_root) {
    broadcast<Space>("gshard::gradient", x.local_extents(), Dimensions::reduced,
                     BroadcastNormGradient<T>{result.data(), x.data(), results.data(), gradients.data()});
  } else {
    Scratch<Space> scratch(x.memory());
    double const* const ties = row_values<Combining<comm::Reduction::sum, double>>(
        scratch, block_rows<Dimensions>(x), TieTerm<T>{x.data(), results.data()});
    broadcast<Space>("gshard::gradient", x.local_extents(), Dimensions::reduced,
                     BroadcastToTies<T>{result.data(), x.data(), results.data(), gradients.data(), ties});
  }
  return result;
}

/// Sets the elements of each row to the gradient of the row's result, times a factor.
template <class MemorySpace, class T>
void run_sum_gradient(Extents const& extents, ReducedDimensions const& reduced, BroadcastGradient<T> const& kernel) {
  broadcast<MemorySpace>("gshard::gradient", extents, reduced, kernel);
}
GSHARD_COMPILED_FLOATS(run_sum_gradient)

template <class Dimensions, AnyTensor Tensor, AnyTensor Rows>
Tensor gradient_of_sum(typename Tensor::mesh_type const& mesh, Extents const& extents, double factor,
                       Rows const& gradients) {
  using T = typename Tensor::value_type;
  Tensor const result(uninitialized, mesh, extents);
  run_sum_gradient<typename Tensor::memory_space>(
      result.local_extents(), Dimensions::reduced,
      BroadcastGradient<T>{result.data(), gradients.data(), static_cast<Computed<T>>(factor)});
  return result;
}

}  // namespace detail

}  // namespace gshard
