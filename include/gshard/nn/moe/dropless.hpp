// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include <gshard/autodiff/reshard.hpp>
#include <gshard/nn/kernels/dispatch.hpp>
#include <gshard/nn/kernels/grouped_gemm.hpp>
#include <gshard/nn/kernels/sort_routes.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/moe/ragged.hpp>
#include <gshard/nn/operation.hpp>

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

/// The rows of tokens at their experts: x (G, S, M) gives (R, M), R sorted by expert. One all-to-all of the rows over
/// the expert axes. Rows of padding and of dropped choices are not read.
/// Throws StateError, MeshError or ExtentError where x has other groups than the routing.
template <class X, class Mesh, class Parallelism, class MemorySpace>
auto dispatch_ragged(X const& x, RaggedRoutes<Mesh, Parallelism, MemorySpace> const& routes) {
  using Tensor = detail::ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  using Kernel = detail::TokensToRows<T, detail::TabledRoutes>;
  Tensor const& tokens = detail::value_of(x);
  auto const& exchange = routes.exchange();
  static_assert(RaggedExchange<Mesh, Parallelism, MemorySpace>::template check_tokens<Tensor>());
  gshard::detail::require_on_mesh("dispatch_ragged", {"x", tokens}, exchange.mesh());
  // Named types: nvcc loses the end of such a statement where braces hold members of templates.
  gshard::detail::require_extents("dispatch_ragged", gshard::detail::Operand("x", tokens),
                                  Extents{routes.shape().groups, routes.shape().tokens, dynamic_extent},
                                  "as in the routing, (G, S)");
  auto const packed = exchange.template unset_rows<T>(tokens.extent(2));
  detail::record_kernel("dispatch", packed, tokens);
  detail::tokens_to_rows<Space>(exchange.sent_rows(),
                                Kernel{routes.tables(), tokens.data(), nullptr, packed.data(), tokens.extent(2)});
  return detail::recorded_beside(
      x, exchange.to_experts(packed), [slot = detail::slot_of(x), tokens, routes](auto const& gradient) {
        auto const back = routes.exchange().to_tokens(gradient);
        Tensor const of_tokens = detail::empty_like(tokens);
        detail::record_kernel("dispatch gradient", of_tokens, back);
        detail::rows_to_tokens<Space>(tokens.local_extent(0) * tokens.extent(1),
                                      detail::RowsToTokens<T, detail::TabledRoutes>{
                                          routes.tables(), back.data(), nullptr, of_tokens.data(), tokens.extent(2)});
        slot.add(of_tokens);
      });
}

/// The experts' rows (R, M) back at their tokens, times the weights (G, S, K) of their routes: (G, S, M), zeros for
/// padding. One all-to-all of the rows over the expert axes. Gradients of padding are not read.
/// Throws StateError, MeshError or ExtentError where rows or weights are not those of the routes.
template <class X, class W, class Mesh, class Parallelism, class MemorySpace>
auto combine_ragged(X const& x, W const& weights, RaggedRoutes<Mesh, Parallelism, MemorySpace> const& routes) {
  using Rows = detail::ValueTensor<X>;
  using T = typename Rows::value_type;
  using Space = typename Rows::memory_space;
  using Weights = detail::ValueTensor<W>;
  Weights const& weight = detail::value_of(weights);
  static_assert(RaggedExchange<Mesh, Parallelism, MemorySpace>::template check_rows<Rows, true>() &&
                RaggedExchange<Mesh, Parallelism, MemorySpace>::template check_tokens<Weights>());
  routes.exchange().require_rows("combine_ragged", detail::value_of(x));
  gshard::detail::require_on_mesh("combine_ragged", {"weights", weight}, routes.exchange().mesh());
  gshard::detail::require_extents("combine_ragged", gshard::detail::Operand("weights", weight),
                                  Extents{routes.shape().groups, routes.shape().tokens, routes.shape().choices},
                                  "as in the routing, (G, S, K)");
  std::int64_t const columns = detail::value_of(x).extent(1);
  auto const back = routes.exchange().to_tokens(detail::value_of(x));
  using Weight = typename Weights::value_type;
  ShardedTensor<typename Weights::mesh_type, typename Weights::spec_type, T, Space> const tokens(
      uninitialized, weight.mesh(), {weight.extent(0), weight.extent(1), columns});
  std::int64_t const count = weight.local_extent(0) * weight.extent(1);
  detail::record_kernel("combine", tokens, back, weight);
  detail::rows_to_tokens<Space>(count, detail::RowsToTokens<T, detail::TabledRoutes, Weight>{
                                           routes.tables(), back.data(), weight.data(), tokens.data(), columns});
  return detail::recorded_beside(
      std::tie(x, weights), tokens,
      [back, weight, routes, of_rows = detail::slot_of(x),
       of_weights = detail::slot_of(weights)](auto const& gradient) {
        if constexpr (detail::wants_gradient<decltype(of_rows)>) {
          auto const packed = detail::empty_like(back);
          detail::record_kernel("combine gradient", packed, gradient);
          detail::tokens_to_rows<Space>(
              routes.exchange().sent_rows(),
              detail::TokensToRows<T, detail::TabledRoutes, Weight>{routes.tables(), gradient.data(), weight.data(),
                                                                    packed.data(), back.extent(1)});
          of_rows.add(routes.exchange().to_experts(packed));
        }
        if constexpr (detail::wants_gradient<decltype(of_weights)>) {
          Weights const weights_gradient = detail::empty_like(weight);
          detail::record_kernel("combine weights gradient", gradient, back);
          std::int64_t const routed = weight.local_extent(0) * weight.extent(1);
          detail::route_products<Space>(
              routed, detail::RouteProducts<T, detail::TabledRoutes, Weight>{
                          routes.tables(), back.data(), gradient.data(), weights_gradient.data(), back.extent(1)});
          of_weights.add(weights_gradient);
        }
      });
}

