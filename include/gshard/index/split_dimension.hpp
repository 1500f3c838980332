// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

namespace error {

/// Compile error of a split or merge of dimension `Dimension` of `Tensor`, which mesh axes split.
template <int Dimension, class Tensor>
struct ReshapeCrossesRanks {
  static_assert(
      always_false<Tensor>,
      "gshard: only dimensions that no axis splits are merged or split in place; reshard the tensor first, so that the named dimension is `_`");
};

}  // namespace error

namespace detail {

/// Returns the layout with an unsplit dimension inserted after `dimension`.
constexpr Layout split_dimension_layout(Layout const& layout, int dimension) {
  Layout result;
  result.partial = layout.partial;
  for (int d = 0; d < layout.rank(); ++d) {
    result.dimensions.push_back(layout.dimensions[d]);
    if (d == dimension) result.dimensions.push_back({});
  }
  return result;
}

/// Returns the layout without dimension `dimension` + 1.
constexpr Layout merge_dimensions_layout(Layout const& layout, int dimension) {
  Layout result;
  result.partial = layout.partial;
  for (int d = 0; d < layout.rank(); ++d)
    if (d != dimension + 1) result.dimensions.push_back(layout.dimensions[d]);
  return result;
}

/// Returns true. Does not compile if an axis splits the dimension.
template <int Dimension, AnyTensor Tensor>
consteval bool is_whole() {
  constexpr bool whole = Tensor::layout.dimensions[Dimension].empty();
  if constexpr (!whole) using Refused [[maybe_unused]] = decltype(error::ReshapeCrossesRanks<Dimension, Tensor>{});
  return whole;
}

/// Returns the tensor with dimension `Dimension` as two dimensions, of `outer` and `inner` indices.
/// Precondition: the dimension has outer * inner indices.
template <int Dimension, AnyTensor Tensor>
auto split_into(Tensor const& tensor, std::int64_t outer, std::int64_t inner) {
  Extents extents;
  for (int d = 0; d < Tensor::rank; ++d) {
    extents.push_back(d == Dimension ? outer : tensor.extent(d));
    if (d == Dimension) extents.push_back(inner);
  }
  using Result = with_layout<Tensor, split_dimension_layout(Tensor::layout, Dimension)>;
  return tensor.template reinterpreted<typename Result::spec_type>(extents);
}

/// Returns the tensor with dimensions `Dimension` and `Dimension` + 1 as one.
template <int Dimension, AnyTensor Tensor>
auto merged(Tensor const& tensor) {
  Extents extents;
  for (int d = 0; d < Tensor::rank; ++d) {
    if (d == Dimension + 1) extents.back() *= tensor.extent(d);
    else extents.push_back(tensor.extent(d));
  }
  using Result = with_layout<Tensor, merge_dimensions_layout(Tensor::layout, Dimension)>;
  return tensor.template reinterpreted<typename Result::spec_type>(extents);
}

/// Split of a dimension in two, as an operation with a gradient.
template <int Dimension>
struct SplitDimension {
  std::int64_t outer;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& tensor) const {
    static_assert(is_whole<Dimension, Tensor>());
    require_set("split_dimension", {{"tensor", tensor}});
    std::int64_t const extent = tensor.extent(Dimension);
    if (outer < 1 || extent % outer != 0)
      throw ExtentError(concat("split_dimension: dimension ", Dimension, " of '", tensor.name(), "' ",
                               text_of(tensor.extents()), " cannot be cut into ", outer, " equal parts"));
    return split_into<Dimension>(tensor, outer, extent / outer);
  }

  void vjp(auto const&, auto const& gradient, auto const& gradients) const {
    auto const& [dx] = gradients;
    dx.add(merged<Dimension>(gradient));
  }
};

/// Merge of two dimensions, as an operation with a gradient.
template <int Dimension>
struct MergeDimensions {
  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& tensor) const {
    static_assert(is_whole<Dimension, Tensor>() && is_whole<dimension_of<Dimension + 1, Tensor::rank>, Tensor>());
    require_set("merge_dimensions", {{"tensor", tensor}});
    return merged<Dimension>(tensor);
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [tensor] = saved.operands;
    auto const& [dx] = gradients;
    dx.add(split_into<Dimension>(gradient, tensor.extent(Dimension), tensor.extent(Dimension + 1)));
  }
};

}  // namespace detail

/// Returns the tensor with dimension `Dimension` split in two: (.., n, ..) becomes (.., outer, n / outer, ..).
/// The result shares the elements; its spec fixes no extents. A negative `Dimension` counts from the end.
/// Does not compile if a mesh axis splits the dimension, or there is no such dimension.
/// Communication: none.
/// Throws ExtentError, on all ranks, if `outer` is not positive or does not divide n.
/// Throws StateError if the tensor is unset.
template <int Dimension, TensorOperand Tensor>
auto split_dimension(Tensor&& tensor, std::int64_t outer) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<Tensor>::rank>;
  return Differentiable(detail::SplitDimension<dimension>{outer})(std::forward<Tensor>(tensor));
}

/// Returns the tensor with dimensions `Dimension` and `Dimension + 1` merged: (.., a, b, ..) becomes (.., a b, ..).
/// The result shares the elements; its spec fixes no extents. A negative `Dimension` counts from the end.
/// Does not compile if a mesh axis splits one of the two dimensions, or there are no such dimensions.
/// Communication: none.
/// Throws StateError if the tensor is unset.
template <int Dimension, TensorOperand Tensor>
auto merge_dimensions(Tensor&& tensor) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<Tensor>::rank>;
  return Differentiable(detail::MergeDimensions<dimension>{})(std::forward<Tensor>(tensor));
}

}  // namespace gshard
