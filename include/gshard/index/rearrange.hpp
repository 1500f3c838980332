// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
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
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>

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

// ---- Index maps of the operations, made by functions of an operand and its dimension

/// Index map of `slice`.
struct SliceMap {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t stride;

  /// Throws StateError or ExtentError.
  Rearrangement operator()(Operand const& x, int dimension) const {
    require_set("slice", {x});
    if (begin < 0 || end > (*x.extents)[dimension] || begin > end || stride < 1)
      throw ExtentError(concat("slice: [", begin, ", ", end, ") in steps of ", stride, " does not lie in dimension ",
                               dimension, " of ", text_of(x), place_of(x)));
    std::int64_t const size = end - begin;
    std::int64_t const count = size / stride + (size % stride == 0 ? 0 : 1);
    // A stride beyond the range takes one element at most; capped, its products stay within 64 bits.
    return along(*x.extents, dimension, count, {{count, begin, std::min(stride, size + 1), 0, 1}});
  }
};

/// The largest extent of a result.
inline constexpr std::int64_t max_extent = std::int64_t{1} << 62;

/// The largest absolute value of the widths of `pad`; keeps indices within 64 bits.
inline constexpr std::int64_t max_padding = std::int64_t{1} << 60;

/// Index map of `pad`.
struct PadMap {
  std::int64_t low;
  std::int64_t high;
  std::int64_t interior;

  /// Throws StateError or ExtentError.
  Rearrangement operator()(Operand const& x, int dimension) const {
    require_set("pad", {x});
    std::int64_t const extent = (*x.extents)[dimension];
    auto const is_width = [](std::int64_t number) { return number >= -max_padding && number <= max_padding; };
    bool const are_widths = is_width(low) && is_width(high) && is_width(interior) && interior >= 0;
    std::int64_t const inner =
        extent == 0 || !are_widths ? 0 : saturated_sum(saturated_product(extent - 1, interior + 1), 1);
    std::int64_t const result = are_widths && inner <= max_extent ? low + inner + high : -1;
    if (result < 0 || result > max_extent)
      throw ExtentError(concat("pad: ", low, " before, ", high, " behind and ", interior,
                               " between leave no extent of 0 to 2^62 in dimension ", dimension, " of ", text_of(x),
                               place_of(x)));
    Progression const way = restricted({extent, 0, 1, low, interior + 1}, {0, extent}, {0, result});
    return along(*x.extents, dimension, result, {way});
  }
};

/// Index map of `reverse`.
struct ReverseMap {
  /// Throws StateError.
  Rearrangement operator()(Operand const& x, int dimension) const {
    require_set("reverse", {x});
    std::int64_t const extent = (*x.extents)[dimension];
    return along(*x.extents, dimension, extent, {{extent, extent - 1, -1, 0, 1}});
  }
};

/// Index maps of `roll`.
struct RollMap {
  std::int64_t shift;

  /// Throws StateError.
  Rearrangement operator()(Operand const& x, int dimension) const {
    require_set("roll", {x});
    std::int64_t const extent = (*x.extents)[dimension];
    std::int64_t const turn = extent == 0 ? 0 : (shift % extent + extent) % extent;
    return along(*x.extents, dimension, extent, {{extent - turn, 0, 1, turn, 1}, {turn, extent - turn, 1, 0, 1}});
  }
};

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
auto rearrange(X const& x, IndexMap const& map, typename ValueTensor<X>::value_type value = {}) {
  using Tensor = ValueTensor<X>;
  constexpr int dimension = dimension_of<Dimension, Tensor::rank>;
  return Differentiable(Rearrange<dimension, IndexMap, typename Tensor::value_type>{map, value})(x);
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

// Common to the functions below. The result keeps the layout of the operand, without extents fixed by the type.
// Operands may be unreduced sums. A negative `Dimension` counts from the end.
// Communication: one all-to-all over the axes that split `Dimension`; a rank sends each of its elements that another
// rank's new block needs, and no other. None if no axis splits `Dimension` or every rank already holds its new block.
// The gradient is the transpose, with the same communication in the opposite direction.
// Throws StateError if a tensor is unset.
// Source: paper 3.3.3.

/// Returns every `stride`-th of the elements [begin, end) along `Dimension`:
/// y[.., i, ..] = x[.., begin + i * stride, ..].
/// Shapes: x (.., n, ..), result (.., ceil((end - begin) / stride), ..).
/// Throws ExtentError unless 0 <= begin <= end <= n and stride >= 1.
template <int Dimension, TensorOperand X>
auto slice(X const& x, std::int64_t begin, std::int64_t end, std::int64_t stride = 1) {
  return detail::rearrange<Dimension>(x, detail::SliceMap{begin, end, stride});
}

/// Pads x along `Dimension` with `low` elements `value` at the beginning, `high` at the end and `interior` between
/// neighbours. Negative `low` and `high` remove elements.
/// Element i of x goes to index low + i (interior + 1); elements outside the result are dropped.
/// Shapes: x (.., n, ..), result (.., low + m + high, ..), m = (n - 1) (interior + 1) + 1, or 0 for n = 0.
/// Of an unreduced sum, `value` is the value of the reduced element.
/// Throws ExtentError if `interior` is negative, a width is beyond 2^60, or the new extent is not in [0, 2^62].
template <int Dimension, TensorOperand X>
auto pad(X const& x, std::int64_t low, std::int64_t high, typename detail::ValueTensor<X>::value_type value = {},
         std::int64_t interior = 0) {
  return detail::rearrange<Dimension>(x, detail::PadMap{low, high, interior}, value);
}

/// Reverses the elements along `Dimension`: y[.., i, ..] = x[.., n - 1 - i, ..].
template <int Dimension, TensorOperand X>
auto reverse(X const& x) {
  return detail::rearrange<Dimension>(x, detail::ReverseMap{});
}

/// Shifts the elements cyclically along `Dimension`: y[.., (i + shift) mod n, ..] = x[.., i, ..]. `shift` may be
/// negative.
template <int Dimension, TensorOperand X>
auto roll(X const& x, std::int64_t shift) {
  return detail::rearrange<Dimension>(x, detail::RollMap{shift});
}

/// Concatenates tensors along `Dimension`, in the order of the arguments. The tensors have one mesh, layout, element
/// type and memory space, checked at compile time.
/// Shapes: (.., n_0, ..), (.., n_1, ..), ..., result (.., n_0 + n_1 + ..., ..).
/// Throws MeshError if the tensors live on different meshes, ExtentError if another extent differs or the new one is
/// above 2^62.
template <int Dimension, TensorOperand First, TensorOperand... Rest>
auto concatenate(First const& first, Rest const&... rest) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<First>::rank>;
  return Differentiable(detail::Concatenate<dimension>{})(first, rest...);
}

/// Returns a copy of `x` with the elements [begin, begin + k) along `Dimension` replaced by `update`. Unlike
/// jax.lax.dynamic_update_slice, `begin` is not clamped.
/// Shapes: x (.., n, ..), update (.., k, ..), result (.., n, ..).
/// Throws MeshError if the tensors live on different meshes, ExtentError unless 0 <= begin <= n - k and the other
/// extents are equal.
template <int Dimension, TensorOperand X, TensorOperand Update>
auto update_slice(X const& x, Update const& update, std::int64_t begin) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank>;
  return Differentiable(detail::UpdateSlice<dimension>{begin})(x, update);
}

}  // namespace gshard
