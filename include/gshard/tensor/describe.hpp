// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <type_traits>

#include <gshard/core/bfloat16.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

namespace detail {

template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, float>) return "float";
  else if constexpr (std::is_same_v<T, double>) return "double";
  else if constexpr (std::is_same_v<T, BFloat16>) return "bfloat16";
  else if constexpr (std::is_integral_v<T>) return (std::is_signed_v<T> ? "int" : "uint") + std::to_string(8 * sizeof(T));
  else return std::to_string(sizeof(T)) + "-byte elements";
}

}  // namespace detail

/// The global shape, the spec, and what this rank holds, in one line. No communication.
template <AnyTensor Tensor>
std::string describe(Tensor const& tensor) {
  std::string held;
  for (int dimension = 0; dimension < Tensor::rank; ++dimension)
    held += detail::text(dimension == 0 ? "" : " x ", "[", tensor.range(dimension).begin, ", ", tensor.range(dimension).end, ")");
  return detail::text(tensor.name().empty() ? "tensor" : tensor.name(), ": ", detail::type_name<typename Tensor::value_type>(), " ",
                      detail::text_of(tensor.extents()), " ", detail::text_of<typename Tensor::mesh_type>(Tensor::layout), " on mesh (",
                      tensor.mesh().text(), "); rank ", tensor.mesh().rank(), " holds ", Tensor::rank == 0 ? "the scalar" : held);
}

}  // namespace gshard
