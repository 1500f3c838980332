// SPDX-License-Identifier: Apache-2.0
// Programs on meshes without ranks: their ledger is that of the same program on real ones, and stays small where the
// mesh grows.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gshard/cost.hpp>
#include <gshard/index.hpp>
#include <gshard/nn.hpp>
#include <gshard/optim.hpp>
#include <gshard/reshard.hpp>
#include <gshard/spatial.hpp>

#include "dense_reference.hpp"
#include "mpi_test.hpp"
#include "two_ledgers.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;
using Kokkos::HostSpace;

template <class Space, AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, float, Space>;

// ---- The same program, really and abstractly

/// Every kind of movement.
template <class Space>
void reshards(TwoAxes const& mesh) {
  On<Space, "x", _> const x(mesh, {24, 48});
  auto const all = replicate(x);                          // all-gather
  auto const moved = reshard<Spec<_, "x">>(x);            // all-to-all
  auto const both = reshard<Spec<"x,y", _>>(x);           // slice
  auto const turned = reshard<Spec<"y,x", _>>(both);      // permute or exchange
  auto const elsewhere = reshard<Spec<"y", "x">>(moved);  // slice
  auto const back = reshard<Spec<"x", "y">>(elsewhere);   // exchange
  On<Space, _, _, partial("x")> const parts(mesh, {24, 48});
  auto const sum = reshard<Spec<_, _>>(parts);          // all-reduce
  auto const scattered = reshard<Spec<"x", _>>(parts);  // reduce-scatter
}

/// A matrix product with data-parallel gradients, and one with weights that are gathered for use.
template <class Space>
void products(TwoAxes const& mesh) {
  Tape tape;
  auto const x = tape.watch(On<Space, "x", _>(mesh, {24, 8}));
  auto const w = tape.watch(On<Space, _, _>(mesh, {8, 16}));
  auto const shared = tape.watch(On<Space, "x", _>(mesh, {24, 16}));
  auto const y = eval(relu(einsum<"ab,bc->ac">(x, w)));
  auto const z = eval(einsum<"ac,dc->ad">(y, movable(shared)));
  tape.backward(mean(z));
  auto const gradient = tape.gradient(w);
}

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "x,y", experts = "y";
};

/// A Mixture-of-Experts layer and a step of its optimizer.
template <class Space>
void mixture(TwoAxes const& mesh) {
  nn::Initializer initializer(1);
  nn::MixtureOfExperts<TwoAxes, ByExpert, nn::Top2Gate, nn::ReluExperts, float, Space> layer(
      mesh, initializer, {.experts = 24, .model = 8, .hidden = 16});
  On<Space, "x,y", _, _> const x(mesh, {24, 6, 8});
  ShardedTensor<TwoAxes, Spec<"x,y", _>, int, Space> const real(mesh, {24, 6});
  optim::AdamW<> adam;
  Tape tape;
  auto const result = layer(tape.watch(x), real, nn::RandomStream{1, 2});
  tape.backward(eval(mean(result.output * result.output) + result.balance_loss));
  adam.step(layer, 0.1);
}

/// Halos, in a convolution with its gradient.
template <class Space>
void convolutions(TwoAxes const& mesh) {
  Tape tape;
  auto const x = tape.watch(On<Space, _, "x", "y", _>(mesh, {2, 24, 24, 3}));
  auto const w = tape.watch(On<Space, _, _, _, _>(mesh, {3, 3, 3, 4}));
  tape.backward(mean(eval(convolution(x, w, {.low = {1, 1}, .high = {1, 1}}))));
}

}  // namespace

TEST_CASE(
    "what a program asks of a rank is the same on real and on abstract meshes: work, messages, bytes and memory") {
  for (auto const& shape : two_axis_shapes()) {
    TwoMeshes<TwoAxes> meshes(shape);
    INFO("mesh (", meshes.real.text(), ")");
    check_same_ledgers(meshes,
                       []<class Space>(std::type_identity<Space>, TwoAxes const& mesh) { reshards<Space>(mesh); });
    check_same_ledgers(meshes,
                       []<class Space>(std::type_identity<Space>, TwoAxes const& mesh) { products<Space>(mesh); });
    check_same_ledgers(meshes,
                       []<class Space>(std::type_identity<Space>, TwoAxes const& mesh) { mixture<Space>(mesh); });
    check_same_ledgers(meshes,
                       []<class Space>(std::type_identity<Space>, TwoAxes const& mesh) { convolutions<Space>(mesh); });
  }
}

