// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/expr/arithmetic.hpp>
#include <gshard/expr/cast.hpp>
#include <gshard/expr/expression.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/index/check_ids.hpp>
#include <gshard/index/kernels/take.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/record_kernel.hpp>

namespace gshard {

namespace error {

template <class Indices>
struct IndicesType {
  static_assert(
      always_false<Indices>,
      "gshard: indices are a tensor of int or std::int64_t with one dimension, on the mesh of the tensor that they index; make them so");
};

template <int Dimension, class Tensor, class Indices>
struct IndicesShareAxis {
  static_assert(
      always_false<Tensor>,
      "gshard: an axis that splits the indices also splits the tensor, so that no rank would have both; split the indices over other axes, or reshard one of them");
};

template <int Dimension, class Tensor, class Updates>
struct UpdatesHeldOtherwise {
  static_assert(
      always_false<Tensor>,
      "gshard: the updates of scatter_add are of the tensor's elements and held as the tensor is, but along the indexed dimension, where they are held as the indices are; reshard or convert them so");
};

}  // namespace error

namespace detail {

/// Views a block as (outer, extent, inner): `extent` is that of one dimension, `outer` and `inner` the products of the
/// extents before and behind it.
struct SlicesOf {
  std::int64_t outer = 1;
  std::int64_t extent = 1;
  std::int64_t inner = 1;

