// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>

#include <gshard/autodiff/einsum.hpp>
#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/reduce.hpp>
#include <gshard/autodiff/reshard.hpp>
#include <gshard/autodiff/softmax.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/moe/dispatch.hpp>
#include <gshard/nn/moe/dropless.hpp>
#include <gshard/nn/moe/experts.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/moe/gate_statistics.hpp>
#include <gshard/nn/moe/gate_z_loss.hpp>
#include <gshard/nn/moe/one_hot.hpp>
#include <gshard/nn/moe/shared_experts.hpp>

namespace gshard::nn {

/// How tokens get to their experts. The same results up to rounding, where no choice is dropped for want of a slot.
enum class DispatchForm {
  by_index,  ///< rows into slots (E, G, C) and back, by index
  /// the same by the einsums of Algorithm 2 with one-hot tensors: the readable one, and as costly as S/H of the experts
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
/// as those of experts.hpp.
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

  MixtureOfExperts(Mesh const& mesh, Initializer& initializer, MixtureOptions const& shape)
      : gate(initializer.normal<GateWeight>(mesh, {shape.model, checked(shape).experts},
                                            1 / std::sqrt(static_cast<double>(shape.model)), "gate")),
        experts(mesh, initializer, shape),
        shared(mesh, initializer, shape),
        options(shape) {}

  /// x (G, S, M) split as Spec<tokens, _, _>; `real` (G, S) is 0 for padding; `random` in training, nothing for
  /// inference. Two reshards between the specs of tokens and experts; of ragged rows, an exchange of counts and two of
  /// rows, over the expert axes.
  template <DispatchForm Form = default_form, class X, AnyTensor Real>
  auto operator()(X const& x, Real const& real, std::optional<RandomStream> random) {
    static_assert(
        Form == DispatchForm::ragged || Gate::drop != Drop::never,
        "gshard: a gate that never drops has no slots to send tokens to; run its layer in the form DispatchForm::ragged, which is its default");
    if constexpr (Form == DispatchForm::ragged && rows != tokens) {
      // Ranks that hold the same tokens take a share of them each.
      auto result = run<Form>(reshard<Spec<rows, _, _>>(x), reshard<Spec<rows, _>>(real), random);
      auto const output = reshard<Spec<tokens, _, _>>(result.output);
      return MixtureResult{output, result.balance_loss, result.routing};
    } else {
      return run<Form>(x, real, random);
    }
  }

  /// The output alone, in inference: nothing is summed over the groups for a loss.
  template <DispatchForm Form = default_form, AnyTensor X, AnyTensor Real>
  X infer(X const& x, Real const& real) {
    if constexpr (Form == DispatchForm::ragged && rows != tokens)
      return reshard<Spec<tokens, _, _>>(infer_rows<Form>(reshard<Spec<rows, _, _>>(x), reshard<Spec<rows, _>>(real)));
    else return infer_rows<Form>(x, real);
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(gate);
    experts.for_each_parameter(visit);
    shared.for_each_parameter(visit);
  }

 private:
  static MixtureOptions const& checked(MixtureOptions const& shape) {
    if (shape.experts < 1)
      throw ExtentError(gshard::detail::text("mixture: ", shape.experts, " experts; give 1 or more"));
    return shape;
  }

  template <DispatchForm Form, AnyTensor X, AnyTensor Real>
  X infer_rows(X const& x, Real const& real) {
    auto const gates = softmax<-1>(router_logits(x));
    Routing<std::remove_const_t<decltype(gates)>, Gate> const routing(gates, real, options.gate, {});
    return shared.added_to(routed<Form>(x, routing.weight, routing), x);
  }

  template <DispatchForm Form, class X, AnyTensor Real>
  auto run(X const& x, Real const& real, std::optional<RandomStream> random) {
    auto const logits = router_logits(x);
    auto const gates = softmax<-1>(logits);
    using Gates = detail::ValueTensor<decltype(gates)>;
    Routing<Gates, Gate> const routing(detail::value_of(gates), real, options.gate, random);
    auto const weights = route_weights(gates, routing);
    auto balance = balance_loss(gates, routing);
    if (options.gate.z_loss_weight != 0)
      balance = eval(balance + z_loss(logits, real, routing) * options.gate.z_loss_weight);
    return MixtureResult{shared.added_to(routed<Form>(x, weights, routing), x), balance, routing};
  }

  /// Gates compute in float at least, from what tokens and weights hold.
  template <class X>
  auto router_logits(X const& x) {
    if constexpr (gshard::detail::is_rounded<T>)
      return eval(einsum<"gsm,me->gse">(eval(convert<float>(x)), movable(eval(convert<float>(bind(gate, x))))));
    else return eval(einsum<"gsm,me->gse">(x, movable(bind(gate, x))));
  }

  template <class X>
  static auto as_activations(X const& x) {
    if constexpr (gshard::detail::is_rounded<T>) return eval(convert<T>(x));
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
