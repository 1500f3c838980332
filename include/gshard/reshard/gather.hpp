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

template <class Spec>
struct TensorIsStreamed {
  static_assert(always_false<Spec>,
                "gshard: a tensor is not written by <<, since all ranks have to take part; all of them call "
                "print(stream, x), and rank 0 writes");
};

}  // namespace error

/// All elements in row-major order, on every rank: for tests, logs and small results. Replicates the tensor.
template <AnyTensor Tensor>
std::vector<typename Tensor::value_type> to_vector(Tensor const& tensor) {
  detail::require_set("to_vector", {{"tensor", tensor}});
  auto const whole = replicate(tensor);
  std::vector<typename Tensor::value_type> elements(static_cast<std::size_t>(whole.size()));
  detail::copy_to_host<typename Tensor::memory_space>(elements.data(), whole.data(), whole.size());
  return elements;
}
template <Unevaluated Operation>
auto to_vector(Operation const& x) {
  return to_vector(detail::refuse_unevaluated(x));
}
template <class Recorded>
  requires(Recorded::is_recorded && !Unevaluated<Recorded>)
auto to_vector(Recorded const& x) {
  using Refused [[maybe_unused]] = decltype(error::RecordedUsedAsPlain<Recorded>{});
  return to_vector(x.value());
}

/// A compile error that names `print`.
template <AnyTensor Tensor>
std::ostream& operator<<(std::ostream& stream, Tensor const&) {
  using Refused [[maybe_unused]] = decltype(error::TensorIsStreamed<typename Tensor::spec_type>{});
  return stream;
}

/// Writes the description and all elements on rank 0, one row of the last dimension a line. Replicates the tensor.
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
