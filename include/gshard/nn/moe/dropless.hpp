// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/nn/kernels/dispatch.hpp>
#include <gshard/nn/kernels/grouped_gemm.hpp>
#include <gshard/nn/kernels/sort_routes.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/moe/ragged.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/parallelism.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/operands.hpp>

// Dispatch without slots: each expert gets as many rows as chose it, sorted by expert, and multiplies them by grouped
// products. No expert has a capacity, and no rank computes on an empty row.

namespace gshard::nn {

/// The routes of a gate as ragged rows: the tables between them, and the exchange between ranks. A handle.
template <class Mesh, class Parallelism, class MemorySpace>
class RaggedRoutes {
  using Table = DeviceTable<std::int64_t, MemorySpace>;

 public:
  using Exchange = RaggedExchange<Mesh, Parallelism, MemorySpace>;

  /// From a routing whose groups are split over all axes of the rows. Communicates counts, as RaggedExchange does.
  /// Throws StateError, MeshError or ExtentError where the routing is of another mesh, or its tables do not belong
  /// together.
  template <AnyTensor Gates, AnyGate Gate>
  RaggedRoutes(Mesh const& mesh, Routing<Gates, Gate> const& routing)
      : shape_(checked_shape(mesh, routing)),
        rows_(mesh.memory(), routing.expert.local_size()),
        routes_(mesh.memory(), routing.expert.local_size()) {
    std::int64_t const routes = routing.expert.local_size();
    std::int64_t const experts = shape_.experts;
    detail::record_kernel("sort_routes", routing.expert, routing.slot);
    auto counts = detail::sort_routes<MemorySpace>(mesh.memory(), routing.expert.data(), routing.slot.data(), routes,
                                                   experts, rows_.data(), routes_.data());
    if constexpr (gshard::detail::is_abstract<MemorySpace>) {
      // As if no choice were dropped; a token has no more choices than there are experts.
      std::int64_t const made = routes / shape_.choices * std::min(shape_.choices, experts);
      for (std::size_t e = 0; e < counts.size(); ++e)
        counts[e] = shard_range(made, static_cast<int>(experts), static_cast<int>(e)).size();
    }
    std::int64_t const rows = comm::detail::total(counts);
    exchange_ = std::make_shared<Exchange const>(mesh, counts, rows);
  }

  Exchange const& exchange() const { return *exchange_; }
  detail::TabledRoutes tables() const { return {rows_.data(), routes_.data(), shape_.choices}; }
  /// The extents of the routing.
  detail::RoutingShape const& shape() const { return shape_; }

 private:
  template <AnyTensor Gates, AnyGate Gate>
  static detail::RoutingShape checked_shape(Mesh const& mesh, Routing<Gates, Gate> const& routing) {
    static_assert(Exchange::template check_tokens<decltype(routing.expert)>());
    detail::RoutingShape const shape = routing.shape("ragged routes");
    gshard::detail::require_on_mesh("ragged routes", {"the routing's expert", routing.expert}, mesh);
    return shape;
  }

