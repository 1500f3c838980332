// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/describe.hpp>
#include <gshard/tensor/unevaluated.hpp>

namespace gshard {

namespace error {

/// Compile error: a tensor of spec `Spec` is written by `<<`.
template <class Spec>
struct TensorIsStreamed {
  static_assert(always_false<Spec>,
                "gshard: a tensor is not written by <<, since all ranks have to take part; all of them call "
                "print(stream, x), and rank 0 writes");
};

}  // namespace error

/// Returns all elements of the tensor in row-major order, in host memory of every rank. For tests, logs and small
/// results.
/// Precondition: every rank of the mesh calls it.
/// Communication: as replicate.
/// Throws StateError if the tensor is unset, and as replicate.
template <AnyTensor Tensor>
std::vector<typename Tensor::value_type> to_vector(Tensor const& tensor) {
  detail::require_set("to_vector", {{"tensor", tensor}});
  auto const whole = replicate(tensor);
  std::vector<typename Tensor::value_type> elements(static_cast<std::size_t>(whole.size()));
  detail::copy_to_host<typename Tensor::memory_space>(elements.data(), whole.data(), whole.size());
  return elements;
}
/// Does not compile: an operation has to be evaluated first.
template <Unevaluated Operation>
auto to_vector(Operation&& x) {
  return to_vector(detail::refuse_unevaluated(std::forward<Operation>(x)));
}
/// Does not compile: pass `x.value()` of a recorded tensor.
template <class Recorded>
  requires(Recorded::is_recorded && !Unevaluated<Recorded>)
auto to_vector(Recorded const& x) {
  using Refused [[maybe_unused]] = decltype(error::RecordedUsedAsPlain<Recorded>{});
  return to_vector(x.value());
}

/// Does not compile: every rank has to call `print(stream, tensor)` instead.
template <AnyTensor Tensor>
std::ostream& operator<<(std::ostream& stream, Tensor const&) {
  using Refused [[maybe_unused]] = decltype(error::TensorIsStreamed<typename Tensor::spec_type>{});
  return stream;
}

/// Writes the description of the tensor and all elements on rank 0, one line for each row of the last dimension.
/// Precondition: every rank of the mesh calls it.
/// Communication: as replicate.
/// Throws StateError if the tensor is unset, and as replicate.
template <AnyTensor Tensor>
void print(std::ostream& stream, Tensor const& tensor) {
  detail::require_set("print", {{"tensor", tensor}});
  auto const elements = to_vector(tensor);
  if (tensor.mesh().rank() != 0) return;
  stream << describe(tensor) << '\n';
  std::size_t const row = Tensor::rank == 0 ? 1 : static_cast<std::size_t>(tensor.extent(Tensor::rank - 1));
  for (std::size_t i = 0; i < elements.size(); ++i) stream << elements[i] << ((i + 1) % row == 0 ? '\n' : ' ');
}

}  // namespace gshard
