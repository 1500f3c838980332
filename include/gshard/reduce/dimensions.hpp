// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <gshard/core/fixed_string.hpp>
#include <gshard/expr/expression.hpp>
#include <gshard/reduce/kernels/loops.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

namespace error {

template <int Dimension, int Rank>
struct DimensionNamedTwice {
  static_assert(always_false<std::integral_constant<int, Dimension>>,
                "gshard: a reduction names a dimension twice; name each one once");
};

}  // namespace error

namespace detail {

/// The dimensions that an operation on tensors like `Tensor` reduces, negative ones counted from the end.
template <AnyTensor Tensor, int... Given>
struct Dimensions {
  static consteval ReducedDimensions checked() {
    ReducedDimensions named;
    for (int d = 0; d < Tensor::rank; ++d) named.push_back(false);
    [[maybe_unused]] auto mark = [&]<int Dimension>(std::integral_constant<int, Dimension>) {
      constexpr int d = dimension_of<Dimension, Tensor::rank>;
      if constexpr ((0 + ... + ((Given < 0 ? Given + Tensor::rank : Given) == d ? 1 : 0)) > 1)
        (void)sizeof(error::DimensionNamedTwice<d, Tensor::rank>);
      named[d] = true;
    };
    (mark(std::integral_constant<int, Given>{}), ...);
    return named;
  }
  static constexpr ReducedDimensions reduced = checked();

  /// The first dimension that is reduced: the only one, where one was named.
  static constexpr int only = reduced.find(true);

  static consteval StaticVector<int, max_rank> others() {
    StaticVector<int, max_rank> result;
    for (int d = 0; d < Tensor::rank; ++d)
      if (!reduced[d]) result.push_back(d);
    return result;
  }
  static constexpr StaticVector<int, max_rank> kept = others();

  template <std::size_t... Kept>
  static consteval auto spec_of_kept(std::index_sequence<Kept...>) {
    return Spec<Tensor::spec_type::dimension(kept[static_cast<int>(Kept)])...>{};
  }

  /// The spec of results: the kept dimensions as the tensor's spec has them.
  using kept_spec = decltype(spec_of_kept(std::make_index_sequence<static_cast<std::size_t>(kept.size())>{}));

  /// The axes that split the reduced dimensions.
  static constexpr AxisSet axes = Tensor::layout.split() - layout_of<typename Tensor::mesh_type, kept_spec>.split();

  /// The reduction as the subscripts of an einsum of one operand, "abc->b".
  static consteval FixedString spelled() {
    FixedString text{""};
    int length = 0;
    for (int d = 0; d < Tensor::rank; ++d) text.text[length++] = static_cast<char>('a' + d);
    text.text[length++] = '-';
    text.text[length++] = '>';
    for (int d : kept) text.text[length++] = static_cast<char>('a' + d);
    return text;
  }

  static Extents kept_extents(Extents const& extents) {
    Extents result;
    for (int d : kept) result.push_back(extents[d]);
    return result;
  }

  /// The number of elements that one result is made of.
  static std::int64_t count(Extents const& extents) {
    std::int64_t result = 1;
    for (int d = 0; d < Tensor::rank; ++d)
      if (reduced[d]) result *= extents[d];
    return result;
  }

  /// The type of results of type `T`.
  template <class T>
  using Rows = ShardedTensor<typename Tensor::mesh_type, kept_spec, T, typename Tensor::memory_space>;
};

/// Refuses what is not linear in an unreduced sum.
template <class Ready>
consteval void refuse_partial() {
  if constexpr (!FirstTensor<Ready>::layout.partial.empty())
    (void)sizeof(error::NonlinearOfPartialSum<Ready, FirstTensor<Ready>>);
}

}  // namespace detail
}  // namespace gshard