  detail::RoutingShape shape_;
  Table rows_;
  Table routes_;
  std::shared_ptr<Exchange const> exchange_;
};

namespace detail {

/// Dispatch to ragged rows, as an operation with a gradient.
template <class Mesh, class Parallelism, class MemorySpace>
struct DispatchToRows {
  RaggedRoutes<Mesh, Parallelism, MemorySpace> routes;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor X>
  auto forward(X const& x) const {
    using T = typename X::value_type;
    using Kernel = TokensToRows<T, TabledRoutes>;
    static_assert(RaggedExchange<Mesh, Parallelism, MemorySpace>::template check_tokens<X>());
    require_floating_point<X>();
    auto const& exchange = routes.exchange();
    gshard::detail::require_on_mesh("dispatch_ragged", {"x", x}, exchange.mesh());
    // Named types: nvcc loses the end of such a statement where braces hold members of templates.
    gshard::detail::require_extents("dispatch_ragged", gshard::detail::Operand("x", x),
                                    Extents{routes.shape().groups, routes.shape().tokens, dynamic_extent},
                                    "as in the routing, (G, S)");
    auto const packed = exchange.template unset_rows<T>(x.extent(2));
    record_kernel("dispatch", packed, x);
    tokens_to_rows<typename X::memory_space>(exchange.sent_rows(),
                                             Kernel{routes.tables(), x.data(), nullptr, packed.data(), x.extent(2)});
    return exchange.to_experts(packed);
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using X = typename std::remove_cvref_t<decltype(dx)>::tensor_type;
    using Kernel = RowsToTokens<typename X::value_type, TabledRoutes>;
    auto const back = routes.exchange().to_tokens(gradient);
    X const x_gradient(uninitialized, x.mesh(), x.extents());
    record_kernel("dispatch gradient", x_gradient, back);
    rows_to_tokens<typename X::memory_space>(
        x_gradient.local_extent(0) * x.extent(1),
        Kernel{routes.tables(), back.data(), nullptr, x_gradient.data(), x.extent(2)});
    dx.add(x_gradient);
  }
};

/// Combine from ragged rows, as an operation of rows and weights with a gradient. The residual is the rows after their
/// exchange, which the gradient of the weights reads.
template <class Mesh, class Parallelism, class MemorySpace>
struct CombineFromRows {
  RaggedRoutes<Mesh, Parallelism, MemorySpace> routes;

  template <int Operand>
  static constexpr Reads reads = Operand == 0 ? Reads::operand(1) : Reads::nothing();
  template <int Operand>
  static constexpr bool reads_residuals = Operand == 1;

  template <AnyTensor Rows, AnyTensor Weights>
  auto forward(Rows const& rows, Weights const& weights) const {
    using T = typename Rows::value_type;
    using Exchange = RaggedExchange<Mesh, Parallelism, MemorySpace>;
    using Kernel = RowsToTokens<T, TabledRoutes, typename Weights::value_type>;
    static_assert(Exchange::template check_rows<Rows, true>() && Exchange::template check_tokens<Weights>());
    require_floating_point<Rows>();
    routes.exchange().require_rows("combine_ragged", rows);
    gshard::detail::require_on_mesh("combine_ragged", {"weights", weights}, routes.exchange().mesh());
    gshard::detail::require_extents("combine_ragged", gshard::detail::Operand("weights", weights),
                                    Extents{routes.shape().groups, routes.shape().tokens, routes.shape().choices},
                                    "as in the routing, (G, S, K)");
    std::int64_t const columns = rows.extent(1);
    auto const back = routes.exchange().to_tokens(rows);
    ShardedTensor<typename Weights::mesh_type, typename Weights::spec_type, T, MemorySpace> const tokens(
        uninitialized, weights.mesh(), {weights.extent(0), weights.extent(1), columns});
    record_kernel("combine", tokens, back, weights);
    rows_to_tokens<MemorySpace>(weights.local_extent(0) * weights.extent(1),
                                Kernel{routes.tables(), back.data(), weights.data(), tokens.data(), columns});
    return WithResiduals{tokens, back};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& weights = std::get<1>(saved.operands);
    auto const& back = saved.residuals;
    auto const& [drows, dweights] = gradients;
    using T = typename std::remove_cvref_t<decltype(gradient)>::value_type;
    using Weight = typename std::remove_cvref_t<decltype(weights)>::value_type;
    if constexpr (is_wanted<decltype(drows)>) {
      using Kernel = TokensToRows<T, TabledRoutes, Weight>;
      auto const packed = routes.exchange().template unset_rows<T>(back.extent(1));
      record_kernel("combine gradient", packed, gradient);
      tokens_to_rows<MemorySpace>(routes.exchange().sent_rows(), Kernel{routes.tables(), gradient.data(),
                                                                        weights.data(), packed.data(), back.extent(1)});
      drows.add(routes.exchange().to_experts(packed));
    }
    if constexpr (is_wanted<decltype(dweights)>) {
      using Weights = typename std::remove_cvref_t<decltype(dweights)>::tensor_type;
      using Kernel = RouteProducts<T, TabledRoutes, Weight>;
      Weights const weights_gradient(uninitialized, weights.mesh(), weights.extents());
      record_kernel("combine weights gradient", gradient, back);
      route_products<MemorySpace>(
          weights_gradient.local_extent(0) * weights.extent(1),
          Kernel{routes.tables(), back.data(), gradient.data(), weights_gradient.data(), back.extent(1)});
      dweights.add(weights_gradient);
    }
  }
};

/// Requires the rows of the routes, and an operand of the experts of these extents. Throws StateError, MeshError or
/// ExtentError, naming `operation`.
template <class Routes, AnyTensor Rows, AnyTensor Own>
void require_experts(std::string_view operation, Routes const& routes, Rows const& rows, std::string_view role,
                     Own const& own, Extents const& extents) {
  routes.exchange().require_rows(operation, rows);
  gshard::detail::require_on_mesh(operation, {role, own}, rows.mesh());
  gshard::detail::require_extents(operation, {role, own}, extents, "as of the experts and the rows");
}

/// The axes over which gradients of experts' weights and biases are summed: those that split the rows of one expert.
template <class Exchange>
inline constexpr AxisSet axes_of_one_expert = Exchange::rows_over - Exchange::experts_over;

/// Grouped product of ragged rows (R, K) with weights (E, K, N), as an operation with a gradient.
template <class Mesh, class Parallelism, class MemorySpace>
class TimesByExpert {
  using Routes = RaggedRoutes<Mesh, Parallelism, MemorySpace>;
  using Exchange = typename Routes::Exchange;
  static constexpr AxisSet model = set_of(layout_of<Mesh, Spec<Parallelism::model>>.dimensions[0]);

