// SPDX-License-Identifier: Apache-2.0
// The models of the paper on as many devices as they were trained on.
#include <cstdint>
#include <string>

#include <gshard/nn.hpp>
#include <gshard/optim.hpp>

#include "mpi_test.hpp"

namespace {

using namespace gshard;

using Devices = Mesh<Axis<"device">>;
struct ByDevice : nn::Parallelism {
  static constexpr AxisNames tokens = "device", experts = "device";
};
using Model = nn::Transformer<Devices, ByDevice, nn::TransformerParts, float, AbstractSpace>;

/// The models of the paper (3.4), by experts and layers. One table embeds both vocabularies.
Model paper_model(Devices const& mesh, std::int64_t experts, std::int64_t layers) {
  return Model(mesh,
               {.vocabulary = 64000 + 32000,
                .max_length = 1024,
                .model = 1024,
                .hidden = 8192,
                .heads = 16,
                .head_size = 128,
                .encoder_layers = layers / 2,
                .decoder_layers = layers / 2,
                .experts = experts},
               1);
}

}  // namespace

TEST_CASE("T63: the parameters of the paper's models, from 12.5 billion to a trillion") {
  struct Row {
    int experts;
    int layers;
    std::int64_t parameters;
  };
  for (Row const& row : {Row{2048, 36, 619366318080},
                         {2048, 12, 206520975360},
                         {512, 36, 155481538560},
                         {512, 12, 51892715520},
                         {128, 36, 39510343680},
                         {128, 12, 13235650560},
                         {2048, 60, 1032211660800}}) {
    INFO(row.experts, " experts, ", row.layers, " layers");
    AbstractRuntime machine;
    Model model = paper_model(Devices(machine, {row.experts}), row.experts, row.layers);
    std::int64_t in_experts = 0;
    std::int64_t in_gates = 0;
    std::int64_t not_in_figures = 0;
    model.for_each_parameter([&](auto const& parameter) {
      std::string const& name = parameter.value.name();
      if (name == "expert wi" || name == "expert wo") in_experts += parameter.value.size();
      if (name == "gate") in_gates += parameter.value.size();
      if (name == "norm gain" || name == "positions") not_in_figures += parameter.value.size();
    });
    CHECK(model.parameters() - not_in_figures == row.parameters);
    CHECK(in_experts == std::int64_t{row.experts} * (row.layers / 2) * 16777216);
    CHECK(in_gates == std::int64_t{row.experts} * (row.layers / 2) * 1024);
  }
}

TEST_CASE("a training step of the model of 600 billion parameters on 2048 devices") {
  AbstractRuntime machine;
  Devices const mesh(machine, {2048});
  Model model = paper_model(mesh, 2048, 36);
  using Integers = typename Model::Side::Integers;
  std::int64_t const groups = 2048, sentences = 8, words = 128;
  auto side = [&] {
    return
        typename Model::Side{Integers(mesh, {groups, sentences * words}), Integers(mesh, {groups, sentences * words}),
                             Integers(mesh, {groups, sentences * words}), Integers(mesh, {groups, sentences})};
  };
  optim::AdamW<> adam;
  Tape tape;
  auto const output = model(tape, side(), side(), nn::RandomStream{1, 1});
  tape.backward(eval(nn::cross_entropy(output.logits, side().ids, 1, 0.1) + output.balance_loss * 0.01));
  adam.step(model, 0.001);
  CHECK(machine.ledger().calls(Collective::all_gather) == 0);
  CHECK(machine.ledger().calls(Collective::all_to_all) == 18 * 4);  // there and back, forward and backward
  // Weights, gradients and two moments of a device's own expert in each layer, at least.
  CHECK(machine.ledger().peak_bytes() > 4 * 4 * 618475290624 / 2048);
}
