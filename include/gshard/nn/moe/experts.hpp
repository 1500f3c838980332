// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/map.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/nn/axes.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/kernels/expert_bias.hpp>
#include <gshard/nn/moe/options.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/parallelism.hpp>
#include <gshard/tensor/operands.hpp>

// Experts are layers: class templates <Mesh, Parallelism, T, MemorySpace>, made from (mesh, initializer,
// MixtureOptions), which they check, and called with rows and with what does to each row the work of its own expert,
// `by_expert.times(rows, weight)` and `by_expert.plus(rows, bias)`. So one layer serves rows in slots and ragged rows.

namespace gshard::error {

template <class Rows, class Bias>
struct ExpertBiasHeld {
  static_assert(
      always_false<Rows>,
      "gshard: the bias (E, N) of experts is held as their rows (E, G, C, N) are; reshard it so that E and N lie on the same axes, without a partial sum, and convert it to the same elements");
};

}  // namespace gshard::error

namespace gshard::nn {

namespace detail {

/// Gated linear unit activation(gate) * linear (Shazeer, arXiv 2002.05202).
template <class Activation>
struct GatedLinearUnit : gshard::functions::NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T gate, T linear) const {
    return Activation{}(gate)*linear;
  }
  template <int Operand>
  static constexpr Reads reads = Operand == 0 ? Reads::operand(0) | Reads::operand(1) : Reads::operand(0);
  template <int Operand, class T>
  KOKKOS_FUNCTION static T derivative(T gate, T linear, T) {
    if constexpr (Operand == 1) return Activation{}(gate);
    else if constexpr (Activation::template reads<0>.from_result)
      return linear * static_cast<T>(Activation::derivative(gate, Activation{}(gate)));
    else return linear * Activation::derivative(gate, T(0));
  }
};

using SwiGlu = GatedLinearUnit<gshard::functions::Silu>;
using GeGlu = GatedLinearUnit<gshard::functions::Gelu>;
using ReGlu = GatedLinearUnit<gshard::functions::Relu>;

/// Rows (E, G, C, N) plus a bias (E, N) of each row's expert, as an operation with a gradient.
struct AddBiasToSlots {
  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Rows, AnyTensor Bias>
  auto forward(Rows const& rows, Bias const& bias) const {
    if constexpr (!is_bias_of<Rows, Bias>())
      using Refused [[maybe_unused]] =
          decltype(error::ExpertBiasHeld<typename Rows::spec_type, typename Bias::spec_type>{});
    require_floating_point<Rows>();
    gshard::detail::require_one_mesh("expert bias", {{"rows", rows}, {"bias", bias}});
    gshard::detail::require_extents("expert bias", {"bias", bias}, {rows.extent(0), rows.extent(3)},
                                    "as of the rows (E, G, C, N)");
    Rows const result = empty_like(rows);
    record_kernel("expert bias", result, rows, bias);
    std::int64_t const each = rows.local_extent(1) * rows.local_extent(2);
    add_expert_bias<typename Rows::memory_space>(
        rows.local_extent(0) * each,
        AddExpertBias<typename Rows::value_type>{
            rows.data(), bias.data(), result.data(), rows.local_extent(3), {each, nullptr, 0}});
    return result;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [drows, dbias] = gradients;
    drows.add(gradient);
    if constexpr (is_wanted<decltype(dbias)>) {
      using Bias = typename std::remove_cvref_t<decltype(dbias)>::tensor_type;
      using Sums = gshard::detail::PlanOf<"egcn->en", Cotangent<Bias>, std::remove_cvref_t<decltype(gradient)>>;
      dbias.add_part(gshard::detail::produced_by<Sums>(std::get<1>(saved.operands).extents(), gradient));
    }
  }

 private:
  template <AnyTensor Rows, AnyTensor Bias>
  static constexpr bool is_bias_of() {
    if (Rows::rank != 4 || Bias::rank != 2) return false;
    return Rows::layout.dimensions[0] == Bias::layout.dimensions[0] &&
           Rows::layout.dimensions[3] == Bias::layout.dimensions[1] && Rows::layout.partial.empty() &&
           Bias::layout.partial.empty() && std::is_same_v<with_spec<Rows, typename Bias::spec_type>, Bias>;
  }
};

}  // namespace detail

