// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of tensor/ and reshard/: each call is refused by one exception on all ranks.
#include <cstdint>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <gshard/reshard.hpp>
#include <gshard/tensor.hpp>

#include "dense_reference.hpp"
#include "wrong_inputs.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

using Matrix = ShardedTensor<TwoAxes, Spec<"x", "y">>;
using Rows = ShardedTensor<TwoAxes, Spec<"x", _>>;
using Column = Mesh<Axis<"z">>;

struct One {
  double operator()(GlobalIndex<2> const&) const { return 1; }
};

struct Function {
  char const* name;
  std::function<void(Rows const&)> call;
};

/// Every function of one tensor, members included.
std::vector<Function> const of_one_tensor = {
    {"ShardedTensor::size", [](Rows const& x) { (void)x.size(); }},
    {"ShardedTensor::extent", [](Rows const& x) { (void)x.extent(0); }},
    {"ShardedTensor::local_extents", [](Rows const& x) { (void)x.local_extents(); }},
    {"ShardedTensor::local_extent", [](Rows const& x) { (void)x.local_extent(0); }},
    {"ShardedTensor::local_size", [](Rows const& x) { (void)x.local_size(); }},
    {"ShardedTensor::range", [](Rows const& x) { (void)x.range(0); }},
    {"ShardedTensor::block", [](Rows const& x) { (void)x.block(); }},
    {"ShardedTensor::local", [](Rows const& x) { (void)x.local(); }},
    {"ShardedTensor::flat", [](Rows const& x) { (void)x.flat(); }},
    {"fill", [](Rows const& x) { fill(x, One{}); }},
    {"describe", [](Rows const& x) { (void)describe(x); }},
    {"draw", [](Rows const& x) { (void)draw(x); }},
    {"draw_svg",
     [](Rows const& x) {
       std::ostringstream out;
       draw_svg(out, x);
     }},
    {"device_assignment", [](Rows const& x) { (void)device_assignment(x); }},
    {"split_dimension", [](Rows const& x) { (void)split_dimension<1>(x, 1); }},
    {"merge_dimensions",
     [](Rows const& x) {
       using Whole = ShardedTensor<TwoAxes, Spec<_, _>>;
       (void)merge_dimensions<0>(x.is_set() ? replicate(x) : Whole{});
     }},
    {"reshard", [](Rows const& x) { (void)reshard<Spec<_, "y">>(x); }},
    {"reshard of an rvalue", [](Rows const& x) { (void)reshard<Spec<_, "y">>(Rows(x)); }},
    {"reshard to the same spec", [](Rows const& x) { (void)reshard<Spec<"x", _>>(x); }},
    {"reshard to another mesh", [](Rows const& x) { (void)reshard<Spec<"z", _>>(x, Column(runtime(), {ranks()})); }},
    {"shard", [](Rows const& x) { (void)shard<Spec<_, "y">>(x); }},
    {"replicate", [](Rows const& x) { (void)replicate(x); }},
    {"split", [](Rows const& x) { (void)split<1, "y">(x); }},
    {"to_vector", [](Rows const& x) { (void)to_vector(x); }},
    {"print",
     [](Rows const& x) {
       std::ostringstream out;
       print(out, x);
     }},
    {"explain of a reshard", [](Rows const& x) { (void)explain<Spec<_, "y">>(x); }},
};

}  // namespace

TEST_CASE("every function of one tensor refuses an unset one") {
  Rows const set(TwoAxes(runtime(), two_axis_shapes().front()), {4, 6});
  for (Function const& function : of_one_tensor) expect_refusal_of_unset<Rows>(function.name, set, function.call);
  Rows const unset;
  CHECK(unset.data() == nullptr);
  CHECK_FALSE(unset.is_set());
  CHECK(Rows{}.mesh().text() == "unset");
}

TEST_CASE("every function of one tensor takes an empty one") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{0, 6}, Extents{4, 0}, Extents{0, 0}})
      for (Function const& function : of_one_tensor) {
        INFO(function.name, " of ", gshard::detail::text_of(extents));
        CHECK(outcome_of([&] { function.call(Rows(mesh, extents)); }).message == "");
      }
    CHECK(to_vector(Rows(mesh, {0, 6})).empty());
  });
}

TEST_CASE("constructors refuse an unset mesh, and extents that no tensor has") {
  TwoAxes const unset;
  expect_refusal<StateError>("ShardedTensor: unset mesh", [&] { Matrix(unset, {4, 6}, "x"); }, "'x'", "mesh is unset");
  expect_refusal<StateError>(
      "ShardedTensor: unset mesh, Extents", [&] { Matrix(unset, Extents{4, 6}); }, "mesh is unset");
  expect_refusal<StateError>(
      "ShardedTensor: unset mesh, uninitialized", [&] { Matrix(uninitialized, unset, Extents{4, 6}); },
      "mesh is unset");
  expect_refusal<StateError>(
      "ShardedTensor: unset mesh, scalar", [&] { ShardedTensor<TwoAxes, Spec<>>{unset}; }, "mesh is unset");
  expect_refusal<StateError>(
      "from_vector: unset mesh", [&] { from_vector<Matrix>(unset, {2, 1}, std::vector<float>(2)); }, "mesh is unset");
  expect_refusal<StateError>(
      "from_local: unset mesh", [&] { from_local<Matrix>(unset, {2, 1}, Kokkos::View<float**>("x", 2, 1)); },
      "mesh is unset");
  for (auto const& [name, call] : std::vector<std::pair<char const*, std::function<void()>>>{
           {"Mesh::rank", [&] { (void)unset.rank(); }},
           {"Mesh::ranks", [&] { (void)unset.ranks(); }},
           {"Mesh::size", [&] { (void)unset.size<"x">(); }},
           {"Mesh::coordinate", [&] { (void)unset.coordinate<"y">(); }},
           {"Mesh::group", [&] { (void)unset.group<"x">(); }},
           {"Mesh::memory", [&] { (void)unset.memory(); }}})
    expect_refusal<StateError>(std::string(name) + ": unset mesh", call, "a mesh is unset");

  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  expect_refusal<ExtentError>("ShardedTensor: negative extent", [&] { Matrix(mesh, {4, -1}, "x"); }, "'x'", "(4, -1)");
  expect_refusal<ExtentError>("ShardedTensor: too few extents", [&] { Matrix(mesh, Extents{4}, "x"); }, "'x'", "(4)");
  expect_refusal<ExtentError>(
      "ShardedTensor: too large", [&] { Matrix(mesh, {std::int64_t{1} << 40, std::int64_t{1} << 40}); },
      "more than 2^62 bytes");
  for (int const axis : {-1, 2}) {
    expect_refusal<IndexError>(
        "Mesh::size: no such axis", [&] { (void)mesh.size(axis); }, detail::concat("no axis ", axis));
    expect_refusal<IndexError>(
        "Mesh::coordinate: no such axis", [&] { (void)mesh.coordinate(axis); }, detail::concat("no axis ", axis));
  }
}

