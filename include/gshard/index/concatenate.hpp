// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/core/error.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/index/move.hpp>
#include <gshard/index/rearrange.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>

// Tensors put side by side, or one in the place of a slice of another.

namespace gshard {

namespace error {

template <class First, class Other>
struct ConcatenatedTensorsDiffer {
  static_assert(
      always_false<First>,
      "gshard: the tensors of a concatenation have different meshes, specs or elements; bring them to one spec first, by reshard<Spec<...>>(tensor)");
};

}  // namespace error

namespace detail {

/// Returns the index map that moves indices [0, n) of `dimension` to [begin, begin + n) of extent `result`.
inline Rearrangement placed_at(Extents const& extents, int dimension, std::int64_t begin, std::int64_t result) {
  return along(extents, dimension, result, {{extents[dimension], 0, 1, begin, 1}});
}

/// Requires equal mesh, layout, element type and memory space at compile time.
template <AnyTensor First, AnyTensor Other>
consteval bool check_alike() {
  constexpr bool is_alike = std::is_same_v<Rearranged<First>, Rearranged<Other>>;
  if constexpr (!is_alike) using Refused [[maybe_unused]] = decltype(error::ConcatenatedTensorsDiffer<First, Other>{});
  return is_alike;
}

/// Requires operands that are set, live on one mesh and have equal extents in all dimensions but `dimension`.
/// Throws StateError, MeshError or ExtentError.
inline void require_alike_but(std::string_view operation, int dimension, std::vector<Operand> const& operands) {
  for (Operand const& operand : operands) {
    require_one_mesh(operation, {operands.front(), operand});
    for (int d = 0; d < operand.extents->size(); ++d)
      if (d != dimension)
        require_extent(operation, operand, d, (*operands.front().extents)[d],
                       concat("as in ", text_of(operands.front())));
  }
}

/// Returns the first index of each operand in a concatenation, followed by the extent of the result.
/// Throws ExtentError if that extent is above `max_extent`.
template <int Dimension, AnyTensor... Tensors>
std::vector<std::int64_t> beginnings(Tensors const&... tensors) {
  std::vector<std::int64_t> begins{0};
  for (std::int64_t extent : {tensors.extent(Dimension)...}) begins.push_back(saturated_sum(begins.back(), extent));
  if (begins.back() > max_extent)
    throw ExtentError(concat("concatenate: the operands have more than 2^62 indices in dimension ", Dimension));
  return begins;
}

/// Checks the operands of `update_slice`. Throws StateError, MeshError or ExtentError.
inline void check_update(int dimension, Operand const& x, Operand const& update, std::int64_t begin) {
  require_alike_but("update_slice", dimension, {x, update});
  if (begin < 0 || begin > (*x.extents)[dimension] - (*update.extents)[dimension])
    throw ExtentError(concat("update_slice: ", (*update.extents)[dimension], " indices from ", begin,
                             " on do not lie in dimension ", dimension, " of ", text_of(x), place_of(x)));
}

/// Adds to the gradient of a tensor that begins at index `begin` of `Dimension` in a result with gradient `gradient`.
template <int Dimension, class Target, AnyTensor Gradient>
void add_gradient_of_placed(Target const& target, Gradient const& gradient, Extents const& extents,
                            std::int64_t begin) {
  if constexpr (is_wanted<Target>)
    target.add(gradient_of_operand<typename Target::tensor_type, Dimension>(
        gradient, extents, placed_at(extents, Dimension, begin, gradient.extent(Dimension))));
}

/// Concatenation along `Dimension`, as an operation with a gradient.
template <int Dimension>
struct Concatenate {
  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor First, AnyTensor... Rest>
  auto forward(First const& first, Rest const&... rest) const {
    using Result = Rearranged<First>;
    static_assert((check_alike<First, Rest>() && ... && true));
    require_alike_but("concatenate", Dimension, {Operand("first operand", first), Operand("other operand", rest)...});
    std::vector<std::int64_t> const begins = beginnings<Dimension>(first, rest...);
    Extents extents = first.extents();
    extents[Dimension] = begins.back();
    Result const result(uninitialized, first.mesh(), extents);
    std::vector<Move<Result>> moves;
    auto place = [&](auto const& tensor) {
      auto const way = placed_at(tensor.extents(), Dimension, begins[moves.size()], begins.back());
      moves.push_back({tensor.template reinterpreted<typename Result::spec_type>(tensor.extents()), way.maps.front()});
    };
    place(first);
    (place(rest), ...);
    MoveExchange<Result>(moves, result, axes_along<First, Dimension>, false).run();
    return result;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    std::int64_t begin = 0;
    auto add = [&](auto const& target, auto const& operand) {
      add_gradient_of_placed<Dimension>(target, gradient, operand.extents(), begin);
      begin += operand.extent(Dimension);
    };
    [&]<std::size_t... Position>(std::index_sequence<Position...>) {
      (add(std::get<Position>(gradients), std::get<Position>(saved.operands)), ...);
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<decltype(gradients)>>>{});
  }
};

/// Replacement of the elements from `begin` on along `Dimension`, as an operation with a gradient.
template <int Dimension>
struct UpdateSlice {
  std::int64_t begin;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor, AnyTensor Update>
  auto forward(Tensor const& x, Update const& update) const {
    using Result = Rearranged<Tensor>;
    static_assert(check_alike<Tensor, Update>());
    check_update(Dimension, {"x", x}, {"update", update}, begin);
    Result const result(uninitialized, x.mesh(), x.extents());
    copy_elements<typename Tensor::memory_space>(result.data(), x.data(), x.local_size());
    std::vector<Move<Result>> const moves{
        {update.template reinterpreted<typename Result::spec_type>(update.extents()),
         placed_at(update.extents(), Dimension, begin, x.extent(Dimension)).maps.front()}};
    MoveExchange<Result>(moves, result, axes_along<Tensor, Dimension>, false).run();
    return result;
  }

