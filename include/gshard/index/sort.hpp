// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/index/kernels/sort.hpp>
#include <gshard/index/rearrange.hpp>
#include <gshard/index/slice.hpp>
#include <gshard/index/take.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/record_kernel.hpp>

namespace gshard {

/// Order of sorted elements.
/// ascending: smallest first, NaN last.
/// descending: largest first, NaN before all others.
enum class Order { ascending, descending };

/// Elements selected along a dimension, and their indices along it.
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

/// Requires at compile time that no axis splits `Dimension` and that the tensor is no unreduced sum.
template <int Dimension, AnyTensor Tensor>
consteval bool check_sorted() {
  constexpr bool whole = axes_along<Tensor, Dimension>.empty();
  if constexpr (!whole) using Refused [[maybe_unused]] = decltype(error::SortAlongSplit<Dimension, Tensor>{});
  if constexpr (!Tensor::layout.partial.empty())
    using Refused [[maybe_unused]] = decltype(error::SortOfPartial<Tensor>{});
  return whole && Tensor::layout.partial.empty();
}

/// Names the type of a tensor of int indices in the layout of `Tensor`.
template <AnyTensor Tensor>
using PlacesOf = ShardedTensor<typename Tensor::mesh_type, typename Rearranged<Tensor>::spec_type, int,
                               typename Tensor::memory_space>;

/// Throws StateError if the tensor is unset, ExtentError if an int cannot hold its indices along `dimension`.
inline void require_sortable(std::string_view operation, Operand const& x, int dimension) {
  require_set(operation, {x});
  if ((*x.extents)[dimension] > std::numeric_limits<int>::max())
    throw ExtentError(concat(operation, ": places are ints, which those in dimension ", dimension, " exceed, of ",
                             text_of(x), place_of(x)));
}

/// As require_sortable; also throws ExtentError unless 0 <= count <= n.
inline void require_top_k(Operand const& x, int dimension, std::int64_t count) {
  require_sortable("top_k", x, dimension);
  if (count < 0 || count > (*x.extents)[dimension])
    throw ExtentError(
        concat("top_k: there are no ", count, " elements in dimension ", dimension, " of ", text_of(x), place_of(x)));
}

/// Returns the indices along `Dimension` that sort x. Stable.
template <int Dimension, AnyTensor Tensor>
PlacesOf<Tensor> sorted_places(Tensor const& x, Order order) {
  using Space = typename Tensor::memory_space;
  PlacesOf<Tensor> const places(uninitialized, x.mesh(), x.extents());
  record_kernel("sort", x, places);
  Scratch<Space> scratch(x.memory());
  SlicesOf const rows(x.local_extents(), Dimension);
  launch<Space>(
      "gshard::sort", rows.extent == 0 ? 0 : rows.outer * rows.inner,
      SortRows<typename Tensor::value_type>{x.data(), places.data(), scratch.template get<int>(x.local_size()),
                                            rows.extent, rows.inner, order == Order::descending});
  return places;
}

/// Returns the first `count` of the indices that sort x in descending order.
template <int Dimension, AnyTensor Tensor>
PlacesOf<Tensor> places_of_largest(Tensor const& x, std::int64_t count) {
  // Insertion into the list of the largest so far costs up to `count` moves an element, in the worst case of an
  // ascending row; with a few kept elements that is still less than a merge sort.
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

/// Returns the elements of x at `indices` along `Dimension`, as numpy.take_along_axis. Local.
template <int Dimension, AnyTensor Tensor, AnyTensor Indices>
Rearranged<Tensor> take_along(Tensor const& x, Indices const& indices) {
  Rearranged<Tensor> const result(uninitialized, x.mesh(), indices.extents());
  record_kernel("take_along", result, result, indices);  // reads an element of x for each element of the result
  SlicesOf const rows(x.local_extents(), Dimension);
  launch<typename Tensor::memory_space>(
      "gshard::take_along", result.local_size(),
      TakeAlongRows<typename Tensor::value_type>{x.data(), indices.data(), result.data(), rows.extent,
                                                 indices.local_extent(Dimension), rows.inner});
  return result;
}

/// Returns the transpose of take_along applied to `gradient`. Precondition: the indices of a row differ.
template <int Dimension, AnyTensor Tensor, AnyTensor Gradient, AnyTensor Indices>
Tensor put_along(Gradient const& gradient, Indices const& indices, Extents const& extents) {
  Tensor const result(gradient.mesh(), extents);
  record_kernel("put_along", gradient, gradient, indices);  // writes an element of the result for each of the gradient
  SlicesOf const rows(result.local_extents(), Dimension);
  launch<typename Tensor::memory_space>(
      "gshard::put_along", gradient.local_size(),
      PutAlongRows<typename Tensor::value_type>{gradient.data(), indices.data(), result.data(), rows.extent,
                                                indices.local_extent(Dimension), rows.inner});
  return result;
}

/// Indices that sort a tensor along `Dimension`, as an operation.
template <int Dimension>
struct Argsort {
  Order order;

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    [[maybe_unused]] constexpr bool is_fine = check_sorted<Dimension, Tensor>();
    require_sortable("sort", {"x", x}, Dimension);
    return sorted_places<Dimension>(x, order);
  }
};

/// Indices of the largest elements along `Dimension`, as an operation.
template <int Dimension>
struct ArgTopK {
  std::int64_t count;

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    [[maybe_unused]] constexpr bool is_fine = check_sorted<Dimension, Tensor>();
    require_top_k({"x", x}, Dimension, count);
    return places_of_largest<Dimension>(x, count);
  }
};