/// The work of experts on ragged rows (R, K), sorted by expert, by grouped products.
template <class Mesh, class Parallelism, class MemorySpace>
class ByRaggedRows {
  using Exchange = RaggedExchange<Mesh, Parallelism, MemorySpace>;
  /// Over what the gradients of the experts' weights are sums.
  static constexpr AxisSet summed = Exchange::rows_over - Exchange::experts_over;
  static constexpr AxisSet model = set_of(layout_of<Mesh, Spec<Parallelism::model>>.dimensions[0]);

  /// A weight as it is multiplied: K on the axes of the rows' own, N on those of the model or whole.
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

  static constexpr Layout sum_over(Layout layout, AxisSet partial) {
    layout.partial = partial;
    return layout;
  }

 public:
  using Routes = RaggedRoutes<Mesh, Parallelism, MemorySpace>;

  explicit ByRaggedRows(Routes const& routes) : routes_(routes) {}

  /// rows (R, K) times weight (E, K, N): (R, N). What is kept in pieces of `weight` is gathered; sums over a split K
  /// are reduced.
  /// Throws StateError, MeshError or ExtentError where the rows are not those of the routes, or E or K differ.
  template <class X, class W>
  auto times(X const& x, W const& w) const {
    using Rows = detail::ValueTensor<X>;
    using Weight = detail::ValueTensor<W>;
    using T = typename Rows::value_type;
    static_assert(Exchange::template check_rows<Rows>() && Exchange::template check_weights<Weight, 3, Rows>());
    static constexpr Layout held = held_weight(Rows::layout, Weight::layout);
    using ReshardedWeight = with_layout<Weight, held>;
    using Result = with_layout<Rows, layout_of_rows(Rows::layout, held.dimensions[2], set_of(held.dimensions[1]))>;
    using Reduced = Cotangent<Result>;
    Rows const& rows = detail::value_of(x);
    Weight const& weight = detail::value_of(w);
    require_experts("expert weights", rows, "weight", weight,
                    {routes_.shape().experts, rows.is_set() ? rows.extent(1) : dynamic_extent, dynamic_extent});
    Result result(uninitialized, rows.mesh(), {rows.extent(0), weight.extent(2)});
    Routes const& routes = routes_;
    {
      ReshardedWeight const matrices = gshard::detail::reshard_or_share<typename ReshardedWeight::spec_type>(weight);
      detail::Grouped const shape = shape_of(routes, matrices);
      record_product(rows.mesh(), shape, sizeof(T));
      Scratch<MemorySpace> scratch(rows.memory());
      detail::grouped_product<MemorySpace, T>(shape, rows.data(), matrices.data(), result.data(), scratch);
    }
    return detail::recorded_beside(
        std::tie(x, w), reshard<typename Reduced::spec_type>(std::move(result)),
        [rows, weight, routes, of_rows = detail::slot_of(x), of_weight = detail::slot_of(w)](auto const& gradient) {
          vjp_product(routes, rows, weight, gradient, of_rows, of_weight);
        });
  }

