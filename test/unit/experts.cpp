// SPDX-License-Identifier: Apache-2.0
// The experts of a mixture on rows in slots (E, G, C, M), in every way that axes can split them, against loops over
// whole tensors.
#include <algorithm>
#include <cmath>
#include <cstdint>
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

Values experts_of(std::vector<Dense> const& in, bool gated, bool has_bias) {
  std::size_t next = 1;
  Values const gate = gated ? linear(in, next, in[0].values, has_bias) : Values{};
  Values hidden = linear(in, next, in[0].values, has_bias);
  for (std::size_t i = 0; i < hidden.size(); ++i)
    hidden[i] = gated ? gate[i] / (1 + std::exp(-gate[i])) * hidden[i] : std::max(hidden[i], 0.);
  return linear(in, next, hidden, has_bias);
}

template <class Held, template <class, class, class, class> class Experts>
void check_experts(Grid const& grid, std::int64_t experts, bool gated, bool has_bias) {
  INFO(experts, " experts", gated ? ", gated" : "", has_bias ? ", with bias" : "");
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
      [&](std::vector<Dense> const& in) { return experts_of(in, gated, has_bias); });
}

}  // namespace

TEST_CASE_TEMPLATE("experts, relu and gated, with and without bias: values and all gradients", Held, ByExpert,
                   ByAllRanks, ByHiddenUnit, ByExpertAndHiddenUnit, InPieces, ByExpertInPieces, ByHiddenUnitInPieces) {
  on_every_grid([](Grid const& grid) {
    for (std::int64_t experts : {1, 3, 8}) {  // fewer than ranks, uneven, several on a rank
      check_experts<Held, nn::ReluExperts>(grid, experts, false, false);
      check_experts<Held, nn::BiasedGatedExperts>(grid, experts, true, true);
    }
    check_experts<Held, nn::BiasedReluExperts>(grid, 2, false, true);
    check_experts<Held, nn::GatedExperts>(grid, 2, true, false);
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