  /// Returns the layout of a weight as it is multiplied: K on the axes of the rows' own, N on those of the model or
  /// whole.
  static constexpr Layout held_weight(Layout rows, Layout weight) {
    AxisList const& inputs = rows.dimensions[1];
    Layout held = weight;
    held.dimensions[1] = inputs;
    if (!inputs.empty() || !model.contains(set_of(weight.dimensions[2]))) held.dimensions[2] = {};
    return held;
  }

  static constexpr Layout layout_of_rows(Layout rows, AxisList const& columns, AxisSet partial) {
    rows.dimensions[1] = columns;
    rows.partial = partial;
    return rows;
  }

 public:
  explicit TimesByExpert(Routes const& routes) : routes_(routes) {}

  template <int Operand>
  static constexpr Reads reads = Reads::operand(1 - Operand);

  template <AnyTensor Rows, AnyTensor Weight>
  auto forward(Rows const& rows, Weight const& weight) const {
    using T = typename Rows::value_type;
    static_assert(Exchange::template check_rows<Rows>() && Exchange::template check_weights<Weight, 3, Rows>());
    require_floating_point<Rows>();
    static constexpr Layout held = held_weight(Rows::layout, Weight::layout);
    using ReshardedWeight = with_layout<Weight, held>;
    using Result = with_layout<Rows, layout_of_rows(Rows::layout, held.dimensions[2], set_of(held.dimensions[1]))>;
    require_experts("expert weights", routes_, rows, "weight", weight,
                    {routes_.shape().experts, rows.is_set() ? rows.extent(1) : dynamic_extent, dynamic_extent});
    Result result(uninitialized, rows.mesh(), {rows.extent(0), weight.extent(2)});
    {
      ReshardedWeight const matrices = gshard::detail::reshard_or_share<typename ReshardedWeight::spec_type>(weight);
      Grouped const shape = shape_with(matrices);
      record_product(shape, sizeof(T));
      Scratch<MemorySpace> scratch(rows.memory());
      grouped_product<MemorySpace, T>(shape, rows.data(), matrices.data(), result.data(), scratch);
    }
    return reshard<typename Cotangent<Result>::spec_type>(std::move(result));
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [rows, weight] = saved.operands;
    auto const& [drows, dweight] = gradients;
    using T = typename std::remove_cvref_t<decltype(gradient)>::value_type;
    static constexpr Layout held =
        held_weight(std::remove_cvref_t<decltype(rows)>::layout, std::remove_cvref_t<decltype(weight)>::layout);
    Scratch<MemorySpace> scratch(gradient.memory());
    if constexpr (is_wanted<decltype(drows)>) {
      using Rows = typename std::remove_cvref_t<decltype(drows)>::tensor_type;
      using RowsPart = with_layout<Rows, layout_of_rows(Rows::layout, held.dimensions[1], set_of(held.dimensions[2]))>;
      using ReshardedWeight = with_layout<std::remove_cvref_t<decltype(weight)>, held>;
      ReshardedWeight const matrices = gshard::detail::reshard_or_share<typename ReshardedWeight::spec_type>(weight);
      Grouped const shape = shape_with(matrices);
      RowsPart rows_part(uninitialized, rows.mesh(), rows.extents());
      record_product(shape, sizeof(T));
      grouped_product_rows_backward<MemorySpace, T>(shape, gradient.data(), matrices.data(), rows_part.data(), scratch);
      drows.add_part(std::move(rows_part));
    }
    if constexpr (is_wanted<decltype(dweight)>) {
      using Weight = typename std::remove_cvref_t<decltype(dweight)>::tensor_type;
      using WeightPart = with_layout<Weight, with_partial(held, axes_of_one_expert<Exchange>)>;
      WeightPart weight_part(uninitialized, weight.mesh(), weight.extents());
      Grouped const shape = shape_with(weight_part);
      record_product(shape, sizeof(T));
      grouped_product_matrices_backward<MemorySpace, T>(shape, rows.data(), gradient.data(), weight_part.data(),
                                                        scratch);
      dweight.add_part(std::move(weight_part));
    }
  }

