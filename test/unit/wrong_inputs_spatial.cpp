// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of spatial/: unset tensors, other meshes and extents, windows that make no sense or overflow.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/spatial.hpp>

#include "dense_reference.hpp"
#include "wrong_inputs.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

using Image = ShardedTensor<TwoAxes, Spec<_, "x", "y">, double>;  // (N, X, C)
using Weights = ShardedTensor<TwoAxes, Spec<_, "y", _>, double>;  // (A, C, O)
constexpr std::int64_t huge = std::int64_t{1} << 62;

struct Function {
  char const* name;
  std::function<void(Image const&)> call;
};

std::vector<Function> const of_one_tensor = {
    {"exchange_halo", [](Image const& x) { (void)exchange_halo(x, {0, 1, 0}, {0, 1, 0}); }},
    {"halo_bytes", [](Image const& x) { (void)halo_bytes(x, {0, 1, 0}, {0, 1, 0}); }},
    {"max_pool", [](Image const& x) { (void)max_pool(x, {.window = {2}}); }},
    {"average_pool", [](Image const& x) { (void)average_pool(x, {.window = {2}}); }},
};

struct Convolving {
  char const* name;
  std::function<void(Image const&, Weights const&)> call;
};

std::vector<Convolving> const convolving = {
    {"convolution", [](Image const& x, Weights const& w) { (void)eval(convolution(x, w)); }},
    {"shard of a convolution",
     [](Image const& x, Weights const& w) { (void)shard<Spec<_, "x", _>>(convolution(x, w)); }},
    {"halo_bytes of a convolution", [](Image const& x, Weights const& w) { (void)halo_bytes(convolution(x, w)); }},
};

}  // namespace

TEST_CASE("halos, pools and convolutions refuse unset tensors, and take empty ones") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Image const x(mesh, {2, 6, 4});
  Weights const w(mesh, {3, 4, 2});
  for (Function const& function : of_one_tensor) {
    expect_refusal_of_unset<Image>(function.name, x, function.call);
    for (Extents const& extents : {Extents{0, 6, 4}, Extents{2, 0, 4}, Extents{2, 6, 0}}) {
      INFO(function.name, " of ", gshard::detail::text_of(extents));
      CHECK(outcome_of([&] { function.call(Image(mesh, extents)); }).message == "");
    }
  }
  for (Convolving const& function : convolving) {
    std::string const name(function.name);
    expect_refusal_of_unset<Image>(name + ", x", x, [&](Image const& unset) { function.call(unset, w); });
    expect_refusal_of_unset<Weights>(name + ", w", w, [&](Weights const& unset) { function.call(x, unset); });
    expect_refusal<MeshError>(
        name + ": other mesh",
        [&] { function.call(x, Weights(TwoAxes(runtime(), two_axis_shapes().front()), {3, 4, 2})); }, "convolution",
        "operand 1");
    expect_refusal<ExtentError>(
        name + ": other channels", [&] { function.call(x, Weights(mesh, {3, 5, 2})); }, "convolution",
        "letter 'i' has extent 4", "has 5");
    expect_refusal<ExtentError>(
        name + ": empty window", [&] { function.call(x, Weights(mesh, {0, 4, 2})); }, "window 0");
    CHECK(outcome_of([&] { function.call(Image(mesh, {0, 6, 4}), w); }).message == "");
    CHECK(outcome_of([&] { function.call(Image(mesh, {2, 0, 4}), w); }).message == "");
  }
}

TEST_CASE("windows that make no sense, or whose positions do not fit into 64 bits") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Image const x(mesh, {2, 6, 4});
  Weights const w(mesh, {3, 4, 2});
  using Options = ConvolutionOptions<1>;
  for (auto const& [what, options, words] : std::vector<std::tuple<char const*, Options, char const*>>{
           {"stride 0", {.stride = {0}}, "stride 0"},
           {"negative stride", {.stride = {-1}}, "stride -1"},
           {"window dilation 0", {.window_dilation = {0}}, "window dilation 0"},
           {"base dilation 0", {.base_dilation = {0}}, "base dilation 0"},
           {"huge stride", {.stride = {huge}}, "2^59"},
           {"huge padding", {.low = {huge}, .high = {huge}}, "2^59"},
           {"huge negative padding", {.low = {-huge}, .high = {-huge}}, "2^59"},
           {"huge window dilation", {.window_dilation = {huge}}, "2^59"},
           {"huge base dilation", {.base_dilation = {huge}}, "2^59"},
       })
    expect_refusal<ExtentError>(
        std::string("convolution: ") + what, [&] { (void)eval(convolution(x, w, options)); }, words,
        "spatial dimension 0");
  using Pool = PoolOptions<1>;
  for (auto const& [what, options, words] : std::vector<std::tuple<char const*, Pool, char const*>>{
           {"window 0", {.window = {0}}, "window 0"},
           {"stride 0", {.window = {2}, .stride = {{0}}}, "stride 0"},
           {"dilation 0", {.window = {2}, .dilation = {0}}, "window dilation 0"},
           {"huge window", {.window = {huge}}, "4611686018427387904"},
           {"huge padding", {.window = {2}, .low = {huge}}, "2^59"},
       }) {
    expect_refusal<ExtentError>(std::string("max_pool: ") + what, [&] { (void)max_pool(x, options); }, words);
    expect_refusal<ExtentError>(std::string("average_pool: ") + what, [&] { (void)average_pool(x, options); }, words);
  }
  for (std::int64_t const width : {huge, -huge}) {
    expect_refusal<ExtentError>(
        "exchange_halo: huge width", [&] { (void)exchange_halo(x, {0, width, 0}, {0, 0, 0}); }, "width");
    expect_refusal<ExtentError>(
        "halo_bytes: huge width", [&] { (void)halo_bytes(x, {0, 0, 0}, {0, width, 0}); }, "width");
  }
}

TEST_CASE("the transpose of a halo wants the widths that it was made with") {
  TwoAxes const mesh(runtime(), {1, ranks()});
  Image const x(mesh, {2, 6, ranks()});
  auto const block = exchange_halo(x, {0, 1, 0}, {0, 1, 0});
  expect_refusal<ExtentError>(
      "sum_halo: other widths", [&] { (void)sum_halo(block, {0, 2, 0}, {0, 2, 0}); }, "sum_halo",
      "widths that it was made with");
  CHECK(outcome_of([&] { (void)sum_halo(block, {0, 1, 0}, {0, 1, 0}); }).message == "");
}

TEST_CASE("recorded convolutions and pools refuse tapes that are gone or differ") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Image const x(mesh, {2, 6, 4});
  Weights const w(mesh, {3, 4, 2});
  std::vector<Var<Image>> gone;
  {
    Tape tape;
    gone.push_back(tape.watch(x));
  }
  Tape tape;
  Tape other;
  auto const weights = other.watch(w);
  expect_refusal<StateError>(
      "recorded convolution: tape is gone", [&] { (void)eval(convolution(gone.front(), w)); }, "Tape is gone");
  expect_refusal<StateError>(
      "recorded convolution: two tapes", [&] { (void)eval(convolution(tape.watch(x), weights)); }, "two Tapes");
  expect_refusal<StateError>(
      "recorded max_pool: tape is gone", [&] { (void)max_pool(gone.front(), {.window = {2}}); }, "Tape is gone");
  expect_refusal<StateError>(
      "recorded average_pool: tape is gone", [&] { (void)average_pool(gone.front(), {.window = {2}}); },
      "Tape is gone");
}