  /// rows (R, N) plus the bias (E, N) of each row's expert. Local; its gradient is summed over the axes that split the
  /// rows.
  /// Throws StateError, MeshError or ExtentError where the rows are not those of the routes, or E or N differ.
  template <class X, class B>
  auto plus(X const& x, B const& b) const {
    using Rows = detail::ValueTensor<X>;
    using Bias = detail::ValueTensor<B>;
    using T = typename Rows::value_type;
    Rows const& rows = detail::value_of(x);
    Bias const& bias = detail::value_of(b);
    static_assert(Exchange::template check_rows<Rows>() && Exchange::template check_weights<Bias, 2, Rows>());
    require_experts("expert bias", rows, "bias", bias,
                    {routes_.shape().experts, rows.is_set() ? rows.extent(1) : dynamic_extent});
    Rows const result = detail::empty_like(rows);
    Routes const& routes = routes_;
    detail::record_kernel("expert bias", result, rows, bias);
    detail::add_expert_bias<MemorySpace>(
        routes.exchange().received_rows(),
        detail::AddExpertBias<T>{rows.data(), bias.data(), result.data(), rows.local_extent(1),
                                 routes.exchange().expert_of_row()});
    return detail::recorded_beside(
        std::tie(x, b), result,
        [routes, bias, of_rows = detail::slot_of(x), of_bias = detail::slot_of(b)](auto const& gradient) {
          of_rows.add(gradient);
          if constexpr (detail::wants_gradient<decltype(of_bias)>) vjp_bias(routes, bias, gradient, of_bias);
        });
  }

 private:
  /// Requires the rows of the routes, and what each expert has, of these extents.
  template <AnyTensor Rows, AnyTensor Own>
  void require_experts(std::string_view operation, Rows const& rows, std::string_view role, Own const& own,
                       Extents const& extents) const {
    routes_.exchange().require_rows(operation, rows);
    gshard::detail::require_on_mesh(operation, {role, own}, rows.mesh());
    gshard::detail::require_extents(operation, {role, own}, extents, "as of the experts and the rows");
  }

  template <AnyTensor Matrices>
  static detail::Grouped shape_of(Routes const& routes, Matrices const& matrices) {
    return {routes.exchange().ends(), matrices.local_extent(1), matrices.local_extent(2)};
  }

  template <AnyTensor Rows, AnyTensor Weight, AnyTensor Gradient, class RowsSlot, class WeightSlot>
  static void vjp_product(Routes const& routes, Rows const& rows, Weight const& weight, Gradient const& gradient,
                          RowsSlot const& of_rows, WeightSlot const& of_weight) {
    using T = typename Rows::value_type;
    static constexpr Layout held = held_weight(Rows::layout, Weight::layout);
    using ReshardedWeight = with_layout<Weight, held>;
    using RowsPart = with_layout<Rows, layout_of_rows(Rows::layout, held.dimensions[1], set_of(held.dimensions[2]))>;
    using WeightPart = with_layout<Weight, sum_over(held, summed)>;
    ReshardedWeight const matrices = gshard::detail::reshard_or_share<typename ReshardedWeight::spec_type>(weight);
    detail::Grouped const shape = shape_of(routes, matrices);
    Scratch<MemorySpace> scratch(rows.memory());
    if constexpr (detail::wants_gradient<RowsSlot>) {
      RowsPart rows_part(uninitialized, rows.mesh(), rows.extents());
      record_product(rows.mesh(), shape, sizeof(T));
      detail::grouped_product_rows_backward<MemorySpace, T>(shape, gradient.data(), matrices.data(), rows_part.data(),
                                                            scratch);
      of_rows.add_part(std::move(rows_part));
    }
    if constexpr (detail::wants_gradient<WeightSlot>) {
      WeightPart weight_part(uninitialized, rows.mesh(), weight.extents());
      record_product(rows.mesh(), shape, sizeof(T));
      detail::grouped_product_matrices_backward<MemorySpace, T>(shape, rows.data(), gradient.data(), weight_part.data(),
                                                                scratch);
      of_weight.add_part(std::move(weight_part));
    }
  }

  template <AnyTensor Bias, AnyTensor Gradient, class Slot>
  static void vjp_bias(Routes const& routes, Bias const& bias, Gradient const& gradient, Slot const& of_bias) {
    using Part = with_layout<Bias, sum_over(Bias::layout, summed)>;
    Part part(uninitialized, bias.mesh(), bias.extents());
    Scratch<MemorySpace> scratch(bias.memory());
    detail::record_kernel("expert bias gradient", part, gradient);
    detail::grouped_sums<MemorySpace, typename Bias::value_type>({routes.exchange().ends(), 0, bias.local_extent(1)},
                                                                 gradient.data(), part.data(), scratch);
    of_bias.add_part(std::move(part));
  }

  static void record_product(Mesh const& mesh, detail::Grouped const& shape, std::size_t element) {
    std::int64_t const experts = static_cast<std::int64_t>(shape.ends.size());
    std::int64_t const elements =
        shape.rows() * (shape.inputs + shape.outputs) + experts * shape.inputs * shape.outputs;
    mesh.memory().ledger().add_work("grouped product", 2 * shape.rows() * shape.inputs * shape.outputs,
                                    elements * static_cast<std::int64_t>(element));
  }

  Routes routes_;
};

}  // namespace gshard::nn