TEST_CASE("dimensions count from 0, and from -1 downwards") {
  Matrix const x(TwoAxes(runtime(), two_axis_shapes().front()), {4, 6}, "x");
  CHECK(x.extent(-1) == 6);
  CHECK(x.local_extent(-2) == x.local_extent(0));
  CHECK(x.range(-1) == x.range(1));
  for (int const dimension : {2, -3}) {
    std::string const words = detail::concat("no dimension ", dimension);
    expect_refusal<ExtentError>(
        "ShardedTensor::extent: no such dimension", [&] { (void)x.extent(dimension); }, "'x'", words);
    expect_refusal<ExtentError>(
        "ShardedTensor::local_extent: no such dimension", [&] { (void)x.local_extent(dimension); }, words);
    expect_refusal<ExtentError>("ShardedTensor::range: no such dimension", [&] { (void)x.range(dimension); }, words);
  }
}

TEST_CASE("elements that do not fit the extents") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (std::size_t const count : std::vector<std::size_t>{0, 14, 16})
      expect_refusal<ExtentError>(
          "from_vector: other number of elements",
          [&] { from_vector<Matrix>(mesh, {3, 5}, std::vector<float>(count)); }, detail::concat(count, " elements"),
          "(3, 5)");
    expect_refusal<ExtentError>(
        "from_vector: extents whose product is 2^64",
        [&] { from_vector<Matrix>(mesh, {std::int64_t{1} << 32, std::int64_t{1} << 32}, std::vector<float>()); },
        "more than 2^62 bytes");
    // What a rank gives is its own, and so is the block that the message names.
    Matrix const x(mesh, {3, 5});
    Kokkos::View<float**> const longer("block", static_cast<std::size_t>(x.local_extent(0)) + 1,
                                       static_cast<std::size_t>(x.local_extent(1)));
    Outcome const outcome = outcome_of([&] { from_local<Matrix>(mesh, {3, 5}, longer); });
    CHECK(outcome.kind == "ExtentError");
    CHECK(outcome.message.find(detail::concat("rank ", mesh.rank(), " holds")) != std::string::npos);
    Rows const other(mesh, {3 * mesh.ranks(), 5});
    expect_refusal<ExtentError>(
        "ShardedTensor::reinterpreted: blocks of another size",
        [&] { (void)other.reinterpreted<Spec<"x", _>>({3 * mesh.ranks(), 6}); }, "reinterpreted");
    expect_refusal<ExtentError>(
        "split_dimension: 4 does not divide 5", [&] { (void)split_dimension<1>(other, 4); }, "dimension 1",
        "4 equal parts");
    expect_refusal<ExtentError>(
        "split_dimension: 0 parts", [&] { (void)split_dimension<1>(other, 0); }, "0 equal parts");
  });
}

TEST_CASE("reshards to a mesh that is unset or of another runtime, buffers of other extents") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Rows const x(mesh, {4, 6}, "x");
  expect_refusal<StateError>(
      "reshard to another mesh: unset mesh", [&] { (void)reshard<Spec<"z", _>>(x, Column{}); }, "mesh is unset");
  expect_refusal<StateError>(
      "reshard to another mesh: unset mesh of the same type", [&] { (void)reshard<Spec<"x", _>>(x, TwoAxes{}); },
      "mesh is unset");
  Runtime twin(runtime().communicator());
  Column const elsewhere(twin, {ranks()});
  expect_refusal<MeshError>(
      "reshard to another mesh: mesh of another runtime", [&] { (void)reshard<Spec<"z", _>>(x, elsewhere); }, "'x'",
      "two runtimes");
  expect_refusal<ExtentError>(
      "largest_buffer: too few extents", [&] { (void)largest_buffer<Rows, Spec<_, "y">>({4}, {1, 1}); },
      "give 2 extents");
  expect_refusal<ExtentError>(
      "largest_buffer: no sizes of the mesh", [&] { (void)largest_buffer<Rows, Spec<_, "y">>({4, 6}); },
      "sizes of the mesh");
  using Fixed = ShardedTensor<TwoAxes, Spec<extent("x", 4), extent(7)>>;
  expect_refusal<ExtentError>(
      "ShardedTensor: extents that the type fixes otherwise", [&] { Fixed const fixed = x; }, "fixes dimension 1 at 7");
  expect_refusal<ExtentError>(
      "reshard: extents that the spec fixes otherwise", [&] { (void)reshard<Spec<_, extent(7)>>(x); },
      "fixes dimension 1 at 7");
}
