// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/index/move.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>

// Rearrangements of the elements of one tensor along a dimension, as an operation with a gradient.

namespace gshard::detail {

/// The largest extent of a result.
inline constexpr std::int64_t max_extent = std::int64_t{1} << 62;

/// Names the type of a tensor in the layout of `Tensor`, without extents fixed by the type.
template <AnyTensor Tensor>
using Rearranged = with_layout<Tensor, Tensor::layout>;

/// Index maps from one operand to a result of extents `result`. A roll needs two maps, since it wraps around; every
/// other operation needs one.
struct Rearrangement {
  Extents result;
  std::vector<Progressions> maps;
};

constexpr Progressions identity_map(Extents const& extents) {
  Progressions map;
  for (std::int64_t extent : extents) map.push_back({extent, 0, 1, 0, 1});
  return map;
}

/// Returns a rearrangement that maps `dimension` by each of `ways` and every other dimension by the identity; `result`
/// is the new extent of `dimension`.
inline Rearrangement along(Extents const& extents, int dimension, std::int64_t result,
                           std::vector<Progression> const& ways) {
  Rearrangement all{extents, {}};
  all.result[dimension] = result;
  for (Progression const& way : ways) {
    Progressions map = identity_map(extents);
    map[dimension] = way;
    all.maps.push_back(map);
  }
  return all;
}

/// The mesh axes that split a dimension, counted from 0.
template <AnyTensor Tensor, int Dimension>
inline constexpr AxisSet axes_along = set_of(Tensor::layout.dimensions[Dimension]);

/// Returns what this rank stores for an element of global value `value`: of an unreduced sum, the first rank of the
/// group stores the value and the others store 0.
template <AnyTensor Tensor>
typename Tensor::value_type part_of(Tensor const& tensor, typename Tensor::value_type value) {
  return tensor.mesh_state().group(Tensor::layout.partial).rank == 0 ? value : typename Tensor::value_type(0);
}

/// Runs a rearrangement along `Dimension`; elements of the result that no map reaches are `value`.
/// Communication: as MoveExchange, over the axes that split `Dimension`.
template <int Dimension, AnyTensor Tensor>
Rearranged<Tensor> rearranged(Tensor const& x, Rearrangement const& way, typename Tensor::value_type value = {}) {
  using Result = Rearranged<Tensor>;
  Result const result(uninitialized, x.mesh(), way.result);
  std::int64_t covered = 0;
  for (Progressions const& map : way.maps) covered += count_of(map);
  if (covered < product(way.result))
    fill_elements<typename Tensor::memory_space>(result.data(), result.local_size(), part_of(result, value));
  Result const source = x.template reinterpreted<typename Result::spec_type>(x.extents());
  std::vector<Move<Result>> moves;
  for (Progressions const& map : way.maps) moves.push_back({source, map});
  MoveExchange<Result>(moves, result, axes_along<Tensor, Dimension>, false).run();
  return result;
}

/// Returns the transpose of a rearrangement along `Dimension`, applied to the gradient of its result: the gradient of
/// an operand like `Tensor` of these extents. Communication: that of the rearrangement, in the opposite direction.
template <AnyTensor Tensor, int Dimension>
Cotangent<Tensor> gradient_of_operand(Cotangent<Rearranged<Tensor>> const& gradient, Extents const& extents,
                                      Rearrangement const& way) {
  using Result = Rearranged<Cotangent<Tensor>>;
  Result const result(gradient.mesh(), extents);
  std::vector<Move<Result>> moves;
  for (Progressions map : way.maps) {
    for (Progression& dimension : map) dimension = transposed(dimension);
    moves.push_back({gradient, map});
  }
  MoveExchange<Result>(moves, result, axes_along<Tensor, Dimension>, true).run();
  return result.template reinterpreted<typename Cotangent<Tensor>::spec_type>(extents);
}

/// Rearrangement along `Dimension`, as an operation with a gradient: `map(x, Dimension)` returns the index maps.
/// Elements of the result that no map reaches are `value`.
template <int Dimension, class IndexMap, class T>
struct Rearrange {
  IndexMap map;
  T value{};

  template <int>
  static constexpr Reads reads = Reads::nothing();

  auto forward(AnyTensor auto const& x) const {
    Rearrangement const way = map({"x", x}, Dimension);
    return WithResiduals{rearranged<Dimension>(x, way, value), way};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using Tensor = typename std::remove_cvref_t<decltype(dx)>::tensor_type;
    dx.add(gradient_of_operand<Tensor, Dimension>(gradient, x.extents(), saved.residuals));
  }
};

/// Runs a rearrangement of an operand; `Dimension` may be negative.
template <int Dimension, class IndexMap, TensorOperand X>
auto rearrange(X&& x, IndexMap const& map, typename ValueTensor<X>::value_type value = {}) {
  using Tensor = ValueTensor<X>;
  constexpr int dimension = dimension_of<Dimension, Tensor::rank>;
  return Differentiable(Rearrange<dimension, IndexMap, typename Tensor::value_type>{map, value})(std::forward<X>(x));
}

}  // namespace gshard::detail
