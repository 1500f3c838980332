// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/reshard/between_meshes.hpp>

namespace gshard {

namespace detail {

/// Reshard to spec `To` as an operation with a gradient. As a map of whole tensors it is the identity.
template <class To>
struct ReshardTo {
  static constexpr bool overwrites_operands = true;
  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    return reshard<To>(x);
  }
  template <AnyTensor Tensor>
  auto forward(Released<Tensor> const& x) const {
    return reshard<To>(x.eval());
  }

  void vjp(auto const&, auto const& gradient, auto const& gradients) const {
    auto const& [dx] = gradients;
    using Tensor = typename std::remove_cvref_t<decltype(dx)>::tensor_type;
    dx.add(reshard_or_share<typename Cotangent<Tensor>::spec_type>(gradient));
  }
};

/// Reshard to spec `To` on another mesh as an operation with a gradient.
template <class To, class NewMesh>
struct ReshardToMesh {
  NewMesh mesh;

  static constexpr bool overwrites_operands = true;
  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    return reshard<To>(x, mesh);
  }
  template <AnyTensor Tensor>
  auto forward(Released<Tensor> const& x) const {
    return reshard<To>(x.eval(), mesh);
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using Tensor = typename std::remove_cvref_t<decltype(dx)>::tensor_type;
    dx.add(reshard<typename Cotangent<Tensor>::spec_type>(gradient, x.mesh()));
  }
};

}  // namespace detail

/// Returns a recorded tensor in the layout of spec `To`. Communicates, shares elements and throws as the reshard of a
/// plain tensor.
/// Gradient: resharded back. Of an all-reduce that is nothing, of a slice an all-gather, of an all-gather a slice, of
/// an all-to-all the opposite all-to-all.
template <class To, AnyVar X>
auto reshard(X&& x) {
  return Differentiable<detail::ReshardTo<To>>{}(std::forward<X>(x));
}

/// Returns a recorded tensor in the layout of spec `To` on another mesh. Gradient: goes back to the mesh of x.
template <class To, AnyVar X, class... Axes>
auto reshard(X&& x, Mesh<Axes...> const& mesh) {
  return Differentiable(detail::ReshardToMesh<To, Mesh<Axes...>>{mesh})(std::forward<X>(x));
}

// The paper's names, as of plain tensors.

template <class To, AnyVar X>
auto shard(X&& x) {
  return reshard<To>(std::forward<X>(x));
}

template <AnyVar X>
auto replicate(X&& x) {
  return reshard<typename decltype(replicate(x.value()))::spec_type>(std::forward<X>(x));
}

template <int Dimension, AxisNames Names, AnyVar X>
auto split(X&& x) {
  return reshard<typename decltype(split<Dimension, Names>(x.value()))::spec_type>(std::forward<X>(x));
}

}  // namespace gshard
