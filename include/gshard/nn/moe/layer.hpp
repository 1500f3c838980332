// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include <gshard/autodiff/einsum.hpp>
#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/reduce.hpp>
#include <gshard/autodiff/reshard.hpp>
#include <gshard/autodiff/softmax.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/moe/axes.hpp>
#include <gshard/nn/moe/dispatch.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/moe/one_hot.hpp>
#include <gshard/nn/moe/options.hpp>

namespace gshard::nn {

/// How tokens get to their experts: by index, or by the einsums of Algorithm 2 with one-hot tensors. The same results up to rounding.
enum class DispatchForm { by_index, by_one_hot };

/// What a mixture of experts gives: the tokens (G, S, M), the balance loss E^2 * mean over groups of Algorithm 1's l_aux (1 when even, E when one
/// expert gets all), and where the tokens went.
template <class Output, class Loss, AnyTensor Gates>
struct MixtureResult {
  Output output;
  Loss balance_loss;
  Routing<Gates> routing;
};

/// The Mixture-of-Experts layer of the paper (2.2, Algorithms 1 and 2): each token goes to at most two of E feed-forward experts, chosen by a learned gate,
/// within the capacity of its group. `Tokens` are the axes that split the groups, `Experts` those that split the experts, as in
/// `MixtureOfExperts<Grid, "data,expert", "expert">`: dispatch and return are then one all-to-all each, over the expert axes alone.
template <class Mesh, AxisNames Tokens, AxisNames Experts, class T = float, class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
class MixtureOfExperts {
  template <class Spec>
  using Tensor = ShardedTensor<Mesh, Spec, T, MemorySpace>;
  static constexpr AxisNames groups_beside_experts = detail::names_without(Tokens, Experts);

  using AtTokens = Spec<_, Tokens, _, _>;                         ///< (E, G, C, M), E whole
  using AtExperts = Spec<Experts, groups_beside_experts, _, _>;   ///< (E, G, C, M), each rank its experts

 public:
  Parameter<Tensor<Spec<_, _>>> gate;             ///< (M, E), replicated
  Parameter<Tensor<Spec<Experts, _, _>>> wi;      ///< (E, M, H)
  Parameter<Tensor<Spec<Experts, _, _>>> wo;      ///< (E, H, M)
  MixtureOptions options;

  MixtureOfExperts(Mesh const& mesh, Initializer& initializer, MixtureOptions const& shape)
      : gate(initializer.normal<Tensor<Spec<_, _>>>(mesh, {shape.model, shape.experts}, deviation(shape.model), "gate")),
        wi(initializer.normal<Tensor<Spec<Experts, _, _>>>(mesh, {shape.experts, shape.model, shape.hidden}, deviation(shape.model), "expert wi")),
        wo(initializer.normal<Tensor<Spec<Experts, _, _>>>(mesh, {shape.experts, shape.hidden, shape.model}, deviation(shape.hidden), "expert wo")),
        options(shape) {}

  /// x (G, S, M) split as Spec<Tokens, _, _>; `real` (G, S) is 0 for padding; `random` in training, nothing for inference. Two reshards between the specs
  /// of tokens and experts.
  template <DispatchForm Form = DispatchForm::by_index, class X, AnyTensor Real>
  auto operator()(X const& x, Real const& real, std::optional<RandomStream> random) {
    auto const gates = softmax<-1>(eval(einsum<"gsm,me->gse">(x, bind(gate, x))));
    using Gates = detail::ValueTensor<decltype(gates)>;
    Routing<Gates> const routing(detail::value_of(gates), real, options.gate, random);
    auto const weights = route_weights(gates, routing);
    double const scale = static_cast<double>(options.experts) * static_cast<double>(options.experts);
    auto const losses = balance_losses(gates, routing);
    auto const balance = scaled_mean(losses, scale);
    auto result = [&](auto const& output) {
      return MixtureResult<std::remove_cvref_t<decltype(output)>, std::remove_cvref_t<decltype(balance)>, Gates>{output, balance, routing};
    };
    if constexpr (Form == DispatchForm::by_index) {
      auto const back = reshard<AtTokens>(run_experts(x, reshard<AtExperts>(dispatch(x, routing))));
      return result(combine(back, weights, routing));
    } else {
      auto const one_hot = one_hot_routes(weights, routing);
      auto const sent = shard<AtExperts>(einsum<"gsec,gsm->egcm">(one_hot.mask, x));
      auto const back = reshard<AtTokens>(run_experts(x, sent));
      return result(eval(einsum<"gsec,egcm->gsm">(one_hot.combine, back)));
    }
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(gate);
    visit(wi);
    visit(wo);
  }

 private:
  static double deviation(std::int64_t inputs) { return 1 / std::sqrt(static_cast<double>(inputs)); }

  /// relu(x wi) wo of every expert, on the rows in its slots (E, G, C, M).
  template <class X, class Slots>
  auto run_experts(X const& x, Slots const& slots) {
    auto const hidden = relu(einsum<"egcm,emh->egch">(slots, bind(wi, x)));
    return eval(einsum<"egch,ehm->egcm">(eval(hidden), bind(wo, x)));
  }

  template <class Losses>
  static auto scaled_mean(Losses const& losses, double scale) {
    if constexpr (AnyVar<Losses>) return mean(losses) * scale;
    else return gshard::detail::scalar_like(losses, mean(losses) * scale);
  }
};

}  // namespace gshard::nn