// ---- Large machines

namespace {

using Devices = Mesh<Axis<"device">>;

template <AxisNames... Entries>
using Far = ShardedTensor<Devices, Spec<Entries...>, float, AbstractSpace>;

/// Algorithm 2's five einsums on one group and one expert a device, C slots.
Ledger layer_on(std::int64_t devices, std::int64_t S, std::int64_t C, std::int64_t M, std::int64_t H) {
  AbstractRuntime machine;
  Devices const mesh(machine, {static_cast<int>(devices)});
  Far<"device", _, _> const x(mesh, {devices, S, M});
  Far<_, _> const gate(mesh, {M, devices});
  Far<"device", _, _, _> const mask(mesh, {devices, S, devices, C});
  Far<"device", _, _> const wi(mesh, {devices, M, H});
  Far<"device", _, _> const wo(mesh, {devices, H, M});
  machine.ledger().clear();
  auto const gates = eval(einsum<"gsm,me->gse">(x, gate));
  Far<"device", _, _, _> const sent = einsum<"gsec,gsm->egcm">(mask, x);
  auto const hidden = eval(relu(einsum<"egcm,emh->egch">(sent, wi)));
  Far<"device", _, _, _> const back = einsum<"egch,ehm->gecm">(hidden, wo);
  auto const y = eval(einsum<"gsec,gecm->gsm">(mask, back));
  return machine.ledger();
}

}  // namespace

TEST_CASE("T28: the flops of the paper's layer with G = S = 1024, E = 512, C = 4, M = 1024, H = 8192") {
  // Counted on a mesh of one device, where the whole is one block.
  AbstractRuntime machine;
  Devices const mesh(machine, {1});
  std::int64_t const G = 1024, S = 1024, E = 512, C = 4, M = 1024, H = 8192;
  Far<_, _, _> const x(mesh, {G, S, M});
  Far<_, _, _, _> const mask(mesh, {G, S, E, C});
  eval(einsum<"gsm,me->gse">(x, Far<_, _>(mesh, {M, E})));
  eval(einsum<"gsec,gsm->egcm">(mask, x));
  eval(einsum<"egcm,emh->egch">(Far<_, _, _, _>(mesh, {E, G, C, M}), Far<_, _, _>(mesh, {E, M, H})));
  std::vector<std::int64_t> flops;
  for (auto const& work : machine.ledger().work()) flops.push_back(work.flops);
  CHECK(flops == std::vector<std::int64_t>{1099511627776, 4398046511104, 35184372088832});
}

TEST_CASE(
    "T29: the flops of a small layer: gate 512, dispatch and combine 1024, each matrix product of the experts 4096") {
  AbstractRuntime machine;
  Devices const mesh(machine, {1});
  std::int64_t const G = 2, S = 4, E = 4, C = 2, M = 8, H = 16;
  Far<_, _, _> const x(mesh, {G, S, M});
  Far<_, _, _, _> const mask(mesh, {G, S, E, C});
  eval(einsum<"gsm,me->gse">(x, Far<_, _>(mesh, {M, E})));
  auto const sent = eval(einsum<"gsec,gsm->egcm">(mask, x));
  auto const hidden = eval(einsum<"egcm,emh->egch">(sent, Far<_, _, _>(mesh, {E, M, H})));
  auto const back = eval(einsum<"egch,ehm->gecm">(hidden, Far<_, _, _>(mesh, {E, H, M})));
  eval(einsum<"gsec,gecm->gsm">(mask, back));
  std::vector<std::int64_t> flops;
  for (auto const& work : machine.ledger().work()) flops.push_back(work.flops);
  CHECK(flops == std::vector<std::int64_t>{512, 1024, 4096, 4096, 1024});
}

