// SPDX-License-Identifier: Apache-2.0
// Gradients of micro-batches add up as unreduced sums, and are reduced once.
#include <cstdint>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/nn/embedding.hpp>
#include <gshard/nn/feed_forward.hpp>
#include <gshard/nn/layer_norm.hpp>
#include <gshard/nn/rms_norm.hpp>
#include <gshard/reduce.hpp>

#include "counted_mpi.hpp"
#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

// No rank is without a share of any parameter, on up to 8 ranks.
constexpr int vocabulary = 5, model_size = 24, hidden_size = 24, places = 3;

/// embedding, norm, feed-forward, layer norm, and a weight for each word: a table, which is used at both ends, and five
/// other parameters.
template <class Layout>
struct Model {
  Parameter<ShardedTensor<Grid, Spec<_, _>, double>> table;
  nn::RmsNorm<Grid, Layout, double> first_norm;
  nn::FeedForward<Grid, Layout, double> inner;
  nn::LayerNorm<Grid, Layout, double> last_norm;

  explicit Model(Grid const& grid) : Model(grid, nn::Initializer(3)) {}
  Model(Grid const& grid, nn::Initializer initializer)
      : table(initializer.normal<ShardedTensor<Grid, Spec<_, _>, double>>(grid, {vocabulary, model_size}, 1, "table")),
        first_norm(grid, initializer, model_size),
        inner(grid, initializer, model_size, hidden_size),
        last_norm(grid, initializer, model_size) {}

  using Ids = Integers<Spec<Layout::tokens, _>>;

  /// The sum over all words of the squared logits, each times a number.
  auto loss(Tape& tape, Ids const& ids, bool again) {
    auto const block = [this](auto const& in) { return eval(in + inner(first_norm(in))); };
    auto const words = nn::embedding(tape.watch(table), ids);
    auto const x = last_norm(again ? recompute(block, words) : block(words));
    return sum(square(eval(einsum<"gsm,vm->gsv">(x, bind(table, x)))));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(table);
    first_norm.for_each_parameter(visit);
    inner.for_each_parameter(visit);
    last_norm.for_each_parameter(visit);
  }

  /// The gradients, which are forgotten.
  std::vector<Values> gradients() {
    std::vector<Values> result;
    for_each_parameter([&](auto& parameter) {
      REQUIRE(parameter.has_gradient());
      result.push_back(collected(parameter.gradient));
      parameter.clear_gradient();
    });
    return result;
  }
};

std::vector<int> ids_of(int batch, int groups) {
  std::vector<int> ids;
  for (int i = 0; i < groups * places; ++i) ids.push_back((7 * (batch * groups * places + i) + batch) % vocabulary);
  return ids;
}

struct ByData : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert";
};
struct InPieces : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", parameters = "data";
};
struct ByDataAndModel : nn::Parallelism {
  static constexpr AxisNames tokens = "data", model = "expert";
};

/// Four micro-batches of `groups` groups, and the same as one batch.
template <class Layout>
void check_accumulation(Grid const& grid, int groups, bool again, std::int64_t all_reduces,
                        std::int64_t reduce_scatters, std::int64_t reduced_in_pass) {
  using Ids = typename Model<Layout>::Ids;
  Model<Layout> model(grid);
  constexpr int batches = 4;
  std::vector<int> all;
  for (int batch = 0; batch < batches; ++batch)
    for (int id : ids_of(batch, groups)) all.push_back(id);
  Tape whole;
  whole.backward(model.loss(whole, integers<typename Ids::spec_type>(grid, {batches * groups, places}, all), false));
  auto const right = model.gradients();

  Accumulation sums;
  for (int batch = 0; batch < batches; ++batch) {
    Tape tape(sums);
    auto const loss =
        model.loss(tape, integers<typename Ids::spec_type>(grid, {groups, places}, ids_of(batch, groups)), again);
    counted_mpi() = {};
    tape.backward(loss);
    CHECK(counted_mpi().all_reduce.calls == reduced_in_pass);
    CHECK(counted_mpi().reduce_scatter.calls == 0);
  }
  counted_mpi() = {};
  sums.reduce();
  CHECK(counted_mpi().all_reduce.calls == all_reduces);
  CHECK(counted_mpi().reduce_scatter.calls == reduce_scatters);
  CHECK(counted_mpi().all_gather.calls + counted_mpi().all_to_all.calls + counted_mpi().send.calls == 0);

  auto const found = model.gradients();
  for (std::size_t i = 0; i < right.size(); ++i) {
    INFO("parameter ", i);
    CHECK(difference(found[i], right[i], 1e-12) == "");
  }
}

}  // namespace

TEST_CASE("data parallel: nothing is sent in the backward passes, and one all-reduce for each parameter in the end") {
  on_every_grid([](Grid const& grid) {
    for (int groups : {1, 3, 8})
      for (bool again : {false, true}) {
        INFO(groups, " groups, again: ", again);
        check_accumulation<ByData>(grid, groups, again, ranks() > 1 ? 6 : 0, 0, 0);
      }
  });
}

TEST_CASE("weights in pieces: they are gathered for each pass, and their gradients are scattered once") {
  on_every_grid([](Grid const& grid) {
    int const data = grid.size(0), expert = grid.size(1);
    check_accumulation<InPieces>(grid, 8, false, (ranks() > 1 ? 4 : 0) + (expert > 1 ? 2 : 0), data > 1 ? 2 : 0, 0);
  });
}

TEST_CASE(
    "data and tensor parallel: the sums of activations are reduced in each pass, those of parameters once, over the data axis alone") {
  on_every_grid([](Grid const& grid) {
    int const data = grid.size(0), expert = grid.size(1);
    check_accumulation<ByDataAndModel>(grid, 8, false, data > 1 ? 6 : 0, 0, expert > 1 ? 1 : 0);
  });
}

TEST_CASE("what has been reduced is forgotten, and gradients add up over reductions as over passes") {
  on_every_grid([](Grid const& grid) {
    Model<ByData> model(grid);
    using Ids = Model<ByData>::Ids;
    auto const ids = integers<Ids::spec_type>(grid, {3, places}, ids_of(0, 3));
    Tape once;
    once.backward(model.loss(once, ids, false));
    auto const right = model.gradients();
    Accumulation sums;
    for (int times = 0; times < 2; ++times) {
      Tape tape(sums);
      tape.backward(model.loss(tape, ids, false));
      sums.reduce();
      sums.reduce();
    }
    auto const found = model.gradients();
    for (std::size_t i = 0; i < right.size(); ++i) {
      Values twice = right[i];
      for (double& element : twice) element *= 2;
      CHECK(difference(found[i], twice, 1e-12) == "");
    }
  });
}