 private:
  /// Returns the shape of the product with the block of `matrices` (E, K, N).
  template <AnyTensor Matrices>
  Grouped shape_with(Matrices const& matrices) const {
    return {routes_.exchange().ends(), matrices.local_extent(1), matrices.local_extent(2)};
  }

  void record_product(Grouped const& shape, std::size_t element) const {
    std::int64_t const experts = static_cast<std::int64_t>(shape.ends.size());
    std::int64_t const elements =
        shape.rows() * (shape.inputs + shape.outputs) + experts * shape.inputs * shape.outputs;
    routes_.exchange().mesh().memory().ledger().add_work("grouped product",
                                                         2 * shape.rows() * shape.inputs * shape.outputs,
                                                         elements * static_cast<std::int64_t>(element));
  }

  Routes routes_;
};

/// Ragged rows (R, N) plus the bias (E, N) of each row's expert, as an operation with a gradient.
template <class Mesh, class Parallelism, class MemorySpace>
struct AddBiasToRows {
  RaggedRoutes<Mesh, Parallelism, MemorySpace> routes;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Rows, AnyTensor Bias>
  auto forward(Rows const& rows, Bias const& bias) const {
    using Exchange = RaggedExchange<Mesh, Parallelism, MemorySpace>;
    using Kernel = AddExpertBias<typename Rows::value_type>;
    static_assert(Exchange::template check_rows<Rows>() && Exchange::template check_weights<Bias, 2, Rows>());
    require_floating_point<Rows>();
    require_experts("expert bias", routes, rows, "bias", bias,
                    {routes.shape().experts, rows.is_set() ? rows.extent(1) : dynamic_extent});
    Rows const result = empty_like(rows);
    record_kernel("expert bias", result, rows, bias);
    add_expert_bias<MemorySpace>(
        routes.exchange().received_rows(),
        Kernel{rows.data(), bias.data(), result.data(), rows.local_extent(1), routes.exchange().expert_of_row()});
    return result;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [drows, dbias] = gradients;
    drows.add(gradient);
    if constexpr (is_wanted<decltype(dbias)>) {
      using Bias = typename std::remove_cvref_t<decltype(dbias)>::tensor_type;
      using Exchange = RaggedExchange<Mesh, Parallelism, MemorySpace>;
      using Part = with_layout<Bias, with_partial(Bias::layout, axes_of_one_expert<Exchange>)>;
      auto const& bias = std::get<1>(saved.operands);
      Part part(uninitialized, bias.mesh(), bias.extents());
      Scratch<MemorySpace> scratch(part.memory());
      record_kernel("expert bias gradient", part, gradient);
      grouped_sums<MemorySpace, typename Bias::value_type>({routes.exchange().ends(), 0, part.local_extent(1)},
                                                           gradient.data(), part.data(), scratch);
      dbias.add_part(std::move(part));
    }
  }
};

}  // namespace detail

/// Sends rows of tokens to their experts: x (G, S, M) gives (R, M), R sorted by expert. Does not read rows of padding
/// and of dropped choices. Communication: one all-to-all of the rows over the expert axes.
/// Throws StateError, MeshError or ExtentError if x has other groups than the routing.
template <TensorOperand X, class Mesh, class Parallelism, class MemorySpace>
auto dispatch_ragged(X&& x, RaggedRoutes<Mesh, Parallelism, MemorySpace> const& routes) {
  return Differentiable(detail::DispatchToRows<Mesh, Parallelism, MemorySpace>{routes})(std::forward<X>(x));
}

/// Brings the experts' rows (R, M) back to their tokens, times the weights (G, S, K) of their routes: (G, S, M), zeros
/// for padding. Does not read gradients of padding. Communication: one all-to-all of the rows over the expert axes.
/// Throws StateError, MeshError or ExtentError if rows or weights are not those of the routes.
template <TensorOperand X, TensorOperand W, class Mesh, class Parallelism, class MemorySpace>
auto combine_ragged(X&& x, W&& weights, RaggedRoutes<Mesh, Parallelism, MemorySpace> const& routes) {
  return Differentiable(detail::CombineFromRows<Mesh, Parallelism, MemorySpace>{routes})(std::forward<X>(x),
                                                                                         std::forward<W>(weights));
}

/// Work of experts on ragged rows (R, K), sorted by expert, by grouped products.
template <class Mesh, class Parallelism, class MemorySpace>
class ByRaggedRows {
 public:
  using Routes = RaggedRoutes<Mesh, Parallelism, MemorySpace>;

  explicit ByRaggedRows(Routes const& routes) : routes_(routes) {}

  /// Returns rows (R, K) times weight (E, K, N) of each row's expert: (R, N). Gathers what is kept in pieces of
  /// `weight`; reduces sums over a split K.
  /// Throws StateError, MeshError or ExtentError if the rows are not those of the routes, or E or K differ.
  template <TensorOperand X, TensorOperand W>
  auto times(X&& rows, W&& weight) const {
    return Differentiable(detail::TimesByExpert<Mesh, Parallelism, MemorySpace>(routes_))(std::forward<X>(rows),
                                                                                          std::forward<W>(weight));
  }

  /// Returns rows (R, N) plus the bias (E, N) of each row's expert. Local; the gradient of the bias is summed over the
  /// axes that split the rows of an expert.
  /// Throws StateError, MeshError or ExtentError if the rows are not those of the routes, or E or N differ.
  template <TensorOperand X, TensorOperand B>
  auto plus(X&& rows, B&& bias) const {
    return Differentiable(detail::AddBiasToRows<Mesh, Parallelism, MemorySpace>{routes_})(std::forward<X>(rows),
                                                                                          std::forward<B>(bias));
  }

 private:
  Routes routes_;
};

}  // namespace gshard::nn