TEST_CASE("work besides contractions: bytes of pointwise kernels, and two flops for each product in a window") {
  AbstractRuntime machine;
  Devices const mesh(machine, {4});
  Far<"device", _> const x(mesh, {8, 100});
  eval(relu(x * x + 1));  // one kernel: reads the 800 bytes of a block twice, writes it once
  auto const map = machine.ledger().work()[0];
  CHECK(map.operation == "map");
  CHECK(map.calls == 1);
  CHECK(map.bytes == 2400);
  eval(convolution(Far<_, "device", _, _>(mesh, {2, 8, 24, 3}), Far<_, _, _, _>(mesh, {3, 3, 3, 5}),
                   {.low = {1, 1}, .high = {1, 1}}));
  auto const convolved = machine.ledger().work()[1];
  CHECK(convolved.operation == "convolution");
  CHECK(convolved.flops == 2 * (2 * 2 * 24 * 5) * 27);  // y's block (2, 2, 24, 5), 3 x 3 x 3 products each
}

TEST_CASE("work besides contractions: bytes of kernels that sort, take and pool") {
  AbstractRuntime machine;
  Devices const mesh(machine, {4});
  Far<"device", _> const x(mesh, {8, 100});  // blocks of 800 bytes
  using Ids = ShardedTensor<Devices, Spec<_>, int, AbstractSpace>;
  Ids const ids(mesh, {25});
  sort<1>(x);
  take<1>(x, ids);
  scatter_add<1>(x, ids, Far<"device", _>(mesh, {8, 25}));
  Far<"device", _, _> const rows(mesh, {8, 10, 3});  // blocks of 240 bytes
  max_pool(rows, {.window = {2}});
  average_pool(rows, {.window = {2}});
  std::vector<std::pair<std::string, std::int64_t>> bytes;
  for (auto const& work : machine.ledger().work()) bytes.emplace_back(work.operation, work.bytes);
  using Row = std::pair<std::string, std::int64_t>;
  for (Row const& row :
       {Row{"sort", 1600}, Row{"take_along", 2400}, Row{"take", 2 * 200 + 100}, Row{"scatter_add", 3 * 200 + 100},
        Row{"max_pool", 2 * 120 + 240}, Row{"average_pool", 120 + 240}}) {
    INFO(row.first);
    CHECK(std::ranges::find(bytes, row) != bytes.end());
  }
}

