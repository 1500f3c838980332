// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/autodiff/reshard.hpp>
#include <gshard/core/compile_error.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/nn/axes.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/moe/dispatch.hpp>
#include <gshard/nn/moe/dropless.hpp>
#include <gshard/nn/moe/experts.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/moe/gate_statistics.hpp>
#include <gshard/nn/moe/gate_z_loss.hpp>
#include <gshard/nn/moe/one_hot.hpp>
#include <gshard/nn/moe/options.hpp>
#include <gshard/nn/moe/shared_experts.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/random_stream.hpp>
#include <gshard/nn/zero_padding.hpp>
#include <gshard/reduce/softmax.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::error {

template <class TokenAxes>
struct MixtureTokensHeld {
  static_assert(
      always_false<TokenAxes>,
      "gshard: a mixture of experts takes tokens (G, S, M) of its element type and a mask (G, S) of int, on its mesh; reshard them so that G is split over the axes named here, those of Parallelism::tokens, and all else is whole");
};

}  // namespace gshard::error

namespace gshard::nn {

/// How tokens get to their experts. The same results up to rounding, where no choice is dropped for want of a slot.
enum class DispatchForm {
  by_index,  ///< rows into slots (E, G, C) and back, by index
  /// the same by the einsums of Algorithm 2 with one-hot tensors: the readable one, and as costly as S/H of the
  /// experts. They multiply by 0 what the other forms pass over: NaN of one token reaches all of its group
  by_one_hot,
  ragged  ///< as many rows for each expert as chose it: no slots, no empty rows
};

/// What a mixture of experts gives: the tokens (G, S, M), a loss that asks for even loads (with Top2Gate 1 when even, E
/// when one expert gets all), and where the tokens went, of which `statistics` gives load and dropped share.
template <class Output, class Loss, class Routing>
struct MixtureResult {
  Output output;
  Loss balance_loss;  ///< in the gate's scale, and the router z-loss beside it, times its weight
  Routing routing;
};

/// The Mixture-of-Experts layer of the paper (2.2, Algorithms 1 and 2): each token goes to a few of E experts, chosen
/// by a learned gate, within the capacity of its group, and to the shared experts, if there are any. `Parallelism` says
/// which axes split what: where those of the experts are among those of the tokens, dispatch and return are one
/// all-to-all each, over the expert axes alone. `Gate` is a policy as those of gates.hpp, `Experts` any class template
/// as those of experts.hpp. Padding is left out: whatever its rows and their gradients hold, NaN included, outputs of
/// padding are zeros, and all else is as without it.
template <class Mesh, class Parallelism, AnyGate Gate = Top2Gate,
          template <class, class, class, class> class Experts = ReluExperts, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
class MixtureOfExperts {
  static constexpr AxisNames tokens = Parallelism::tokens;
  /// (E, G, C, M), E whole
  using AtTokens = Spec<_, tokens, _, _>;
  /// (E, G, C, M), each rank its experts
  using AtExperts = Spec<Parallelism::experts, detail::names_without(tokens, Parallelism::experts), _, _>;
  using Ragged = RaggedRoutes<Mesh, Parallelism, MemorySpace>;
  static constexpr AxisNames rows = Ragged::Exchange::row_axes;
  using GateWeight = ShardedTensor<Mesh, Spec<Parallelism::parameters, _>, T, MemorySpace>;

  /// Without a capacity there are no slots.
  static constexpr DispatchForm default_form =
      Gate::drop == Drop::never ? DispatchForm::ragged : DispatchForm::by_index;

 public:
  Parameter<GateWeight> gate;  ///< (M, E)
  Experts<Mesh, Parallelism, T, MemorySpace> experts;
  SharedExperts<Mesh, Parallelism, Experts, T, MemorySpace> shared;
  MixtureOptions options;

  /// Throws OptionError where an option is not allowed.
  MixtureOfExperts(Mesh const& mesh, Initializer& initializer, MixtureOptions const& shape)
      : gate(initializer.normal<GateWeight>(mesh, {shape.check().model, shape.experts},
                                            1 / std::sqrt(static_cast<double>(shape.model)), "gate")),
        experts(mesh, initializer, shape),
        shared(mesh, initializer, shape),
        options(shape) {}

  /// x (G, S, M) split as Spec<tokens, _, _>; `mask` (G, S) is 0 for padding; `random` in training, nothing for
  /// inference. Two reshards between the specs of tokens and experts; of ragged rows, an exchange of counts and two of
  /// rows, over the expert axes.
  /// Throws StateError, MeshError or ExtentError where x or mask does not belong to the layer; OptionError where an
  /// option that was changed is not allowed.
  template <DispatchForm Form = default_form, TensorOperand X, TensorOperand Mask>
  auto operator()(X&& x, Mask&& mask, std::optional<RandomStream> random) {
    auto const& input = gshard::detail::evaluated(std::forward<X>(x));
    auto const& evaluated_mask = gshard::detail::evaluated(std::forward<Mask>(mask));
    auto const& token_mask = detail::value_of(evaluated_mask);
    check_inputs<Form>(detail::value_of(input), token_mask);
    if constexpr (Form == DispatchForm::ragged && rows != tokens) {
      // Ranks that hold the same tokens take a share of them each.
      auto result = run<Form>(reshard<Spec<rows, _, _>>(input), reshard<Spec<rows, _>>(token_mask), random);
      auto const output = reshard<Spec<tokens, _, _>>(result.output);
      return MixtureResult{output, result.balance_loss, result.routing};
    } else {
      return run<Form>(input, token_mask, random);
    }
  }

