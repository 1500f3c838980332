// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include <gshard/index/kernels/sort.hpp>
#include <gshard/index/rearrange.hpp>
#include <gshard/index/take.hpp>
#include <gshard/tensor/record_kernel.hpp>
#include <gshard/tensor/unevaluated.hpp>

namespace gshard {

enum class Order { ascending, descending };

/// Some elements of each row, and where they stood.
template <class Values, AnyTensor Indices>
struct Ranked {
  Values values;
  Indices indices;
};

namespace error {

template <int Dimension, class Tensor>
struct SortAlongSplit {
  static_assert(always_false<Tensor>,
                "gshard: sorting works along a dimension that no axis splits; reshard the tensor so that it is `_`");
};

template <class Tensor>
struct SortOfPartial {
  static_assert(
      always_false<Tensor>,
      "gshard: the order of an unreduced sum is not that of its parts; reduce it first, by reshard to a spec without partial");
};

}  // namespace error

namespace detail {

template <int Dimension, AnyTensor Tensor>
consteval bool check_sorted() {
  constexpr bool whole = axes_along<Tensor, Dimension>.empty();
  if constexpr (!whole) using Refused [[maybe_unused]] = decltype(error::SortAlongSplit<Dimension, Tensor>{});
  if constexpr (!Tensor::layout.partial.empty())
    using Refused [[maybe_unused]] = decltype(error::SortOfPartial<Tensor>{});
  return whole && Tensor::layout.partial.empty();
}

template <AnyTensor Tensor>
using PlacesOf = ShardedTensor<typename Tensor::mesh_type, typename Rearranged<Tensor>::spec_type, int,
                               typename Tensor::memory_space>;

/// Throws where a tensor cannot be sorted: it is unset, or has more places than an int counts.
inline void require_sortable(std::string_view operation, Operand const& x, int dimension) {
  require_set(operation, {x});
  if ((*x.extents)[dimension] > std::numeric_limits<int>::max())
    throw ExtentError(concat(operation, ": places are ints, which those in dimension ", dimension, " exceed, of ",
                             text_of(x), place_of(x)));
}

inline void require_top_k(Operand const& x, int dimension, std::int64_t count) {
  require_sortable("top_k", x, dimension);
  if (count < 0 || count > (*x.extents)[dimension])
    throw ExtentError(
        concat("top_k: there are no ", count, " elements in dimension ", dimension, " of ", text_of(x), place_of(x)));
}

template <int Dimension, AnyTensor Tensor>
PlacesOf<Tensor> sorted_places(Tensor const& x, Order order) {
  using Space = typename Tensor::memory_space;
  PlacesOf<Tensor> const places(uninitialized, x.mesh(), x.extents());
  Scratch<Space> scratch(x.memory());
  SlicesOf const rows(x.local_extents(), Dimension);
  launch<Space>(
      "gshard::sort", rows.extent == 0 ? 0 : rows.outer * rows.inner,
      SortRows<typename Tensor::value_type>{x.data(), places.data(), scratch.template get<int>(x.local_size()),
                                            rows.extent, rows.inner, order == Order::descending});
  return places;
}

/// The first `count` of the places in descending order.
template <int Dimension, AnyTensor Tensor>
PlacesOf<Tensor> places_of_largest(Tensor const& x, std::int64_t count) {
  // a row in ascending order costs one pass a place, which is still less than to sort it
  constexpr std::int64_t few = 16;
  if (count > few) return slice<Dimension>(sorted_places<Dimension>(x, Order::descending), 0, count);
  Extents extents = x.extents();
  extents[Dimension] = count;
  PlacesOf<Tensor> const places(uninitialized, x.mesh(), extents);
  record_kernel("top_k", x, places);
  SlicesOf const rows(x.local_extents(), Dimension);
  launch<typename Tensor::memory_space>(
      "gshard::top_k", count == 0 ? 0 : rows.outer * rows.inner,
      LargestOfRows<typename Tensor::value_type>{x.data(), places.data(), rows.extent, count, rows.inner});
  return places;
}

/// The elements of x at the places `indices` of each row.
template <int Dimension, AnyTensor Tensor, AnyTensor Indices>
Rearranged<Tensor> take_along(Tensor const& x, Indices const& indices) {
  Rearranged<Tensor> const result(uninitialized, x.mesh(), indices.extents());
  SlicesOf const rows(x.local_extents(), Dimension);
  launch<typename Tensor::memory_space>(
      "gshard::take_along", result.local_size(),
      TakeAlongRows<typename Tensor::value_type>{x.data(), indices.data(), result.data(), rows.extent,
                                                 indices.local_extent(Dimension), rows.inner});
  return result;
}

/// The transpose of take_along, of places that differ.
template <int Dimension, AnyTensor Tensor, AnyTensor Gradient, AnyTensor Indices>
Tensor put_along(Gradient const& gradient, Indices const& indices, Extents const& extents) {
  Tensor const result(gradient.mesh(), extents);
  SlicesOf const rows(result.local_extents(), Dimension);
  launch<typename Tensor::memory_space>(
      "gshard::put_along", gradient.local_size(),
      PutAlongRows<typename Tensor::value_type>{gradient.data(), indices.data(), result.data(), rows.extent,
                                                indices.local_extent(Dimension), rows.inner});
  return result;
}

}  // namespace detail

// Along a dimension that no axis splits. Local. Equal elements keep their order: the lowest index goes first. NaN
// is above infinity: last in ascending order, first in descending order and in top_k, as argmax finds it first.
// Negative dimensions count from the end.

/// The places of the elements of each row along `Dimension`, in the order of the elements.
template <int Dimension, AnyTensor Tensor>
auto argsort(Tensor const& x, Order order = Order::ascending) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  [[maybe_unused]] constexpr bool is_fine = detail::check_sorted<dimension, Tensor>();
  detail::require_sortable("sort", {"x", x}, dimension);
  return detail::sorted_places<dimension>(x, order);
}

/// The elements of each row along `Dimension`, in order.
template <int Dimension, AnyTensor Tensor>
auto sort(Tensor const& x, Order order = Order::ascending) {
  return detail::take_along<detail::dimension_of<Dimension, Tensor::rank>>(x, argsort<Dimension>(x, order));
}

/// The `count` largest elements of each row along `Dimension`, the largest first, and their places. Throws ExtentError
/// where a row has fewer.
template <int Dimension, AnyTensor Tensor>
auto top_k(Tensor const& x, std::int64_t count) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  [[maybe_unused]] constexpr bool is_fine = detail::check_sorted<dimension, Tensor>();
  detail::require_top_k({"x", x}, dimension, count);
  auto const places = detail::places_of_largest<dimension>(x, count);
  return Ranked<detail::Rearranged<Tensor>, std::remove_const_t<decltype(places)>>{
      detail::take_along<dimension>(x, places), places};
}
template <int Dimension, Unevaluated Operation>
auto top_k(Operation const& x, std::int64_t count) {
  return top_k<Dimension>(detail::refuse_unevaluated(x), count);
}

}  // namespace gshard