  SlicesOf(Extents const& block, int dimension) : extent(block[dimension]) {
    for (int d = 0; d < dimension; ++d) outer *= block[d];
    for (int d = dimension + 1; d < block.size(); ++d) inner *= block[d];
  }
  /// Returns the number of pieces of `piece` elements that cover the inner part; at least 1.
  std::int64_t pieces(std::int64_t piece) const { return std::max<std::int64_t>(1, (inner + piece - 1) / piece); }
};

/// Returns the layout of `take`: an unreduced sum over the axes that split `Dimension`, which becomes split as the
/// indices are.
template <int Dimension>
constexpr Layout layout_of_taken(Layout layout, Layout const& indices) {
  layout.partial |= set_of(layout.dimensions[Dimension]);
  layout.dimensions[Dimension] = indices.dimensions[0];
  return layout;
}

/// Returns the layout of the sums of each rank's own updates: an unreduced sum over the axes that split the indices.
template <int Dimension>
constexpr Layout layout_of_scattered(Layout layout, Layout const& indices) {
  layout.partial |= set_of(indices.dimensions[0]);
  return layout;
}

/// Checks the types of a tensor and its indices at compile time.
template <int Dimension, AnyTensor Tensor, AnyTensor Indices>
consteval bool check_indices() {
  if constexpr (Indices::rank != 1 || !is_index_type<typename Indices::value_type> ||
                !Indices::layout.partial.empty() ||
                !std::is_same_v<typename Indices::mesh_type, typename Tensor::mesh_type> ||
                !std::is_same_v<typename Indices::memory_space, typename Tensor::memory_space>) {
    using Refused [[maybe_unused]] = decltype(error::IndicesType<Indices>{});
    return false;
  } else {
    constexpr AxisSet shared = Indices::layout.split() & (Tensor::layout.split() | Tensor::layout.partial);
    if constexpr (!shared.empty())
      using Refused [[maybe_unused]] = decltype(error::IndicesShareAxis<Dimension, Tensor, Indices>{});
    return shared.empty();
  }
}

template <int Dimension, AnyTensor Tensor, AnyTensor Indices>
using Taken = with_layout<Tensor, layout_of_taken<Dimension>(Tensor::layout, Indices::layout)>;

/// Returns the slices of x that this rank holds, and zeros for the others. Precondition: the indices are in range.
template <int Dimension, AnyTensor Tensor, AnyTensor Indices>
Taken<Dimension, Tensor, Indices> take_held(Tensor const& x, Indices const& indices) {
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  constexpr std::int64_t piece = slice_piece<Space>;
  Extents extents = x.extents();
  extents[Dimension] = indices.extent(0);
  Taken<Dimension, Tensor, Indices> const result(uninitialized, x.mesh(), extents);
  record_kernel("take", result, result, indices);  // reads a slice of x for each slice of the result
  SlicesOf const slices(x.local_extents(), Dimension);
  std::int64_t const count = indices.local_extent(0);
  launch<Space>("gshard::take", slices.outer * count * slices.pieces(piece) * (slices.inner > 0 ? 1 : 0),
                TakeSlices<T, typename Indices::value_type, piece>{x.data(), indices.data(), result.data(),
                                                                   x.range(Dimension).begin, slices.extent, count,
                                                                   slices.inner, slices.pieces(piece)});
  return result;
}

/// Adds this rank's updates to its block of the result. Precondition: the indices are in range.
template <int Dimension, AnyTensor Result, AnyTensor Indices, AnyTensor Updates>
void scatter_held(Result const& result, Indices const& indices, Updates const& updates) {
  using T = typename Updates::value_type;
  using Space = typename Result::memory_space;
  constexpr std::int64_t piece = slice_piece<Space>;
  record_kernel("scatter_add", updates, updates, updates,
                indices);  // reads and writes a slice for each slice of updates
  SlicesOf const slices(result.local_extents(), Dimension);
  launch<Space>("gshard::scatter_add", slices.outer * slices.pieces(piece) * (slices.inner > 0 ? 1 : 0),
                ScatterSlices<T, typename Indices::value_type, piece>{
                    updates.data(), indices.data(), result.data(), result.range(Dimension).begin, slices.extent,
                    indices.local_extent(0), slices.inner, slices.pieces(piece)});
}

/// Returns the updates summed by index into zeros, in the layout of `To`; BFloat16 is summed in float and not rounded.
/// Communication: all-reduce of the block over the axes that split the indices.
template <int Dimension, AnyTensor To, AnyTensor Indices, AnyTensor Updates>
Widened<To> scattered(Extents const& extents, Indices const& indices, Updates const& updates) {
  using Part = with_layout<Widened<To>, layout_of_scattered<Dimension>(To::layout, Indices::layout)>;
  Part const part(updates.mesh(), extents);
  scatter_held<Dimension>(part, indices, updates);
  return reshard<typename To::spec_type>(part);
}

/// Returns whether the updates have the type that scatter_add demands.
template <int Dimension, AnyTensor Tensor, AnyTensor Indices, AnyTensor Updates>
consteval bool check_updates() {
  Layout held = Tensor::layout;
  held.dimensions[Dimension] = Indices::layout.dimensions[0];
  return Updates::layout == held && std::is_same_v<typename Updates::value_type, typename Tensor::value_type> &&
         std::is_same_v<typename Updates::mesh_type, typename Tensor::mesh_type> &&
         std::is_same_v<typename Updates::memory_space, typename Tensor::memory_space>;
}

/// Checks meshes and extents. Throws StateError, MeshError or ExtentError.
inline void require_updates(int dimension, Operand const& x, Operand const& indices, Operand const& updates) {
  require_one_mesh("scatter_add", {x, indices, updates});
  for (int d = 0; d < x.extents->size(); ++d)
    require_extent("scatter_add", updates, d, d == dimension ? (*indices.extents)[0] : (*x.extents)[d],
                   d == dimension ? concat("the number of ", text_of(indices)) : concat("as in ", text_of(x)));
}

/// Slices of a tensor at indices along `Dimension`, as an operation with a gradient: take.
template <int Dimension>
struct Take {
  template <int>
  static constexpr Reads reads = Reads::operand(1);

  template <AnyTensor Tensor, AnyTensor Indices>
  auto forward(Tensor const& x, Indices const& indices) const {
    if constexpr (check_indices<Dimension, Tensor, Indices>()) {
      require_one_mesh("take", {{"x", x}, {"indices", indices}});
      require_ids("take", "indices", indices, x.extent(Dimension));
      return take_held<Dimension>(x, indices);
    } else {
      return x;
    }
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x, indices] = saved.operands;
    auto const& dx = std::get<0>(gradients);
    using Gradient = Cotangent<typename std::remove_cvref_t<decltype(dx)>::tensor_type>;
    dx.add(scattered<Dimension, Gradient>(x.extents(), indices, gradient));
  }
};

/// Addition of slices at indices along `Dimension`, as an operation with a gradient: scatter_add.
template <int Dimension>
struct ScatterAdd {
  template <int Operand>
  static constexpr Reads reads = Operand == 2 ? Reads::operand(1) : Reads::nothing();

