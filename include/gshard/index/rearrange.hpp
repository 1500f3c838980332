// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gshard/core/error.hpp>
#include <gshard/index/move.hpp>

namespace gshard {

namespace error {

template <int Dimension, class Tensor>
struct IndexDimension {
  static_assert(always_false<Tensor>,
                "gshard: the operation names a dimension that the tensor does not have; dimensions count from 0");
};

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

template <AnyTensor Tensor, int Dimension>
consteval AxisSet axes_along() {
  if constexpr (Dimension < 0 || Dimension >= Tensor::rank) {
    (void)sizeof(error::IndexDimension<Dimension, Tensor>);
    return {};
  } else {
    return set_of(Tensor::layout.dimensions[Dimension]);
  }
}

/// The value of an element that no operand gives: of an unreduced sum, the first part alone holds it.
template <AnyTensor Tensor>
typename Tensor::value_type part_of(Tensor const& tensor, typename Tensor::value_type value) {
  return tensor.mesh().state().group(Tensor::layout.partial).rank == 0 ? value : typename Tensor::value_type(0);
}

/// Whose extents an operation was asked for, for messages.
template <AnyTensor Tensor>
std::string text_about(Tensor const& x) {
  return text("'", x.name(), "' ", text_of(x.extents()), "; rank ", x.mesh().rank(), " of mesh (", x.mesh().text(),
              ")");
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
  MoveExchange<Result>(moves, result, axes_along<Tensor, Dimension>(), false).run();
  return result;
}

// ---- What each operation does with extents

template <AnyTensor Tensor>
Rearrangement slice_of(Tensor const& x, int dimension, std::int64_t begin, std::int64_t end, std::int64_t stride) {
  if (begin < 0 || end > x.extent(dimension) || begin > end || stride < 1)
    throw ExtentError(text("slice: [", begin, ", ", end, ") in steps of ", stride, " does not lie in dimension ",
                           dimension, " of ", text_about(x)));
  std::int64_t const count = (end - begin) / stride + ((end - begin) % stride == 0 ? 0 : 1);
  return along(x.extents(), dimension, count, {{count, begin, stride, 0, 1}});
}

template <AnyTensor Tensor>
Rearrangement pad_of(Tensor const& x, int dimension, std::int64_t low, std::int64_t high, std::int64_t interior) {
  std::int64_t const extent = x.extent(dimension);
  std::int64_t const result = low + (extent == 0 ? 0 : (extent - 1) * (interior + 1) + 1) + high;
  if (interior < 0 || result < 0)
    throw ExtentError(text("pad: ", low, " before, ", high, " behind and ", interior,
                           " between leave fewer than no elements in dimension ", dimension, " of ", text_about(x)));
  Progression const way = restricted({extent, 0, 1, low, interior + 1}, {0, extent}, {0, result});
  return along(x.extents(), dimension, result, {way});
}

inline Rearrangement reverse_of(Extents const& extents, int dimension) {
  std::int64_t const extent = extents[dimension];
  return along(extents, dimension, extent, {{extent, extent - 1, -1, 0, 1}});
}

inline Rearrangement roll_of(Extents const& extents, int dimension, std::int64_t shift) {
  std::int64_t const extent = extents[dimension];
  std::int64_t const turn = extent == 0 ? 0 : (shift % extent + extent) % extent;
  return along(extents, dimension, extent, {{extent - turn, 0, 1, turn, 1}, {turn, extent - turn, 1, 0, 1}});
}

/// An operand of a concatenation whose first index goes to `begin` of `result`.
inline Rearrangement placed_at(Extents const& extents, int dimension, std::int64_t begin, std::int64_t result) {
  return along(extents, dimension, result, {{extents[dimension], 0, 1, begin, 1}});
}

template <int Dimension, AnyTensor First, AnyTensor Other>
void check_concatenated(First const& first, Other const& other) {
  if constexpr (!std::is_same_v<Rearranged<First>, Rearranged<Other>>)
    (void)sizeof(error::ConcatenatedTensorsDiffer<First, Other>);
  if (!(first.mesh() == other.mesh()))
    throw MeshError(text("concatenate: '", first.name(), "' and '", other.name(), "' live on different meshes"));
  for (int d = 0; d < First::rank; ++d)
    if (d != Dimension && first.extent(d) != other.extent(d))
      throw ExtentError(text("concatenate along dimension ", Dimension, ": '", first.name(), "' has extents ",
                             text_of(first.extents()), ", '", other.name(), "' ", text_of(other.extents()),
                             "; all other dimensions have to agree; rank ", first.mesh().rank(), " of mesh (",
                             first.mesh().text(), ")"));
}

/// Where each operand of a concatenation begins.
template <int Dimension, AnyTensor... Tensors>
std::vector<std::int64_t> beginnings(Tensors const&... tensors) {
  std::vector<std::int64_t> begins{0};
  (begins.push_back(begins.back() + tensors.extent(Dimension)), ...);
  return begins;
}

template <int Dimension, AnyTensor Tensor, AnyTensor Update>
void check_update(Tensor const& x, Update const& update, std::int64_t begin) {
  check_concatenated<Dimension>(x, update);
  if (begin < 0 || begin > x.extent(Dimension) - update.extent(Dimension))
    throw ExtentError(text("update_slice: [", begin, ", ", begin + update.extent(Dimension),
                           ") does not lie in dimension ", Dimension, " of ", text_about(x)));
}

}  // namespace detail

// What follows keeps the spec of its operand: elements cross ranks where the blocks of the new extents demand it, by
// one all-to-all over the axes that split `Dimension`; not at all where that is whole or every rank has what it needs.
// Of unreduced sums, too. Source: paper 3.3.3.

/// The elements [begin, end) along `Dimension`, every `stride`-th of them. Throws ExtentError where they are not all
/// there.
template <int Dimension, AnyTensor Tensor>
auto slice(Tensor const& x, std::int64_t begin, std::int64_t end, std::int64_t stride = 1) {
  return detail::rearranged<Dimension>(x, detail::slice_of(x, Dimension, begin, end, stride));
}

/// `low` elements of `value` before, `high` behind (negative: so many fewer) and `interior` between those along
/// `Dimension`.
template <int Dimension, AnyTensor Tensor>
auto pad(Tensor const& x, std::int64_t low, std::int64_t high, typename Tensor::value_type value = {},
         std::int64_t interior = 0) {
  return detail::rearranged<Dimension>(x, detail::pad_of(x, Dimension, low, high, interior), value);
}

/// The elements along `Dimension` from the last to the first.
template <int Dimension, AnyTensor Tensor>
auto reverse(Tensor const& x) {
  return detail::rearranged<Dimension>(x, detail::reverse_of(x.extents(), Dimension));
}

/// Each element `shift` places on along `Dimension`, those at the end to the beginning.
template <int Dimension, AnyTensor Tensor>
auto roll(Tensor const& x, std::int64_t shift) {
  return detail::rearranged<Dimension>(x, detail::roll_of(x.extents(), Dimension, shift));
}

/// Tensors of one spec, one behind the other along `Dimension`. Throws ExtentError where their other extents differ.
template <int Dimension, AnyTensor First, AnyTensor... Rest>
auto concatenate(First const& first, Rest const&... rest) {
  using Result = detail::Rearranged<First>;
  constexpr AxisSet axes = detail::axes_along<First, Dimension>();
  (detail::check_concatenated<Dimension>(first, rest), ...);
  std::vector<std::int64_t> const begins = detail::beginnings<Dimension>(first, rest...);
  Extents extents = first.extents();
  extents[Dimension] = begins.back();
  Result const result(uninitialized, first.mesh(), extents);
  std::vector<detail::Move<Result>> moves;
  auto place = [&](auto const& tensor) {
    auto const way = detail::placed_at(tensor.extents(), Dimension, begins[moves.size()], begins.back());
    moves.push_back({tensor.template reinterpreted<typename Result::spec_type>(tensor.extents()), way.maps.front()});
  };
  place(first);
  (place(rest), ...);
  detail::MoveExchange<Result>(moves, result, axes, false).run();
  return result;
}

/// A copy of `x` in which the elements from `begin` on along `Dimension` are those of `update`. Throws ExtentError
/// where they do not all lie in `x`: nothing is clamped or dropped.
template <int Dimension, AnyTensor Tensor, AnyTensor Update>
auto update_slice(Tensor const& x, Update const& update, std::int64_t begin) {
  using Result = detail::Rearranged<Tensor>;
  detail::check_update<Dimension>(x, update, begin);
  Result const result(uninitialized, x.mesh(), x.extents());
  detail::copy_elements<typename Tensor::memory_space>(result.data(), x.data(), x.local_size());
  std::vector<detail::Move<Result>> const moves{
      {update.template reinterpreted<typename Result::spec_type>(update.extents()),
       detail::placed_at(update.extents(), Dimension, begin, x.extent(Dimension)).maps.front()}};
  detail::MoveExchange<Result>(moves, result, detail::axes_along<Tensor, Dimension>(), false).run();
  return result;
}

}  // namespace gshard