/// Elements of a tensor at indices along `Dimension`, as an operation with a gradient: take_along.
template <int Dimension>
struct TakeAlong {
  template <int>
  static constexpr Reads reads = Reads::operand(1);

  auto forward(AnyTensor auto const& x, AnyTensor auto const& indices) const {
    return take_along<Dimension>(x, indices);
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x, indices] = saved.operands;
    auto const& dx = std::get<0>(gradients);
    using Gradient = Cotangent<typename std::remove_cvref_t<decltype(dx)>::tensor_type>;
    dx.add(put_along<Dimension, Gradient>(gradient, indices, x.extents()));
  }
};

}  // namespace detail

// Common to the functions below. No axis splits `Dimension` and x is no unreduced sum, else the call does not compile.
// The sort is stable: of equal elements, the lower index comes first in either order. NaN is above infinity, as in
// argmax. A negative `Dimension` counts from the end.
// Communication: none.
// Throws StateError if x is unset, ExtentError if the extent of `Dimension` is above 2^31 - 1.

/// Returns the indices (int) that sort x along `Dimension`, a tensor of the extents and layout of x.
template <int Dimension, TensorOperand X>
auto argsort(X&& x, Order order = Order::ascending) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank>;
  return Differentiable(detail::Argsort<dimension>{order})(std::forward<X>(x));
}

/// Returns x sorted along `Dimension`. The gradient of an element goes to the place that the element came from.
template <int Dimension, TensorOperand X>
auto sort(X&& x, Order order = Order::ascending) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank>;
  decltype(auto) operand = detail::evaluated(std::forward<X>(x));
  return Differentiable<detail::TakeAlong<dimension>>{}(operand, argsort<dimension>(operand, order));
}

/// Returns the `count` largest elements along `Dimension`, largest first, and their indices (int). The values are
/// recorded if x is; their gradients go to the places that they came from.
/// Shapes: x (.., n, ..), values and indices (.., count, ..).
/// Throws ExtentError unless 0 <= count <= n.
template <int Dimension, TensorOperand X>
auto top_k(X&& x, std::int64_t count) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank>;
  decltype(auto) operand = detail::evaluated(std::forward<X>(x));
  auto indices = Differentiable(detail::ArgTopK<dimension>{count})(operand);
  auto values = Differentiable<detail::TakeAlong<dimension>>{}(operand, indices);
  return Ranked<decltype(values), decltype(indices)>{std::move(values), std::move(indices)};
}

}  // namespace gshard
