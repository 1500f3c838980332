// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/index/rearrange.hpp>

namespace gshard {

namespace detail {

/// The transpose of a rearrangement: what the gradient of the result, held as `Tensor` is, brings to an operand of
/// these extents. By the same exchange, backwards.
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

template <int Dimension, AnyTensor Tensor>
auto recorded_rearrangement(Var<Tensor> const& x, Rearrangement const& way, typename Tensor::value_type value = {}) {
  return x.tape().record(
      rearranged<Dimension>(x.value(), way, value),
      [slot = x.slot(), extents = x.value().extents(), way](Cotangent<Rearranged<Tensor>> const& gradient) {
        slot.add(gradient_of_operand<Tensor, Dimension>(gradient, extents, way));
      });
}

}  // namespace detail

/// slice of a recorded tensor; its gradient is the slice of the gradient put back among zeros. So are those of the
/// following.
template <int Dimension, AnyTensor Tensor>
auto slice(Var<Tensor> const& x, std::int64_t begin, std::int64_t end, std::int64_t stride = 1) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  return detail::recorded_rearrangement<dimension>(x,
                                                   detail::slice_of({"x", x.value()}, dimension, begin, end, stride));
}

template <int Dimension, AnyTensor Tensor>
auto pad(Var<Tensor> const& x, std::int64_t low, std::int64_t high, typename Tensor::value_type value = {},
         std::int64_t interior = 0) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  return detail::recorded_rearrangement<dimension>(x, detail::pad_of({"x", x.value()}, dimension, low, high, interior),
                                                   value);
}

template <int Dimension, AnyTensor Tensor>
auto reverse(Var<Tensor> const& x) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  return detail::recorded_rearrangement<dimension>(x, detail::reverse_of({"x", x.value()}, dimension));
}

template <int Dimension, AnyTensor Tensor>
auto roll(Var<Tensor> const& x, std::int64_t shift) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  return detail::recorded_rearrangement<dimension>(x, detail::roll_of({"x", x.value()}, dimension, shift));
}

namespace detail {

template <int Dimension, AnyTensor Result, class Slot>
void vjp_concatenated(Slot const& slot, Cotangent<Result> const& gradient, Extents const& extents, std::int64_t begin) {
  if constexpr (wants_gradient<Slot>)
    slot.add(gradient_of_operand<typename Slot::tensor_type, Dimension>(
        gradient, extents, placed_at(extents, Dimension, begin, gradient.extent(Dimension))));
}

template <int Dimension, AnyTensor Result, class Slots, std::size_t... Position>
void vjp_all_concatenated(Slots const& slots, Cotangent<Result> const& gradient, std::vector<Extents> const& extents,
                          std::vector<std::int64_t> const& begins, std::index_sequence<Position...>) {
  (vjp_concatenated<Dimension, Result>(std::get<Position>(slots), gradient, extents[Position], begins[Position]), ...);
}

}  // namespace detail

/// concatenate of tensors of which some are recorded.
template <int Dimension, class... Operands>
  requires((AnyTensor<Operands> || AnyVar<Operands>) && ...) && (AnyVar<Operands> || ...)
auto concatenate(Operands const&... operands) {
  auto const result = concatenate<Dimension>(detail::value_of(operands)...);
  using Result = std::remove_const_t<decltype(result)>;
  constexpr int dimension = detail::dimension_of<Dimension, Result::rank>;
  auto const slots = std::make_tuple(detail::slot_of(operands)...);
  std::vector<Extents> const extents{detail::value_of(operands).extents()...};
  std::vector<std::int64_t> const begins = detail::beginnings<dimension>(detail::value_of(operands)...);
  return detail::tape_of(operands...).record(result, [slots, extents, begins](Cotangent<Result> const& gradient) {
    detail::vjp_all_concatenated<dimension, Result>(slots, gradient, extents, begins,
                                                    std::index_sequence_for<Operands...>{});
  });
}

namespace detail {

/// The gradient of the tensor that is updated: zero where the update stands.
template <int Dimension, AnyTensor Result, class Slot>
void vjp_outside(Slot const& slot, Cotangent<Result> const& gradient, Extents const& update, std::int64_t begin) {
  if constexpr (wants_gradient<Slot>) {
    Rearranged<Cotangent<Result>> const zeros(gradient.mesh(), update);
    auto const outside = update_slice<Dimension>(gradient, zeros, begin);
    slot.add(
        outside.template reinterpreted<typename Cotangent<typename Slot::tensor_type>::spec_type>(outside.extents()));
  }
}

}  // namespace detail

/// update_slice of tensors of which one or both are recorded.
template <int Dimension, class X, class Update>
  requires(AnyTensor<X> || AnyVar<X>) && (AnyTensor<Update> || AnyVar<Update>) && (AnyVar<X> || AnyVar<Update>)
auto update_slice(X const& x, Update const& update, std::int64_t begin) {
  auto const result = update_slice<Dimension>(detail::value_of(x), detail::value_of(update), begin);
  using Result = std::remove_const_t<decltype(result)>;
  constexpr int dimension = detail::dimension_of<Dimension, Result::rank>;
  auto const of_x = detail::slot_of(x);
  auto const of_update = detail::slot_of(update);
  Extents const extents = detail::value_of(update).extents();
  return detail::tape_of(x, update).record(
      result, [of_x, of_update, extents, begin](Cotangent<Result> const& gradient) {
        detail::vjp_concatenated<dimension, Result>(of_update, gradient, extents, begin);
        detail::vjp_outside<dimension, Result>(of_x, gradient, extents, begin);
      });
}

}  // namespace gshard
