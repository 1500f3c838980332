// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/compile_error.hpp>
#include <gshard/nn/kernels/views.hpp>
#include <gshard/tensor/like.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/record_kernel.hpp>

// Checks and views of tensors that the operations of layers share.

namespace gshard::error {

template <class Result>
struct LayerOfIntegers {
  static_assert(always_false<Result>,
                "gshard: a layer is of floating point; give it tensors of float, double or BFloat16");
};

}  // namespace gshard::error

namespace gshard::nn::detail {

using gshard::detail::record_kernel;
using gshard::detail::value_of;
using gshard::detail::ValueTensor;

/// Rejects operands of integers at compile time. Every operation of a layer calls it, with a tensor of the elements of
/// its result. Immediate, so that the compiler instantiates it at the call and points there.
template <AnyTensor Tensor>
consteval void require_floating_point() {
  if constexpr (std::is_integral_v<typename Tensor::value_type>)
    using Refused [[maybe_unused]] = decltype(error::LayerOfIntegers<Tensor>{});
}

/// Spec of an operand, recorded or not, evaluated or not.
template <class X>
using SpecOf = typename ValueTensor<X>::spec_type;

/// This rank's block as rows of the last dimension.
template <AnyTensor Tensor>
auto rows_of(Tensor const& tensor) {
  auto const columns = static_cast<std::size_t>(tensor.local_extent(Tensor::rank - 1));
  std::size_t rows = 1;
  for (int d = 0; d + 1 < Tensor::rank; ++d) rows *= static_cast<std::size_t>(tensor.local_extent(d));
  return Rank2<typename Tensor::value_type, typename Tensor::memory_space>(tensor.data(), rows, columns);
}

/// This rank's block in a row.
template <AnyTensor Tensor>
auto row_of(Tensor const& tensor) {
  return Rank1<typename Tensor::value_type, typename Tensor::memory_space>(
      tensor.data(), static_cast<std::size_t>(tensor.local_size()));
}

/// Whether `Rows` (...) lies beside `Tensor` (..., M), or any tensor of more dimensions: on a mesh of the same type,
/// each of its dimensions split as that of the tensor, and no unreduced sum.
template <AnyTensor Rows, AnyTensor Tensor>
constexpr bool is_split_as() {
  if constexpr (!std::is_same_v<typename Rows::mesh_type, typename Tensor::mesh_type>) return false;
  Layout of_tensor = Tensor::layout;
  while (of_tensor.dimensions.size() > Rows::rank) of_tensor.dimensions.pop_back();
  return of_tensor.dimensions == Rows::layout.dimensions && Rows::layout.partial.empty();
}

/// Whether `Vector` is one number for each column of `Tensor` (..., M), whole on every rank.
template <AnyTensor Vector, AnyTensor Tensor>
constexpr bool is_vector_beside() {
  return std::is_same_v<Vector, ShardedTensor<typename Tensor::mesh_type, typename Vector::spec_type,
                                              typename Tensor::value_type, typename Tensor::memory_space>> &&
         Vector::rank == 1 && Vector::layout.dimensions[0].empty() && Vector::layout.partial.empty();
}

/// Throws StateError, MeshError or ExtentError unless `vector` (M) has a number for each column of `tensor` (..., M).
template <AnyTensor Vector, AnyTensor Tensor>
void require_vector_beside(std::string_view operation, std::string_view vector_role, Vector const& vector,
                           std::string_view tensor_role, Tensor const& tensor) {
  gshard::detail::Operand const of_vector(vector_role, vector), of_tensor(tensor_role, tensor);
  gshard::detail::require_one_mesh(operation, {of_tensor, of_vector});
  gshard::detail::require_equal_extents(operation, of_vector, 0, of_tensor, Tensor::rank - 1);
}

/// Throws StateError, MeshError or ExtentError unless `rows` (...) has the leading extents of `tensor` (..., M).
template <AnyTensor Rows, AnyTensor Tensor>
void require_rows_of(std::string_view operation, std::string_view rows_role, Rows const& rows,
                     std::string_view tensor_role, Tensor const& tensor) {
  gshard::detail::Operand const of_rows(rows_role, rows), of_tensor(tensor_role, tensor);
  gshard::detail::require_one_mesh(operation, {of_tensor, of_rows});
  for (int d = 0; d < Rows::rank; ++d) gshard::detail::require_equal_extents(operation, of_rows, d, of_tensor, d);
}

constexpr Layout with_partial(Layout layout, AxisSet axes) {
  layout.partial |= axes;
  return layout;
}

}  // namespace gshard::nn::detail