  /// The gradient of x is 0 where the update stands.
  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& update = std::get<1>(saved.operands);
    auto const& [dx, of_update] = gradients;
    add_gradient_of_placed<Dimension>(of_update, gradient, update.extents(), begin);
    if constexpr (is_wanted<decltype(dx)>) {
      using Gradient = Cotangent<typename std::remove_cvref_t<decltype(dx)>::tensor_type>;
      Rearranged<Gradient> const zeros(gradient.mesh(), update.extents());
      auto const outside = forward(gradient, zeros);
      dx.add(outside.template reinterpreted<typename Gradient::spec_type>(outside.extents()));
    }
  }
};

}  // namespace detail

// Common to the functions below. The result keeps the layout of the operands, without extents fixed by the type.
// Operands may be unreduced sums. A negative `Dimension` counts from the end.
// Communication: one all-to-all over the axes that split `Dimension`; a rank sends each of its elements that another
// rank's new block needs, and no other. None if no axis splits `Dimension` or every rank already holds its new block.
// The gradient is the transpose, with the same communication in the opposite direction.
// Throws StateError if a tensor is unset.
// Source: paper 3.3.3.

/// Concatenates tensors along `Dimension`, in the order of the arguments. The tensors have one mesh, layout, element
/// type and memory space, checked at compile time.
/// Shapes: (.., n_0, ..), (.., n_1, ..), ..., result (.., n_0 + n_1 + ..., ..).
/// Throws MeshError if the tensors live on different meshes, ExtentError if another extent differs or the new one is
/// above 2^62.
template <int Dimension, TensorOperand First, TensorOperand... Rest>
auto concatenate(First&& first, Rest&&... rest) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<First>::rank>;
  return Differentiable(detail::Concatenate<dimension>{})(std::forward<First>(first), std::forward<Rest>(rest)...);
}

/// Returns a copy of `x` with the elements [begin, begin + k) along `Dimension` replaced by `update`. Unlike
/// jax.lax.dynamic_update_slice, `begin` is not clamped.
/// Shapes: x (.., n, ..), update (.., k, ..), result (.., n, ..).
/// Throws MeshError if the tensors live on different meshes, ExtentError unless 0 <= begin <= n - k and the other
/// extents are equal.
template <int Dimension, TensorOperand X, TensorOperand Update>
auto update_slice(X&& x, Update&& update, std::int64_t begin) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank>;
  return Differentiable(detail::UpdateSlice<dimension>{begin})(std::forward<X>(x), std::forward<Update>(update));
}

}  // namespace gshard
