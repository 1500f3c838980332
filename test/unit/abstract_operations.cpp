// SPDX-License-Identifier: Apache-2.0
// Every operation on tensors, really and abstractly: the same ledgers, on even and uneven blocks.
#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>
#include <gshard/spatial.hpp>
#include <gshard/tensor.hpp>

#include "dense_reference.hpp"
#include "mpi_test.hpp"
#include "two_ledgers.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

template <class Space, AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, float, Space>;
template <class Space, AxisNames... Entries>
using Numbers = ShardedTensor<TwoAxes, Spec<Entries...>, int, Space>;

template <class Space>
void reductions(std::type_identity<Space>, TwoAxes const& mesh, std::int64_t n) {
  On<Space, "x", "y"> const x(mesh, {n, 6});
  CHECK(sum(x) == 0);
  CHECK(norm(x) == 0);
  eval(sum<0>(x));
  eval(mean<0, 1>(x));
  eval(maximum<1>(x));
  argmax<0>(x);
  cumulative_sum<0>(x);
  cumulative_sum<1>(x);
  softmax<0>(x);
  log_softmax<1>(2 * x);
  log_sum_exp<1>(x);
  Tape tape;
  auto const v = tape.watch(x);
  tape.backward(mean(v) + norm(v) + sum(eval(maximum<0>(v))) + sum(softmax<1>(v)) + sum(log_sum_exp<0>(v)) +
                sum(cumulative_sum<1>(v)));
}

template <class Space>
void rearrangements(std::type_identity<Space>, TwoAxes const& mesh, std::int64_t n) {
  Tape tape;
  auto const x = tape.watch(On<Space, "x", "y">(mesh, {n, 6}));
  auto const cut = slice<0>(x, 1, n, 2);
  auto const padded = pad<1>(x, 2, 1, 1.0F, 1);
  auto const joined = concatenate<0>(reverse<0>(x), roll<0>(x, 2));
  auto const updated = update_slice<0>(joined, x, 1);
  auto const flat = reshape<Spec<"x,y">>(updated, {2 * n * 6});
  tape.backward(eval(mean(flat) + mean(cut) + mean(padded)));
}

template <class Space>
void by_index(std::type_identity<Space>, TwoAxes const& mesh, std::int64_t n) {
  Tape tape;
  auto const x = tape.watch(On<Space, "x", _>(mesh, {n, 6}));
  Numbers<Space, "y"> const places(mesh, {5});
  auto const taken = reshard<Spec<"y", _>>(take<0>(x, places));
  auto const back = scatter_add<0>(x, places, tape.watch(On<Space, "y", _>(mesh, {5, 6})));
  auto const top = top_k<1>(sort<1>(x), 2).values;
  tape.backward(eval(mean(taken) + mean(back) + mean(top)));
}

template <class Space>
void einsums(std::type_identity<Space>, TwoAxes const& mesh, std::int64_t n) {
  Tape tape;
  auto const a = tape.watch(On<Space, "x", _>(mesh, {n, 6}));
  auto const b = tape.watch(On<Space, _, "y">(mesh, {6, 9}));
  auto const c = tape.watch(On<Space, "y", _>(mesh, {9, 4}));
  Var<On<Space, "x", _>> const chain = einsum<"ab,bc,cd->ad">(a, b, c);
  auto const turned = eval(einsum<"ad->da">(chain));
  auto const sums = eval(einsum<"...d->...">(chain));
  tape.backward(eval(mean(turned) + mean(sums)));
  On<Space, "x", _> y(mesh, {n, 4});
  y += einsum<"ab,bc,cd->ad">(a.value(), b.value(), c.value());
  eval(einsum<"ii->i">(On<Space, _, _>(mesh, {n, n})));
}

template <class Space>
void windows(std::type_identity<Space>, TwoAxes const& mesh, std::int64_t n) {
  Tape tape;
  auto const x = tape.watch(On<Space, _, "x", "y", _>(mesh, {2, n, 11, 3}));
  auto const w = tape.watch(On<Space, _, _, _, _>(mesh, {3, 2, 3, 4}));
  auto const y = eval(convolution(x, w, {.stride = {2, 1}, .low = {1, 2}, .high = {1, 0}, .window_dilation = {1, 2}}));
  auto const z = average_pool(max_pool(y, {.window = {2, 2}, .stride = {{1, 1}}}), {.window = {2, 2}});
  tape.backward(mean(z));
}

/// Each element is 1.
struct Ones {
  template <class Index>
  KOKKOS_FUNCTION float operator()(Index const&) const {
    return 1;
  }
};

template <class Space>
void to_and_from_host(std::type_identity<Space>, TwoAxes const& mesh, std::int64_t n) {
  std::vector<float> const elements(static_cast<std::size_t>(6 * n), 1);
  auto const x = from_vector<On<Space, "x", "y">>(mesh, {n, 6}, elements);
  fill(x, Ones{});
  auto const back = to_vector(copy(x));
  CHECK(back.size() == elements.size());
  CHECK(back[0] == (std::is_same_v<Space, AbstractSpace> ? 0 : 1));
  CHECK(describe(x).find("(x=") != std::string::npos);
}

template <class Program>
void check_program(Program const& program) {
  for (auto const& shape : two_axis_shapes())
    for (std::int64_t n : {24, 7, 2}) {
      TwoMeshes<TwoAxes> meshes(shape);
      INFO("n = ", n, " on mesh (", meshes.real.text(), ")");
      check_same_ledgers(meshes, [&](auto space, TwoAxes const& mesh) { program(space, mesh, n); });
    }
}

}  // namespace

TEST_CASE("reductions, arguments of extremes and cumulative sums") {
  check_program([](auto space, auto const& mesh, auto n) { reductions(space, mesh, n); });
}

TEST_CASE("slices, padding, concatenation and reshapes") {
  check_program([](auto space, auto const& mesh, auto n) { rearrangements(space, mesh, n); });
}

TEST_CASE("gathers, scatters and sorts: nobody looks at the indices") {
  check_program([](auto space, auto const& mesh, auto n) { by_index(space, mesh, n); });
}

TEST_CASE("einsums of one, two and three operands, and into a tensor that exists") {
  check_program([](auto space, auto const& mesh, auto n) { einsums(space, mesh, n); });
}

TEST_CASE("convolutions and pooling") {
  check_program([](auto space, auto const& mesh, auto n) { windows(space, mesh, n); });
}

TEST_CASE("elements to and from the host: zeros, where there are none") {
  check_program([](auto space, auto const& mesh, auto n) { to_and_from_host(space, mesh, n); });
}