/// The work of experts on rows in slots (E, G, C, K): each expert has as many.
struct BySlots {
  /// Returns rows (E, G, C, K) times weight (E, K, N). Gathers what is kept in pieces of `weight`; reduces sums over a
  /// split K.
  template <TensorOperand X, TensorOperand W>
  auto times(X&& rows, W&& weight) const {
    return einsum<"egck,ekn->egcn">(std::forward<X>(rows), movable(std::forward<W>(weight)));
  }

  /// Returns rows (E, G, C, N) plus bias (E, N). Local; the gradient of the bias is summed over the axes that split the
  /// slots. Throws StateError, MeshError or ExtentError if E or N differ.
  template <TensorOperand X, TensorOperand B>
  auto plus(X&& rows, B&& bias) const {
    return Differentiable<detail::AddBiasToSlots>{}(std::forward<X>(rows), std::forward<B>(bias));
  }
};

namespace detail {

/// The axes that keep a weight in pieces, besides those that split it already.
template <class Parallelism>
inline constexpr AxisNames pieces_of_experts =
    names_without(Parallelism::parameters, names_of_both(Parallelism::experts, Parallelism::model));

/// rows (.., K) times a weight (E, K, N) of each row's expert, plus a bias (E, N) where it has one. The axes of the
/// experts split E.
template <class Mesh, class Parallelism, AxisNames Inputs, AxisNames Outputs, bool HasBias, class T, class MemorySpace>
struct ExpertLinear {
  using Weight = ShardedTensor<Mesh, Spec<Parallelism::experts, Inputs, Outputs>, T, MemorySpace>;
  /// As the outputs are used, not in pieces.
  using Bias = ShardedTensor<Mesh, Spec<Parallelism::experts, names_without(Outputs, pieces_of_experts<Parallelism>)>,
                             T, MemorySpace>;
  Parameter<Weight> weight;
  Parameter<Bias> bias;

  ExpertLinear(Mesh const& mesh, Initializer& initializer, std::int64_t count, std::int64_t inputs,
               std::int64_t outputs, std::string const& name)
      : weight(initializer.normal<Weight>(mesh, {count, inputs, outputs}, 1 / std::sqrt(static_cast<double>(inputs)),
                                          name)) {
    if constexpr (HasBias) bias = initializer.constant<Bias>(mesh, {count, outputs}, 0, name + " bias");
  }

  template <TensorOrVar X, class ByExpert>
  auto operator()(X const& rows, ByExpert const& by_expert) {
    if constexpr (HasBias) return by_expert.plus(eval(by_expert.times(rows, bind(weight, rows))), bind(bias, rows));
    else return by_expert.times(rows, bind(weight, rows));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weight);
    if constexpr (HasBias) visit(bias);
  }
};

template <class Mesh, class Parallelism, bool HasBias, class T, class MemorySpace>
using InputLinear =
    ExpertLinear<Mesh, Parallelism, pieces_of_experts<Parallelism>, Parallelism::model, HasBias, T, MemorySpace>;
template <class Mesh, class Parallelism, bool HasBias, class T, class MemorySpace>
using OutputLinear =
    ExpertLinear<Mesh, Parallelism, Parallelism::model, pieces_of_experts<Parallelism>, HasBias, T, MemorySpace>;

/// Experts of two linear layers; hidden units are split over the axes of the model, weights kept in pieces over those
/// of the parameters.
template <class Mesh, class Parallelism, bool HasBias, class T, class MemorySpace>
struct ReluLayers {
  InputLinear<Mesh, Parallelism, HasBias, T, MemorySpace> wi;   ///< (E, M, H)
  OutputLinear<Mesh, Parallelism, HasBias, T, MemorySpace> wo;  ///< (E, H, M)

  ReluLayers(Mesh const& mesh, Initializer& initializer, MixtureOptions const& shape)
      : wi(mesh, initializer, shape.check().experts, shape.model, shape.hidden, "expert wi"),
        wo(mesh, initializer, shape.experts, shape.hidden, shape.model, "expert wo") {}