TEST_CASE("counted bytes stay at the largest 64-bit number instead of wrapping around") {
  AbstractRuntime machine;
  Devices const mesh(machine, {1});
  std::int64_t const rows = std::int64_t{1} << 59;  // 2^61 bytes of float
  Far<_> const x(mesh, {rows});
  eval(x + x * x);  // reads three blocks, writes one: 2^63 bytes
  CHECK(machine.ledger().work()[0].bytes == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("the paper's layer on thousands of devices: two all-to-alls, no all-gather, and the same work for each") {
  Ledger const small = layer_on(8, 1024, 1, 64, 128);
  for (std::int64_t devices : {2048, 16384}) {
    Ledger const large = layer_on(devices, 1024, 1, 64, 128);
    CHECK(large.calls(Collective::all_to_all) == 2);
    CHECK(large.calls(Collective::all_to_all) == small.calls(Collective::all_to_all));
    CHECK(large.traffic().size() == 1);
    CHECK(large.work()[2].flops == 2 * devices * 64 * 128);  // "egcm,emh->egch": one expert, a slot for each group
  }
}

TEST_CASE(
    "T41: an all-to-all of 8 MiB a rank sends pieces of 524288, 65536, 16384, 4096 bytes on 16, 128, 512, 2048 ranks") {
  for (auto const& [devices, piece] : {std::pair{16, 524288}, {128, 65536}, {512, 16384}, {2048, 4096}}) {
    AbstractRuntime machine;
    Devices const mesh(machine, {devices});
    Far<"device", _> const x(mesh, {2048, 1024 * std::int64_t{devices}});
    auto const moved = reshard<Spec<_, "device">>(x);
    CHECK(x.local_size() * 4 == 8 << 20);
    CHECK(machine.ledger().bytes_sent(Collective::all_to_all) == (devices - 1) * std::int64_t{piece});
  }
}

TEST_CASE(
    "T47: a ring of 4 with 4096 bytes sends 6144 in an all-reduce, 3072 in an all-gather, a reduce-scatter and an all-to-all") {
  AbstractRuntime machine;
  Devices const mesh(machine, {4});
  auto const sum = reshard<Spec<_>>(Far<_, partial("device")>(mesh, {1024}));
  auto const all = reshard<Spec<_>>(Far<"device">(mesh, {1024}));
  auto const scattered = reshard<Spec<"device">>(Far<_, partial("device")>(mesh, {1024}));
  auto const moved = reshard<Spec<_, "device">>(Far<"device", _>(mesh, {16, 256}));
  CHECK(machine.ledger().bytes_sent(Collective::all_reduce) == 6144);
  CHECK(machine.ledger().bytes_sent(Collective::all_gather) == 3072);
  CHECK(machine.ledger().bytes_sent(Collective::reduce_scatter) == 3072);
  CHECK(machine.ledger().bytes_sent(Collective::all_to_all) == 3072);
}

TEST_CASE("the peak of memory is what is held at once") {
  AbstractRuntime machine;
  Devices const mesh(machine, {4});
  {
    Far<"device", _> const x(mesh, {8, 100});  // 2 x 100 floats: 800 bytes
    auto const all = replicate(x);             // 3200 bytes more
    CHECK(machine.ledger().bytes_in_use() == 4000);
  }
  CHECK(machine.ledger().bytes_in_use() == 0);
  CHECK(machine.ledger().peak_bytes() == 4000);
}

TEST_CASE("abstract tensors and abstract meshes belong together, and each says so") {
  AbstractRuntime machine;
  TwoAxes const abstract_mesh(machine, {2, 3});
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  CHECK_THROWS_WITH_AS((On<HostSpace, "x">(abstract_mesh, {4})), doctest::Contains("give the tensor AbstractSpace"),
                       MeshError);
  CHECK_THROWS_WITH_AS((On<AbstractSpace, "x">(mesh, {4})), doctest::Contains("make the mesh from an AbstractRuntime"),
                       MeshError);
  AbstractRuntime stranger(6);
  CHECK_THROWS_WITH_AS(TwoAxes(stranger, {2, 3}), doctest::Contains("has no rank 6"), MeshError);
}

// ---- The cost model

namespace {

cost::Machine torus() {
  return {.name = "torus",
          .flops = 1e14,
          .memory_bandwidth = 1e12,
          .link_bandwidth = 1e11,
          .latency = 0,
          .topology = cost::Topology::torus,
          .torus_dimensions = 2};
}

/// The seconds of moving these bytes over so many ranks.
double seconds(Collective collective, int ranks, std::int64_t bytes) {
  return cost::seconds_of(Ledger::Traffic{collective, "device", ranks, 1, ranks - 1, bytes}, torus());
}

}  // namespace

TEST_CASE(
    "T66: on a two-dimensional torus an all-to-all of fixed bytes takes 4 times as long on 16 times the ranks, an all-reduce as long") {
  CHECK(seconds(Collective::all_to_all, 2048, 1 << 23) ==
        doctest::Approx(4 * seconds(Collective::all_to_all, 128, 1 << 23)));
  CHECK(seconds(Collective::all_reduce, 2048, 1 << 23) ==
        doctest::Approx(seconds(Collective::all_reduce, 128, 1 << 23)));
  // An all-gather of fixed bytes a rank has 16 times the output.
  auto const gathered = [](int ranks) { return std::int64_t{1 << 20} * (ranks - 1); };
  CHECK(seconds(Collective::all_gather, 2048, gathered(2048)) ==
        doctest::Approx(2047.0 / 127 * seconds(Collective::all_gather, 128, gathered(128))));
}

TEST_CASE("work takes as long as its flops or its bytes, whichever are slower, and an estimate adds up") {
  CHECK(cost::seconds_of(Ledger::Work{"einsum", 1, 200'000'000'000'000, 1'000}, torus()) == doctest::Approx(2));
  CHECK(cost::seconds_of(Ledger::Work{"einsum", 1, 1'000, 3'000'000'000'000}, torus()) == doctest::Approx(3));
  Ledger ledger;
  ledger.open();
  ledger.add_work("einsum", 100'000'000'000'000, 0);
  ledger.add_traffic(Collective::permute, "device", 4, 1, 200'000'000'000);
  CHECK(cost::estimate(ledger, torus()).total() == doctest::Approx(3));
}
