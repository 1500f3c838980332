// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include <gshard/core/checked.hpp>
#include <gshard/core/error.hpp>
#include <gshard/index/move.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/unevaluated.hpp>

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

/// The type of a tensor of other extents, held alike.
template <AnyTensor Tensor>
using Rearranged = with_layout<Tensor, Tensor::layout>;

/// Where the elements of one operand go; by several maps in a roll, which wraps around.
struct Rearrangement {
  Extents result;
  std::vector<Progressions> maps;
};

constexpr Progressions identity_map(Extents const& extents) {
  Progressions map;
  for (std::int64_t extent : extents) map.push_back({extent, 0, 1, 0, 1});
  return map;
}

/// The identity but for one dimension.
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

/// The axes that split a dimension, which counts from 0.
template <AnyTensor Tensor, int Dimension>
inline constexpr AxisSet axes_along = set_of(Tensor::layout.dimensions[Dimension]);

/// The value of an element that no operand gives: of an unreduced sum, the first part alone holds it.
template <AnyTensor Tensor>
typename Tensor::value_type part_of(Tensor const& tensor, typename Tensor::value_type value) {
  return tensor.mesh_state().group(Tensor::layout.partial).rank == 0 ? value : typename Tensor::value_type(0);
}

/// Carries out a rearrangement along `Dimension`; elements that no map leads to are `value`.
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

// ---- What each operation does with extents

inline Rearrangement slice_of(Operand const& x, int dimension, std::int64_t begin, std::int64_t end,
                              std::int64_t stride) {
  require_set("slice", {x});
  if (begin < 0 || end > (*x.extents)[dimension] || begin > end || stride < 1)
    throw ExtentError(concat("slice: [", begin, ", ", end, ") in steps of ", stride, " does not lie in dimension ",
                             dimension, " of ", text_of(x), place_of(x)));
  std::int64_t const size = end - begin;
  std::int64_t const count = size / stride + (size % stride == 0 ? 0 : 1);
  return along(*x.extents, dimension, count, {{count, begin, std::min(stride, size + 1), 0, 1}});
}

/// The largest extent that an operation makes.
inline constexpr std::int64_t max_extent = std::int64_t{1} << 62;

/// The most elements that `pad` puts before, behind or between others: indices stay within 64 bits.
inline constexpr std::int64_t max_padding = std::int64_t{1} << 60;

inline Rearrangement pad_of(Operand const& x, int dimension, std::int64_t low, std::int64_t high,
                            std::int64_t interior) {
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

inline Rearrangement reverse_of(Operand const& x, int dimension) {
  require_set("reverse", {x});
  std::int64_t const extent = (*x.extents)[dimension];
  return along(*x.extents, dimension, extent, {{extent, extent - 1, -1, 0, 1}});
}

inline Rearrangement roll_of(Operand const& x, int dimension, std::int64_t shift) {
  require_set("roll", {x});
  std::int64_t const extent = (*x.extents)[dimension];
  std::int64_t const turn = extent == 0 ? 0 : (shift % extent + extent) % extent;
  return along(*x.extents, dimension, extent, {{extent - turn, 0, 1, turn, 1}, {turn, extent - turn, 1, 0, 1}});
}

/// An operand of a concatenation whose first index goes to `begin` of `result`.
inline Rearrangement placed_at(Extents const& extents, int dimension, std::int64_t begin, std::int64_t result) {
  return along(extents, dimension, result, {{extents[dimension], 0, 1, begin, 1}});
}

template <AnyTensor First, AnyTensor Other>
consteval bool check_alike() {
  constexpr bool is_alike = std::is_same_v<Rearranged<First>, Rearranged<Other>>;
  if constexpr (!is_alike) using Refused [[maybe_unused]] = decltype(error::ConcatenatedTensorsDiffer<First, Other>{});
  return is_alike;
}

/// Throws where operands that are put into one tensor are unset, live on different meshes, or differ in another
/// dimension.
inline void require_alike_but(std::string_view operation, int dimension, std::vector<Operand> const& operands) {
  for (Operand const& operand : operands) {
    require_one_mesh(operation, {operands.front(), operand});
    for (int d = 0; d < operand.extents->size(); ++d)
      if (d != dimension)
        require_extent(operation, operand, d, (*operands.front().extents)[d],
                       concat("as in ", text_of(operands.front())));
  }
}

/// Where each operand of a concatenation begins, and behind them where the last one ends. Throws ExtentError where that
/// is no extent.
template <int Dimension, AnyTensor... Tensors>
std::vector<std::int64_t> beginnings(Tensors const&... tensors) {
  std::vector<std::int64_t> begins{0};
  for (std::int64_t extent : {tensors.extent(Dimension)...}) begins.push_back(saturated_sum(begins.back(), extent));
  if (begins.back() > max_extent)
    throw ExtentError(concat("concatenate: the operands have more than 2^62 indices in dimension ", Dimension));
  return begins;
}

inline void check_update(int dimension, Operand const& x, Operand const& update, std::int64_t begin) {
  require_alike_but("update_slice", dimension, {x, update});
  if (begin < 0 || begin > (*x.extents)[dimension] - (*update.extents)[dimension])
    throw ExtentError(concat("update_slice: ", (*update.extents)[dimension], " indices from ", begin,
                             " on do not lie in dimension ", dimension, " of ", text_of(x), place_of(x)));
}

}  // namespace detail