  template <TensorOperand X, class ByExpert>
  auto operator()(X&& x, ByExpert const& by_expert) {
    auto const& rows = gshard::detail::evaluated(std::forward<X>(x));
    auto const hidden = eval(relu(wi(rows, by_expert)));
    return eval(wo(hidden, by_expert));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    wi.for_each_parameter(visit);
    wo.for_each_parameter(visit);
  }
};

/// The same with a third linear layer that gates the hidden units; `Unit` is a GatedLinearUnit.
template <class Mesh, class Parallelism, class Unit, bool HasBias, class T, class MemorySpace>
struct GatedLayers {
  InputLinear<Mesh, Parallelism, HasBias, T, MemorySpace> wg;   ///< (E, M, H), of the gate
  InputLinear<Mesh, Parallelism, HasBias, T, MemorySpace> wi;   ///< (E, M, H)
  OutputLinear<Mesh, Parallelism, HasBias, T, MemorySpace> wo;  ///< (E, H, M)

  GatedLayers(Mesh const& mesh, Initializer& initializer, MixtureOptions const& shape)
      : wg(mesh, initializer, shape.check().experts, shape.model, shape.hidden, "expert wg"),
        wi(mesh, initializer, shape.experts, shape.model, shape.hidden, "expert wi"),
        wo(mesh, initializer, shape.experts, shape.hidden, shape.model, "expert wo") {}

  template <TensorOperand X, class ByExpert>
  auto operator()(X&& x, ByExpert const& by_expert) {
    auto const& rows = gshard::detail::evaluated(std::forward<X>(x));
    auto const hidden = eval(map(Unit{}, eval(wg(rows, by_expert)), eval(wi(rows, by_expert))));
    return eval(wo(hidden, by_expert));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    wg.for_each_parameter(visit);
    wi.for_each_parameter(visit);
    wo.for_each_parameter(visit);
  }
};

}  // namespace detail

/// Feed-forward experts relu(x wi) wo (paper 2.1).
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct ReluExperts : detail::ReluLayers<Mesh, Parallelism, false, T, MemorySpace> {
  using detail::ReluLayers<Mesh, Parallelism, false, T, MemorySpace>::ReluLayers;
};

/// relu(x wi + bi) wo + bo.
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct BiasedReluExperts : detail::ReluLayers<Mesh, Parallelism, true, T, MemorySpace> {
  using detail::ReluLayers<Mesh, Parallelism, true, T, MemorySpace>::ReluLayers;
};

/// Gated experts (swish(x wg) * (x wi)) wo, known as SwiGLU (Shazeer, arXiv 2002.05202).
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct GatedExperts : detail::GatedLayers<Mesh, Parallelism, detail::SwiGlu, false, T, MemorySpace> {
  using detail::GatedLayers<Mesh, Parallelism, detail::SwiGlu, false, T, MemorySpace>::GatedLayers;
};

/// Gated experts (gelu(x wg) * (x wi)) wo, known as GEGLU (Shazeer, arXiv 2002.05202).
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct GegluExperts : detail::GatedLayers<Mesh, Parallelism, detail::GeGlu, false, T, MemorySpace> {
  using detail::GatedLayers<Mesh, Parallelism, detail::GeGlu, false, T, MemorySpace>::GatedLayers;
};

/// Gated experts (relu(x wg) * (x wi)) wo, known as ReGLU (Shazeer, arXiv 2002.05202).
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct RegluExperts : detail::GatedLayers<Mesh, Parallelism, detail::ReGlu, false, T, MemorySpace> {
  using detail::GatedLayers<Mesh, Parallelism, detail::ReGlu, false, T, MemorySpace>::GatedLayers;
};

/// (swish(x wg + bg) * (x wi + bi)) wo + bo.
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct BiasedGatedExperts : detail::GatedLayers<Mesh, Parallelism, detail::SwiGlu, true, T, MemorySpace> {
  using detail::GatedLayers<Mesh, Parallelism, detail::SwiGlu, true, T, MemorySpace>::GatedLayers;
};

}  // namespace gshard::nn
