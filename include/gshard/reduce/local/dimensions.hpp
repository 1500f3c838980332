// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <gshard/core/fixed_string.hpp>
#include <gshard/expr/expression.hpp>
#include <gshard/reduce/kernels/loops.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

namespace error {

template <class Dimension>
struct DimensionIsAnArgument {
  static_assert(always_false<Dimension>,
                "gshard: the dimensions of a reduction are template arguments, as in sum<1>(x) or mean<0, 2>(x)");
};

template <int Dimension, int Rank>
struct DimensionNamedTwice {
  static_assert(always_false<std::integral_constant<int, Dimension>>,
                "gshard: a reduction names a dimension twice; name each one once");
};

}  // namespace error

namespace detail {

template <int Given, int Rank>
inline constexpr int counted_dimension = Given < 0 ? Given + Rank : Given;

/// The mistake of one of several given dimensions of a tensor of rank `Rank`; void for none.
template <int Rank, int Dimension, int... Given>
constexpr auto dimension_mistake() {
  constexpr int d = counted_dimension<Dimension, Rank>;
  if constexpr (d < 0 || d >= Rank) return std::type_identity<error::NoSuchDimension<Dimension, Rank>>{};
  else if constexpr ((0 + ... + (counted_dimension<Given, Rank> == d ? 1 : 0)) > 1)
    return std::type_identity<error::DimensionNamedTwice<d, Rank>>{};
  else return std::type_identity<void>{};
}
template <int Rank, int... Given>
using DimensionsMistake =
    typename FirstMistake<typename decltype(dimension_mistake<Rank, Given, Given...>())::type...>::type;

/// The dimensions that an operation on tensors like `Tensor` reduces, negative ones counted from the end.
template <AnyTensor Tensor, int... Given>
struct Dimensions {
  static consteval ReducedDimensions checked() {
    ReducedDimensions named;
    for (int d = 0; d < Tensor::rank; ++d) named.push_back(false);
    using Mistake = DimensionsMistake<Tensor::rank, Given...>;
    if constexpr (std::is_void_v<Mistake>) {
      ((named[counted_dimension<Given, Tensor::rank>] = true), ...);
    } else {
      using Refused [[maybe_unused]] = decltype(Mistake{});
    }
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

/// The mistake of what is not linear in a tensor that is an unreduced sum; void for none.
template <AnyTensor Tensor, bool IsRefused>
using PartialSumMistake = std::conditional_t<IsRefused && !Tensor::layout.partial.empty(),
                                             error::NonlinearOfPartialSum<void, typename Tensor::spec_type>, void>;

/// Refuses what is not linear in an unreduced sum.
template <class Ready>
consteval void refuse_partial() {
  using Mistake = PartialSumMistake<FirstTensor<Ready>, true>;
  if constexpr (!std::is_void_v<Mistake>) {
    using Refused [[maybe_unused]] = decltype(Mistake{});
  }
}

}  // namespace detail
}  // namespace gshard
