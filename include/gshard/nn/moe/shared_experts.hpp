// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <type_traits>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/nn/moe/experts.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::nn {

namespace detail {

/// The same elements with another spec and other extents, as an operation with a gradient. Shares memory.
template <class To>
struct Reinterpret {
  Extents extents;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  auto forward(AnyTensor auto const& x) const { return x.template reinterpreted<To>(extents); }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using Tensor = typename std::remove_cvref_t<decltype(dx)>::tensor_type;
    dx.add(gradient.template reinterpreted<typename Tensor::spec_type>(x.extents()));
  }
};

}  // namespace detail

/// Experts that see every token, beside those that a gate chooses: as many experts of H hidden units as one of as many
/// times H, whose slots are the tokens. Replicated over the axes of the experts, split over those of the model.
template <class Mesh, class Parallelism, template <class, class, class, class> class Experts, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
class SharedExperts {
  struct Alone : Parallelism {
    static constexpr AxisNames experts{""};
  };

 public:
  std::optional<Experts<Mesh, Alone, T, MemorySpace>> layer;  ///< none where there are no shared experts

  /// Throws OptionError where an option is not allowed.
  SharedExperts(Mesh const& mesh, Initializer& initializer, MixtureOptions const& shape) {
    shape.check();
    MixtureOptions one = shape;
    one.experts = 1;
    one.hidden = shape.shared_experts * shape.hidden;
    if (shape.shared_experts > 0) layer.emplace(mesh, initializer, one);
  }

  /// Returns `routed` (G, S, M) plus the results of the shared experts for `x` (G, S, M), of the same spec. Both are
  /// recorded, or neither. Throws StateError, MeshError or ExtentError if they differ.
  template <TensorOrVar Y, TensorOrVar X>
  Y added_to(Y const& routed, X const& x) {
    static_assert(
        AnyVar<X> == AnyVar<Y> && std::is_same_v<detail::ValueTensor<X>, detail::ValueTensor<Y>>,
        "gshard: shared experts add what they make of x to a tensor of the type of x; record both or neither");
    gshard::detail::require_same_shape("shared experts",
                                       {{"routed", detail::value_of(routed)}, {"x", detail::value_of(x)}});
    if (!layer) return routed;
    using Tensor = detail::ValueTensor<X>;
    Extents const extents = detail::value_of(x).extents();
    using ToSlots = detail::Reinterpret<typename with_layout<Tensor, slots_of(Tensor::layout)>::spec_type>;
    using ToTokens = detail::Reinterpret<typename Tensor::spec_type>;
    auto const slots = Differentiable(ToSlots{{1, extents[0], extents[1], extents[2]}})(x);
    return eval(routed + Differentiable(ToTokens{extents})((*layer)(slots, BySlots{})));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    if (layer) layer->for_each_parameter(visit);
  }

 private:
  /// Tokens (G, S, M) as slots (1, G, S, M) of one expert.
  static constexpr Layout slots_of(Layout const& tokens) {
    Layout slots;
    slots.dimensions.push_back({});
    for (AxisList const& axes : tokens.dimensions) slots.dimensions.push_back(axes);
    return slots;
  }
};

}  // namespace gshard::nn
