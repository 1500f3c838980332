// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

namespace error {

template <int Dimension, class Tensor>
struct ReshapeCrossesRanks {
  static_assert(
      always_false<Tensor>,
      "gshard: only dimensions that no axis splits are merged or split in place; reshard the tensor first, so that the named dimension is `_`");
};

}  // namespace error

namespace detail {

constexpr Layout split_dimension_layout(Layout const& layout, int dimension) {
  Layout result;
  result.partial = layout.partial;
  for (int d = 0; d < layout.rank(); ++d) {
    result.dimensions.push_back(layout.dimensions[d]);
    if (d == dimension) result.dimensions.push_back({});
  }
  return result;
}

constexpr Layout merge_dimensions_layout(Layout const& layout, int dimension) {
  Layout result;
  result.partial = layout.partial;
  for (int d = 0; d < layout.rank(); ++d)
    if (d != dimension + 1) result.dimensions.push_back(layout.dimensions[d]);
  return result;
}

template <int Dimension, AnyTensor Tensor>
consteval bool is_whole() {
  constexpr bool whole = Tensor::layout.dimensions[Dimension].empty();
  if constexpr (!whole) (void)sizeof(error::ReshapeCrossesRanks<Dimension, Tensor>);
  return whole;
}

}  // namespace detail

/// The tensor with dimension `Dimension` as two, the first of `outer` indices: (.., n, ..) becomes (.., outer, n /
/// outer, ..). Shares the elements; local. Throws ExtentError where `outer` does not divide the extent.
template <int Dimension, AnyTensor Tensor>
auto split_dimension(Tensor const& tensor, std::int64_t outer) {
  static_assert(detail::is_whole<Dimension, Tensor>());
  detail::require_set("split_dimension", {{"tensor", tensor}});
  std::int64_t const extent = tensor.extent(Dimension);
  if (outer < 1 || extent % outer != 0)
    throw ExtentError(detail::text("split_dimension: dimension ", Dimension, " of '", tensor.name(), "' ",
                                   detail::text_of(tensor.extents()), " cannot be cut into ", outer, " equal parts"));
  Extents extents;
  for (int d = 0; d < Tensor::rank; ++d) {
    extents.push_back(d == Dimension ? outer : tensor.extent(d));
    if (d == Dimension) extents.push_back(extent / outer);
  }
  using Result = with_layout<Tensor, detail::split_dimension_layout(Tensor::layout, Dimension)>;
  return tensor.template reinterpreted<typename Result::spec_type>(extents);
}

/// The tensor with dimensions `Dimension` and `Dimension + 1` as one: (.., a, b, ..) becomes (.., a b, ..). Shares the
/// elements; local.
template <int Dimension, AnyTensor Tensor>
auto merge_dimensions(Tensor const& tensor) {
  static_assert(detail::is_whole<Dimension, Tensor>() && detail::is_whole<Dimension + 1, Tensor>());
  detail::require_set("merge_dimensions", {{"tensor", tensor}});
  Extents extents;
  for (int d = 0; d < Tensor::rank; ++d) {
    if (d == Dimension + 1) extents.back() *= tensor.extent(d);
    else extents.push_back(tensor.extent(d));
  }
  using Result = with_layout<Tensor, detail::merge_dimensions_layout(Tensor::layout, Dimension)>;
  return tensor.template reinterpreted<typename Result::spec_type>(extents);
}

}  // namespace gshard