  template <AnyTensor Tensor, AnyTensor Indices, AnyTensor Updates>
  auto forward(Tensor const& x, Indices const& indices, Updates const& updates) const {
    using T = typename Tensor::value_type;
    if constexpr (!check_indices<Dimension, Tensor, Indices>()) {
      return x;
    } else if constexpr (!check_updates<Dimension, Tensor, Indices, Updates>()) {
      using Refused [[maybe_unused]] = decltype(error::UpdatesHeldOtherwise<Dimension, Tensor, Updates>{});
      return x;
    } else {
      require_updates(Dimension, {"x", x}, {"indices", indices}, {"updates", updates});
      require_ids("scatter_add", "indices", indices, x.extent(Dimension));
      if constexpr (Indices::layout.split().empty() && !is_rounded<T>) {
        // Nothing to reduce and nothing to round: adding in place saves the temporary of sums.
        Tensor const result = copy(x);
        scatter_held<Dimension>(result, indices, updates);
        return result;
      } else {
        return eval(cast<T>(x + scattered<Dimension, Tensor>(x.extents(), indices, updates)));
      }
    }
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& dx = std::get<0>(gradients);
    auto const& of_updates = std::get<2>(gradients);
    if constexpr (is_wanted<decltype(dx)>) dx.add(gradient);
    if constexpr (is_wanted<decltype(of_updates)>) {
      using Gradient = Cotangent<typename std::remove_cvref_t<decltype(of_updates)>::tensor_type>;
      auto const& indices = std::get<1>(saved.operands);
      of_updates.add(reshard<typename Gradient::spec_type>(take_held<Dimension>(gradient, indices)));
    }
  }
};

}  // namespace detail

/// Returns the slices of x at `indices` along `Dimension`: y[.., j, ..] = x[.., indices[j], ..]. A negative `Dimension`
/// counts from the end.
/// Shapes: x (.., n, ..), indices (k), result (.., k, ..) with `Dimension` split as the indices are.
/// If axes split `Dimension` of x, the result is an unreduced sum over these axes: each rank contributes the slices
/// that it holds. Reshard it by an all-reduce or a reduce-scatter.
/// The axes that split the indices neither split x nor are partial in x, else the call does not compile.
/// Communication: all-reduce of one 64-bit integer over the axes that split the indices, which checks them.
/// Gradient: adds the slices of the gradient at the indices; an all-reduce of a buffer as large as the block of x
/// (float for BFloat16) over the axes that split the indices. Throws StateError if a tensor is unset, MeshError if the
/// tensors live on different meshes, IndexError, on all ranks, if an index is not in [0, n).
template <int Dimension, TensorOperand X, TensorOperand Indices>
auto take(X&& x, Indices&& indices) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank>;
  return Differentiable<detail::Take<dimension>>{}(std::forward<X>(x), std::forward<Indices>(indices));
}

/// Returns x with the slices of `updates` added at `indices` along `Dimension`: y[.., i, ..] = x[.., i, ..] + sum of
/// updates[.., j, ..] over indices[j] = i. A negative `Dimension` counts from the end.
/// Shapes: x (.., n, ..), indices (k), updates (.., k, ..), result (.., n, ..). The updates are split as x is, but
/// along `Dimension` as the indices are.
/// Each rank adds equal indices in ascending order of j, so that each run gives the same bits. BFloat16 is summed in
/// float and rounded once.
/// The axes that split the indices neither split x nor are partial in x, else the call does not compile.
/// Communication: over the axes that split the indices, an all-reduce of one 64-bit integer, which checks them, and one
/// of a buffer as large as the block of x (float for BFloat16); none if the indices are not split.
/// Gradient: that of x is the gradient of the result, that of the updates its slices at the indices; where axes split
/// `Dimension` of x, the slices are all-reduced over these axes.
/// Throws StateError if a tensor is unset, MeshError if the tensors live on different meshes, ExtentError if the
/// extents of the updates do not fit, IndexError, on all ranks, if an index is not in [0, n).
template <int Dimension, TensorOperand X, TensorOperand Indices, TensorOperand Updates>
auto scatter_add(X&& x, Indices&& indices, Updates&& updates) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank>;
  return Differentiable<detail::ScatterAdd<dimension>>{}(std::forward<X>(x), std::forward<Indices>(indices),
                                                         std::forward<Updates>(updates));
}

}  // namespace gshard