  /// The output alone, in inference: nothing is summed over the groups for a loss. Throws as the call.
  template <DispatchForm Form = default_form, AnyTensor X, AnyTensor Mask>
  X infer(X const& x, Mask const& mask) {
    check_inputs<Form>(x, mask);
    if constexpr (Form == DispatchForm::ragged && rows != tokens)
      return reshard<Spec<tokens, _, _>>(infer_rows<Form>(reshard<Spec<rows, _, _>>(x), reshard<Spec<rows, _>>(mask)));
    else return infer_rows<Form>(x, mask);
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(gate);
    experts.for_each_parameter(visit);
    shared.for_each_parameter(visit);
  }

 private:
  template <DispatchForm Form, AnyTensor X, AnyTensor Mask>
  void check_inputs(X const& x, Mask const& mask) const {
    if constexpr (Form != DispatchForm::ragged) static_assert(detail::check_slots<Gate>());
    constexpr AxisList groups = layout_of<Mesh, Spec<tokens>>.dimensions[0];
    if constexpr (!std::is_same_v<with_spec<X, Spec<>>, ShardedTensor<Mesh, Spec<>, T, MemorySpace>> ||
                  !(X::layout == Layout{{groups, {}, {}}, {}}) || !(Mask::layout == Layout{{groups, {}}, {}}) ||
                  !detail::is_mask_of<X, Mask>())
      using Refused [[maybe_unused]] = decltype(error::MixtureTokensHeld<gshard::detail::NameOf<tokens>>{});
    gshard::detail::require_on_mesh("mixture of experts", {"x", x}, gate.value.mesh());
    gshard::detail::require_on_mesh("mixture of experts", {"mask", mask}, gate.value.mesh());
    gshard::detail::require_extent("mixture of experts", {"x", x}, 2, options.model, "as the option model says");
    gshard::detail::require_extents("mixture of experts", {"mask", mask}, {x.extent(0), x.extent(1)},
                                    "one number for each token (G, S)");
    options.check();
  }

  template <DispatchForm Form, AnyTensor X, AnyTensor Mask>
  X infer_rows(X const& x, Mask const& mask) {
    X const of_tokens = zero_padding(x, mask);
    auto const gates = softmax<-1>(router_logits(of_tokens));
    Routing<std::remove_const_t<decltype(gates)>, Gate> const routing(gates, mask, options.gate, {});
    return output_of<Form>(of_tokens, mask, routing.weight, routing);
  }

  template <DispatchForm Form, TensorOrVar X, AnyTensor Mask>
  auto run(X const& x, Mask const& mask, std::optional<RandomStream> random) {
    X const of_tokens = zero_padding(x, mask);
    auto const logits = router_logits(of_tokens);
    auto const gates = softmax<-1>(logits);
    using Gates = detail::ValueTensor<decltype(gates)>;
    Routing<Gates, Gate> const routing(detail::value_of(gates), mask, options.gate, random);
    auto const weights = route_weights(gates, routing);
    auto balance = balance_loss(gates, routing);
    if (options.gate.z_loss_weight != 0)
      balance = eval(balance + z_loss(logits, mask, routing) * options.gate.z_loss_weight);
    return MixtureResult{output_of<Form>(of_tokens, mask, weights, routing), balance, routing};
  }

  /// The work of the experts, zeros for padding. By index and by ragged rows padding goes nowhere; einsums and shared
  /// experts read all rows, of the outputs' gradients as well.
  template <DispatchForm Form, class X, AnyTensor Mask, class Weights, class Routes>
  auto output_of(X const& x, Mask const& mask, Weights const& weights, Routes const& routing) {
    auto const output = shared.added_to(routed<Form>(x, weights, routing), x);
    return Form == DispatchForm::by_one_hot || shared.layer ? zero_padding(output, mask) : output;
  }

  /// Gates compute in float at least, from what tokens and weights hold.
  template <class X>
  auto router_logits(X const& x) {
    if constexpr (gshard::detail::is_rounded<T>)
      return eval(einsum<"gsm,me->gse">(eval(cast<float>(x)), movable(eval(cast<float>(bind(gate, x))))));
    else return eval(einsum<"gsm,me->gse">(x, movable(bind(gate, x))));
  }

  template <class X>
  static auto as_activations(X const& x) {
    if constexpr (gshard::detail::is_rounded<T>) return eval(cast<T>(x));
    else return x;
  }

  /// The tokens (G, S, M) by way of their experts.
  template <DispatchForm Form, class X, class Weights, class Routes>
  auto routed(X const& x, Weights const& weights, Routes const& routing) {
    if constexpr (Form == DispatchForm::by_index) {
      auto const back = reshard<AtTokens>(experts(reshard<AtExperts>(dispatch(x, routing)), BySlots{}));
      return combine(back, weights, routing);
    } else if constexpr (Form == DispatchForm::ragged) {
      Ragged const routes(gate.value.mesh(), routing);
      return combine_ragged(experts(dispatch_ragged(x, routes), ByRaggedRows<Mesh, Parallelism, MemorySpace>(routes)),
                            weights, routes);
    } else {
      auto const one_hot = one_hot_routes(weights, routing);
      auto const sent = shard<AtExperts>(einsum<"gsec,gsm->egcm">(as_activations(one_hot.mask), x));
      auto const back = reshard<AtTokens>(experts(sent, BySlots{}));
      return eval(einsum<"gsec,egcm->gsm">(as_activations(one_hot.combine), back));
    }
  }
};

}  // namespace gshard::nn
