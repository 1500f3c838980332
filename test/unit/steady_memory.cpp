// SPDX-License-Identifier: Apache-2.0
// The memory of training steps of a small Transformer: none is allocated once the shapes have been seen, and what is
// held at once stays near what has to be.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/transformer/transformer.hpp>
#include <gshard/optim/adamw.hpp>

#include "layer_test.hpp"
#include "sentences.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Model = nn::Transformer<Grid, ByExpert>;
using Side = Model::Side;

std::int64_t allocations = 0;

/// Counts what is asked of Kokkos, by the pool, by views or by kernels, while it lives.
struct CountedAllocations {
  Kokkos::Tools::Experimental::EventSet const before = Kokkos::Tools::Experimental::get_callbacks();

  CountedAllocations() {
    allocations = 0;
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos_Profiling_SpaceHandle, char const*, void const*, std::uint64_t) { ++allocations; });
  }
  ~CountedAllocations() { Kokkos::Tools::Experimental::set_callbacks(before); }
};

std::map<std::string, std::int64_t> fences;

/// Counts the fences of gshard by their reasons while it lives.
struct CountedFences {
  Kokkos::Tools::Experimental::EventSet const before = Kokkos::Tools::Experimental::get_callbacks();

  CountedFences() {
    fences.clear();
    Kokkos::Tools::Experimental::set_begin_fence_callback([](char const* reason, std::uint32_t, std::uint64_t*) {
      if (std::string_view(reason).starts_with("gshard")) ++fences[reason];
    });
  }
  ~CountedFences() { Kokkos::Tools::Experimental::set_callbacks(before); }
};

/// A model, its optimizer, and batches of `groups` groups of four sentences of up to `places` words.
struct Training {
  Model model;
  Side source, target, spoken;
  double words;
  optim::AdamW<> optimizer{{.max_norm = 1}};
  std::uint64_t steps = 0;

  Training(Grid const& grid, nn::TransformerOptions const& options, std::int64_t groups, int places)
      : model(grid, options, 4),
        source(side(grid, groups, places, 1)),
        target(side(grid, groups, places, 2)),
        spoken(side(grid, groups, places, 3)),
        words(static_cast<double>(sum(target.real))) {}

  static Side side(Grid const& grid, std::int64_t groups, int places, int seed) {
    std::vector<int> ids, lengths;
    for (int sentence = 0; sentence < 4 * groups; ++sentence) {
      lengths.push_back(places - (sentence + seed) % 3);
      for (int place = 0; place < places; ++place) ids.push_back((sentence * 5 + place * 3 + seed) % 32);
    }
    return sentences_of<Side>(grid, groups, ids, lengths);
  }

  /// A step, with random numbers of its own; what is in use between the forward and the backward pass.
  std::int64_t step() {
    Tape tape;
    auto const output = model(tape, source, target, nn::RandomStream{6, steps++ << 16});
    auto const loss = eval(nn::cross_entropy(output.logits, spoken.ids, words, .1) + output.balance_loss * .01);
    std::int64_t const in_use = source.ids.memory().ledger().bytes_in_use();
    tape.backward(loss);
    optimizer.step(model, 1e-3);
    return in_use;
  }

  /// Bytes of this rank's blocks of the parameters.
  std::int64_t parameter_bytes() {
    std::int64_t bytes = 0;
    model.for_each_parameter([&](auto const& parameter) { bytes += gshard::detail::block_bytes(parameter.value); });
    return bytes;
  }
};

nn::TransformerOptions small() {
  nn::TransformerOptions options;
  options.vocabulary = 32;
  options.max_length = 16;
  options.model = 32;
  options.hidden = 128;
  options.heads = 4;
  options.encoder_layers = 4;
  options.decoder_layers = 4;
  options.experts = 4;
  options.dropout = {.1, .1, .1};
  return options;
}

}  // namespace

TEST_CASE("steady training steps allocate nothing") {
  on_every_grid([](Grid const& grid) {
    Training training(grid, small(), 3, 5);
    // The first step makes the optimizer's state as well, which may take what the second one needs.
    training.step();
    training.step();
    CountedAllocations const counted;
    for (int i = 0; i < 5; ++i) training.step();
    CHECK(allocations == 0);
    Kokkos::View<float*> const seen("seen", 10);
    CHECK(allocations == 1);
  });
}

// Kernels run in the order in which they are launched, so nothing waits for them but MPI and the host.
TEST_CASE("steady training steps wait for kernels before messages and before the host reads, and nowhere else") {
  on_every_grid([](Grid const& grid) {
    Training training(grid, small(), 3, 5);
    training.step();
    Ledger& ledger = grid.memory().ledger();
    ledger.clear();
    ledger.open();
    CountedFences const counted;
    training.step();
    ledger.close();
    std::int64_t messages = 0;
    for (Ledger::Traffic const& entry : ledger.traffic()) messages += entry.calls;
    std::int64_t before_messages = 0;
    for (auto const& [reason, count] : fences) {
      INFO("reason: ", reason);
      bool const is_before_message = reason.ends_with("before communication") || reason.ends_with("is computed");
      CHECK((is_before_message || reason == "gshard: elements are read on the host"));
      before_messages += is_before_message ? count : 0;
    }
    CHECK(before_messages <= messages);
  });
}

// Counted by the ledger, which sees every tensor and every temporary of an operation: the most bytes in use at once
// during a step, without the batch itself. Parameters, gradients and the optimizer's state are four times the
// parameters. The activations kept for the backward pass are what is in use after the forward pass, and was not before.
// What the pool has taken for all of it, in blocks that serve again and again, is held against the same bound.
TEST_CASE(
    "the peak of a training step is at most 1.3 times parameters, gradients, optimizer state and the activations kept for the backward pass") {
  for (auto const& sizes : all_grids())
    for (std::int64_t vocabulary : {32, 1024})
      for (std::int64_t groups : {1, 4, 16})
        on_ranks(ranks(), [&](Runtime& fresh) {
          Grid const grid(fresh, sizes);
          Ledger& ledger = grid.memory().ledger();
          nn::TransformerOptions options = small();
          options.vocabulary = vocabulary;
          Training training(grid, options, groups * ranks(), 16);
          std::int64_t const parameters = training.parameter_bytes();
          std::int64_t const batch = ledger.bytes_in_use() - parameters;
          training.step();
          std::int64_t const before = ledger.bytes_in_use();
          CHECK(before == batch + 3 * parameters);
          ledger.clear();
          std::int64_t const kept = training.step() - before;
          CHECK(ledger.bytes_in_use() == before);
          auto const ratio = [&](std::int64_t bytes) {
            return static_cast<double>(bytes - batch) / static_cast<double>(4 * parameters + kept);
          };
          INFO("mesh ", grid.text(), ", ", vocabulary, " words, ", groups, " groups on a rank: parameters ", parameters,
               ", activations ", kept);
          CHECK(ratio(ledger.peak_bytes()) <= 1.3);
          CHECK(ratio(static_cast<std::int64_t>(grid.memory().bytes_reserved<Kokkos::HostSpace>())) <= 1.3);
        });
}
