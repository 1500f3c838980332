// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/comm/all_reduce.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/reduce/kernels/broadcast.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/row_values.hpp>

// The gradient of a product y of elements x[i] by the product of the elements beside x[i]. It is y / x[i] in a row
// without zeros alone, so each row is reduced to the product of its elements that are not 0, and the number of the
// others.

namespace gshard::detail {

/// The product of the elements of a row, or of a part of one, that are not 0, and the number of those that are.
struct NonzeroProduct {
  double product;
  double zeros;
};

/// Combines parts of a row: a rule of `fold`.
struct CombiningNonzeroProducts {
  using accumulator = NonzeroProduct;

  KOKKOS_FORCEINLINE_FUNCTION static constexpr NonzeroProduct identity() { return {1, 0}; }
  KOKKOS_FORCEINLINE_FUNCTION static constexpr void combine(NonzeroProduct& into, NonzeroProduct const& other) {
    into.product *= other.product;
    into.zeros += other.zeros;
  }
};

/// Reads one element as a part of its row.
template <class T>
struct NonzeroTerm {
  T const* elements;
  KOKKOS_FORCEINLINE_FUNCTION NonzeroProduct operator()(std::int64_t position, std::int64_t, std::int64_t) const {
    double const element = static_cast<double>(elements[position]);
    bool const is_zero = element == 0;
    return {is_zero ? 1 : element, is_zero ? 1.0 : 0.0};
  }
};

/// Stores the product of a row, and 2^min(zeros, 2): the product of these powers over the ranks is 1, 2, or at least 4
/// (infinity from 512 ranks on, if each has two), so that one all-reduce by products combines both numbers.
struct StoreNonzeroProduct {
  double* products;
  double* powers;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t row, NonzeroProduct const& value) const {
    products[row] = value.product;
    powers[row] = value.zeros == 0 ? 1 : value.zeros == 1 ? 2 : 4;
  }
};

/// Sets each element of `result` to the gradient of its row's product times the product of the row's other elements.
template <class T>
struct BroadcastProductGradient {
  T* result;
  T const* elements;
  T const* gradients;
  double const* products;  ///< of the elements that are not 0
  double const* powers;    ///< 1 for a row without zeros, 2 for one zero, larger for more

  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    double const element = static_cast<double>(elements[position]);
    double const product = products[row];
    double const power = powers[row];
    // 0 * product and not 0: NaN if an element is NaN or infinite.
    double const beside_zeros = power == 2 && element == 0 ? product : 0 * product;
    double const others = power == 1 ? product / element : beside_zeros;
    result[position] = static_cast<T>(static_cast<double>(gradients[row]) * others);
  }
};

/// Sets `result` to the gradients of the elements of a block, whose rows have the gradients `gradients`.
/// Communication: one all-reduce of two doubles for each row over `rows.axes`.
template <class MemorySpace, class T>
void run_product_gradient(BlockRows const& rows, T const* elements, T const* gradients, T* result) {
  std::int64_t const count = rows.count();
  Scratch<MemorySpace> scratch(rows.memory());
  double* const products = scratch.template get<double>(2 * count);
  double* const powers = products + count;
  if (rows.tensor.local_size == 0) fill_elements<MemorySpace>(products, 2 * count, 1.0);
  else
    fold<MemorySpace, CombiningNonzeroProducts>("gshard::rows", rows.memory(), fold_loops(rows.extents(), rows.reduced),
                                                NonzeroTerm<T>{elements}, StoreNonzeroProduct{products, powers});
  fence<MemorySpace>("gshard::rows: what is sent is computed");
  comm::all_reduce<MemorySpace>(rows.group(), products, 2 * count, comm::Reduction::product);
  broadcast<MemorySpace>("gshard::gradient", rows.extents(), rows.reduced,
                         BroadcastProductGradient<T>{result, elements, gradients, products, powers});
}
GSHARD_COMPILED_FLOATS(run_product_gradient)

/// Returns the gradient of the product of `x` over dimensions, from the gradient of the result, held as the kept
/// dimensions of x are. Communication: as run_product_gradient.
template <class Dimensions, AnyTensor Tensor, AnyTensor Gradients>
Tensor gradient_of_product(Tensor const& x, Gradients const& gradients) {
  Tensor const result(uninitialized, x.mesh(), x.extents());
  run_product_gradient<typename Tensor::memory_space>(block_rows<Dimensions>(x), x.data(), gradients.data(),
                                                      result.data());
  return result;
}

}  // namespace gshard::detail
