// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard {

namespace detail {

/// Returns `Spec` with an entry of extent 1 at dimension `At`: a further one, or that of the dimension (`Replaces`).
template <class Spec, int At, bool Replaces>
consteval auto spec_with_one() {
  constexpr auto entry = [](int d) {
    if (d == At) return AxisNames(Replaces ? Spec::dimension(d).view() : std::string_view(), false, 1);
    return Spec::dimension(d < At || Replaces ? d : d - 1);
  };
  return [&]<int... D>(std::integer_sequence<int, D...>) {
    if constexpr (Spec::partial_entries == 0) return gshard::Spec<entry(D)...>{};
    else return gshard::Spec<entry(D)..., Spec::partial_axes()>{};
  }(std::make_integer_sequence<int, Spec::rank + (Replaces ? 0 : 1)>{});
}

/// A dimension of extent 1 at `At`, new or marked, as an operation with a gradient. Shares the elements.
template <int At, bool Replaces>
struct WithDimensionOfOne {
  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    require_set(Replaces ? "broadcast" : "expand_dims", {{"x", x}});
    if constexpr (Replaces) require_extent("broadcast", {"x", x}, At, 1, "to be broadcast");
    Extents extents;
    for (int d = 0; d < Tensor::rank; ++d) {
      if (!Replaces && d == At) extents.push_back(1);
      extents.push_back(x.extent(d));
    }
    if (!Replaces && At == Tensor::rank) extents.push_back(1);
    return x.template reinterpreted<decltype(spec_with_one<typename Tensor::spec_type, At, Replaces>())>(extents);
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using Tensor = typename std::remove_cvref_t<decltype(dx)>::tensor_type;
    dx.add(gradient.template reinterpreted<typename Cotangent<Tensor>::spec_type>(x.extents()));
  }
};

}  // namespace detail

/// Returns x with a further dimension of extent 1 at `Dimension`, which broadcasts in pointwise expressions:
/// `x / expand_dims<-1>(norm<-1>(x))`. Shapes: x (.., n, ..), result (.., 1, n, ..). A negative `Dimension` counts from
/// the end of the result. Shares the elements of x. Communication: none. Throws StateError if x is unset.
template <int Dimension, TensorOperand X>
auto expand_dims(X&& x) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank + 1>;
  return Differentiable<detail::WithDimensionOfOne<dimension, false>>{}(std::forward<X>(x));
}

/// Returns x with the extent of `Dimension` fixed to 1 by its type, so that the dimension broadcasts in pointwise
/// expressions: `y - broadcast<1>(x)`. A negative `Dimension` counts from the end. Shares the elements of x.
/// Communication: none.
/// Throws StateError if x is unset, ExtentError if the extent of `Dimension` is not 1.
template <int Dimension, TensorOperand X>
auto broadcast(X&& x) {
  constexpr int dimension = detail::dimension_of<Dimension, detail::ValueTensor<X>::rank>;
  return Differentiable<detail::WithDimensionOfOne<dimension, true>>{}(std::forward<X>(x));
}

}  // namespace gshard
