// SPDX-License-Identifier: Apache-2.0
// The experts of a mixture on rows in slots (E, G, C, M), in every way that axes can split them, against loops over
// whole tensors.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <gshard/nn/moe/experts.hpp>

#include "expert_layouts.hpp"
#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

// ---- What splits what ----

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
struct ByAllRanks : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "data,expert";
};
struct ByHiddenUnitInPieces : nn::Parallelism {
  static constexpr AxisNames tokens = "data", model = "expert", parameters = "data";
};

// ---- The experts as loops: in[0] is the slots (E, G, C, M), then the parameters in their order ----

/// rows (E, R, K) times in[next] (E, K, N), plus in[next + 1] (E, N) where there is a bias.
Values linear(std::vector<Dense> const& in, std::size_t& next, Values const& rows, bool has_bias) {
  Dense const& weight = in[next++];
  auto const experts = static_cast<std::size_t>(weight.extents[0]),
             inputs = static_cast<std::size_t>(weight.extents[1]);
  auto const outputs = static_cast<std::size_t>(weight.extents[2]);
  std::size_t const each = rows.size() / (experts * inputs);
  Values result;
  for (std::size_t row = 0; row < experts * each; ++row)
    for (std::size_t n = 0; n < outputs; ++n) {
      double sum = has_bias ? in[next].values[row / each * outputs + n] : 0;
      for (std::size_t k = 0; k < inputs; ++k)
        sum += rows[row * inputs + k] * weight.values[(row / each * inputs + k) * outputs + n];
      result.push_back(sum);
    }
  if (has_bias) ++next;
  return result;
}

using Activation = double (*)(double);
double swish(double x) { return x / (1 + std::exp(-x)); }
double gelu_of(double x) { return x * (1 + std::erf(x / std::sqrt(2.))) / 2; }
double relu_of(double x) { return std::max(x, 0.); }

/// `gate_activation` is null where no third linear layer gates the hidden units.
Values experts_of(std::vector<Dense> const& in, Activation gate_activation, bool has_bias) {
  std::size_t next = 1;
  Values const gate = gate_activation != nullptr ? linear(in, next, in[0].values, has_bias) : Values{};
  Values hidden = linear(in, next, in[0].values, has_bias);
  for (std::size_t i = 0; i < hidden.size(); ++i)
    hidden[i] = gate_activation != nullptr ? gate_activation(gate[i]) * hidden[i] : relu_of(hidden[i]);
  return linear(in, next, hidden, has_bias);
}

template <class Held, template <class, class, class, class> class Experts>
void check_experts(Grid const& grid, std::int64_t experts, Activation gate_activation, bool has_bias) {
  INFO(experts, " experts", gate_activation != nullptr ? ", gated" : "", has_bias ? ", with bias" : "");
  using Slots =
      ShardedTensor<Grid, Spec<Held::experts, nn::detail::names_without(Held::tokens, Held::experts), _, _>, double>;
  nn::Initializer initializer(7);
  nn::MixtureOptions const options{experts, 3, 4, {}};
  Experts<Grid, Held, double, Kokkos::HostSpace> layer(grid, initializer, options);
  std::int64_t seed = 20;
  layer.for_each_parameter([&](auto& parameter) { fill_by_position(parameter.value, ++seed, smooth); });
  check_layer<Slots>(
      grid, layer, {smooth_values({experts, 3, 2, 3}, 1)},
      [](auto& in, auto const& slots) { return in(slots, nn::BySlots{}); },
      [&](std::vector<Dense> const& in) { return experts_of(in, gate_activation, has_bias); });
}

}  // namespace

TEST_CASE_TEMPLATE("experts, relu and gated, with and without bias: values and all gradients", Held, ByExpert,
                   ByAllRanks, ByHiddenUnit, ByExpertAndHiddenUnit, InPieces, ByExpertInPieces, ByHiddenUnitInPieces) {
  on_every_grid([](Grid const& grid) {
    for (std::int64_t experts : {1, 3, 8}) {  // fewer than ranks, uneven, several on a rank
      check_experts<Held, nn::ReluExperts>(grid, experts, nullptr, false);
      check_experts<Held, nn::BiasedGatedExperts>(grid, experts, swish, true);
    }
    check_experts<Held, nn::BiasedReluExperts>(grid, 2, nullptr, true);
    check_experts<Held, nn::GatedExperts>(grid, 2, swish, false);
  });
}

TEST_CASE("experts gated by gelu (GEGLU) and by relu (ReGLU): values and all gradients") {
  on_every_grid([](Grid const& grid) {
    check_experts<ByExpert, nn::GegluExperts>(grid, 3, gelu_of, false);
    check_experts<ByExpert, nn::RegluExperts>(grid, 3, relu_of, false);
  });
}

TEST_CASE_TEMPLATE("gated linear units: activation(gate) * linear and both derivatives", Unit, nn::detail::SwiGlu,
                   nn::detail::GeGlu, nn::detail::ReGlu) {
  using Rows = ShardedTensor<Grid, Spec<"data,expert", _>, double>;
  Activation const activation = std::is_same_v<Unit, nn::detail::SwiGlu>  ? swish
                                : std::is_same_v<Unit, nn::detail::GeGlu> ? gelu_of
                                                                          : relu_of;
  on_every_grid([&](Grid const& grid) {
    check_operation<Rows, Rows>(
        grid, {smooth_values({5, 4}, 1), smooth_values({5, 4}, 2)},
        [](auto const& gate, auto const& linear) { return eval(map(Unit{}, gate, linear)); },
        [&](std::vector<Dense> const& in) {
          Values result = in[1].values;
          for (std::size_t i = 0; i < result.size(); ++i) result[i] *= activation(in[0].values[i]);
          return result;
        });
  });
}

// ---- The plan ----

namespace {

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;

// Experts on their own ranks move nothing; weights in pieces are gathered, and nothing else; hidden units that are
// split cost one sum.
static_assert(plan_of<"egck,ekn->egcn", On<"expert", "data", _, _>, Movable<On<"expert", _, _>>>.total() == 0);
constexpr auto in_pieces = plan_of<"egck,ekn->egcn", On<"expert", "data", _, _>, Movable<On<"expert", "data", _>>>;
static_assert(in_pieces.all_gather == 1 && in_pieces.total() == 1);
static_assert(plan_of<"egck,ekn->egcn", On<_, "data", _, _>, Movable<On<_, _, "expert">>>.total() == 0);
constexpr auto split_hidden = plan_of<"egck,ekn->egcn", On<_, "data", _, "expert">, Movable<On<_, "expert", _>>>;
static_assert(split_hidden.all_reduce == 1 && split_hidden.total() == 1);

}  // namespace