// What follows keeps the spec of its operand: elements cross ranks where the blocks of the new extents demand it, by
// one all-to-all over the axes that split `Dimension`; not at all where that is whole or every rank has what it needs.
// Of unreduced sums, too. Source: paper 3.3.3.

// Negative dimensions count from the end.

/// The elements [begin, end) along `Dimension`, every `stride`-th of them. Throws ExtentError where they are not all
/// there.
template <int Dimension, AnyTensor Tensor>
auto slice(Tensor const& x, std::int64_t begin, std::int64_t end, std::int64_t stride = 1) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  return detail::rearranged<dimension>(x, detail::slice_of({"x", x}, dimension, begin, end, stride));
}
template <int Dimension, Unevaluated Operation>
auto slice(Operation const& x, std::int64_t begin, std::int64_t end, std::int64_t stride = 1) {
  return slice<Dimension>(detail::refuse_unevaluated(x), begin, end, stride);
}

/// `low` elements of `value` before, `high` behind (negative: so many fewer) and `interior` between those along
/// `Dimension`. Throws ExtentError where fewer elements than none are left, or more than 64 bits count.
template <int Dimension, AnyTensor Tensor>
auto pad(Tensor const& x, std::int64_t low, std::int64_t high, typename Tensor::value_type value = {},
         std::int64_t interior = 0) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  return detail::rearranged<dimension>(x, detail::pad_of({"x", x}, dimension, low, high, interior), value);
}

/// The elements along `Dimension` from the last to the first.
template <int Dimension, AnyTensor Tensor>
auto reverse(Tensor const& x) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  return detail::rearranged<dimension>(x, detail::reverse_of({"x", x}, dimension));
}

/// Each element `shift` places on along `Dimension`, those at the end to the beginning.
template <int Dimension, AnyTensor Tensor>
auto roll(Tensor const& x, std::int64_t shift) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  return detail::rearranged<dimension>(x, detail::roll_of({"x", x}, dimension, shift));
}

/// Tensors of one spec, one behind the other along `Dimension`. Throws ExtentError where their other extents differ.
template <int Dimension, AnyTensor First, AnyTensor... Rest>
auto concatenate(First const& first, Rest const&... rest) {
  using Result = detail::Rearranged<First>;
  constexpr int dimension = detail::dimension_of<Dimension, First::rank>;
  static_assert((detail::check_alike<First, Rest>() && ... && true));
  detail::require_alike_but("concatenate", dimension,
                            {detail::Operand("first operand", first), detail::Operand("other operand", rest)...});
  std::vector<std::int64_t> const begins = detail::beginnings<dimension>(first, rest...);
  Extents extents = first.extents();
  extents[dimension] = begins.back();
  Result const result(uninitialized, first.mesh(), extents);
  std::vector<detail::Move<Result>> moves;
  auto place = [&](auto const& tensor) {
    auto const way = detail::placed_at(tensor.extents(), dimension, begins[moves.size()], begins.back());
    moves.push_back({tensor.template reinterpreted<typename Result::spec_type>(tensor.extents()), way.maps.front()});
  };
  place(first);
  (place(rest), ...);
  detail::MoveExchange<Result>(moves, result, detail::axes_along<First, dimension>, false).run();
  return result;
}

/// A copy of `x` in which the elements from `begin` on along `Dimension` are those of `update`. Throws ExtentError
/// where they do not all lie in `x`: nothing is clamped or dropped.
template <int Dimension, AnyTensor Tensor, AnyTensor Update>
auto update_slice(Tensor const& x, Update const& update, std::int64_t begin) {
  using Result = detail::Rearranged<Tensor>;
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  static_assert(detail::check_alike<Tensor, Update>());
  detail::check_update(dimension, {"x", x}, {"update", update}, begin);
  Result const result(uninitialized, x.mesh(), x.extents());
  detail::copy_elements<typename Tensor::memory_space>(result.data(), x.data(), x.local_size());
  std::vector<detail::Move<Result>> const moves{
      {update.template reinterpreted<typename Result::spec_type>(update.extents()),
       detail::placed_at(update.extents(), dimension, begin, x.extent(dimension)).maps.front()}};
  detail::MoveExchange<Result>(moves, result, detail::axes_along<Tensor, dimension>, false).run();
  return result;
}

}  // namespace gshard
