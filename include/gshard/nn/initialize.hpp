// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include <gshard/autodiff/parameter.hpp>
#include <gshard/core/options.hpp>
#include <gshard/core/random.hpp>
#include <gshard/nn/random_stream.hpp>
#include <gshard/tensor/fill.hpp>

namespace gshard::nn {

namespace detail {

/// The position of an element in the whole tensor, row-major: what its random number is drawn by.
template <int Rank>
GSHARD_FUNCTION std::uint64_t global_position(Extents const& extents, GlobalIndex<Rank> const& index) {
  std::uint64_t position = 0;
  for (int d = 0; d < Rank; ++d)
    position = position * static_cast<std::uint64_t>(extents[d]) +
               static_cast<std::uint64_t>(index[static_cast<std::size_t>(d)]);
  return position;
}

template <class T, int Rank>
struct NormalValue {
  Extents extents;
  std::uint64_t seed;
  std::uint64_t stream;
  double deviation;

  KOKKOS_FUNCTION T operator()(GlobalIndex<Rank> const& index) const {
    return static_cast<T>(deviation * random_normal<double>(seed, stream, global_position<Rank>(extents, index)));
  }
};

template <class T>
struct ConstantValue {
  T value;
  template <class Index>
  KOKKOS_FUNCTION T operator()(Index const&) const {
    return value;
  }
};

}  // namespace detail

/// Makes the parameters of a model. Random values depend on the seed, on how many random parameters were made before,
/// and on the element's global index: the same on every mesh.
class Initializer {
 public:
  explicit Initializer(std::uint64_t seed) : random_{fold_in({seed, 0}, detail::RandomPurpose::weights)} {}

  /// Normal values of mean 0. Throws OptionError unless `deviation` is finite and at least 0.
  template <AnyTensor Tensor>
  Parameter<Tensor> normal(typename Tensor::mesh_type const& mesh, Extents const& extents, double deviation,
                           std::string_view name) {
    gshard::detail::require_non_negative("deviation", deviation);
    Tensor value(uninitialized, mesh, extents, name);
    auto const [seed, stream] = random_.next();
    fill(value, detail::NormalValue<typename Tensor::value_type, Tensor::rank>{extents, seed, stream, deviation});
    return {value, {}};
  }

  template <AnyTensor Tensor>
  Parameter<Tensor> constant(typename Tensor::mesh_type const& mesh, Extents const& extents, double value,
                             std::string_view name) {
    Tensor tensor(uninitialized, mesh, extents, name);
    fill(tensor, detail::ConstantValue<typename Tensor::value_type>{static_cast<typename Tensor::value_type>(value)});
    return {tensor, {}};
  }

 private:
  detail::RandomUses random_;
};

}  // namespace gshard::nn
