// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of index/: each call is refused by one exception on all ranks. Unreduced sums are refused by the
// compiler where an operation is not linear (test/compile_fail/sort_of_partial.cpp, indices_type.cpp).
#include "dense_reference.hpp"
#include "mpi_test.hpp"
#include "wrong_inputs.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/index.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t smallest = std::numeric_limits<std::int64_t>::min();

using Matrix = ShardedTensor<TwoAxes, Spec<"x", _>>;
using Places = ShardedTensor<TwoAxes, Spec<"y">, int>;
using Updates = ShardedTensor<TwoAxes, Spec<"y", _>>;

/// A mesh of the same ranks that is another one.
TwoAxes other_mesh(TwoAxes const& mesh) { return {runtime(), {mesh.size(0), mesh.size(1)}}; }

Places places(TwoAxes const& mesh, std::vector<int> const& elements) {
  return from_vector<Places>(mesh, {static_cast<std::int64_t>(elements.size())}, elements);
}

}  // namespace

TEST_CASE("slice, pad, reverse, roll") {
  on_every_mesh([](TwoAxes const& mesh) {
    Matrix const x(mesh, {4, 3}, "weights");
    Matrix const unset;
    expect_refusal<StateError>("slice: unset", [&] { slice<0>(unset, 0, 1); }, "slice: x (unset)");
    expect_refusal<StateError>("pad: unset", [&] { pad<0>(unset, 0, 1); }, "pad: x (unset)");
    expect_refusal<StateError>("reverse: unset", [&] { reverse<0>(unset); }, "reverse: x (unset)");
    expect_refusal<StateError>("roll: unset", [&] { roll<0>(unset, 1); }, "roll: x (unset)");
    struct Steps {
      std::int64_t begin, end, stride;
    };
    for (auto const& [begin, end, stride] : {Steps{-1, 2, 1}, Steps{0, 5, 1}, Steps{3, 2, 1}, Steps{0, 4, 0},
                                             Steps{0, 4, -1}, Steps{smallest, largest, 1}})
      expect_refusal<ExtentError>(
          "slice: out of range", [&] { slice<0>(x, begin, end, stride); },
          "does not lie in dimension 0 of x 'weights' (4, 3)");
    struct Widths {
      std::int64_t low, high, interior;
    };
    for (auto const& [low, high, interior] :
         {Widths{-3, -2, 0}, Widths{0, 0, -1}, Widths{largest, 1, 0}, Widths{smallest, largest, 0},
          Widths{smallest, smallest, 0}, Widths{0, 0, largest}, Widths{-1, 0, largest - 1}})
      expect_refusal<ExtentError>(
          "pad: no extent", [&] { pad<0>(x, low, high, 0, interior); },
          "leave no extent of 0 to 2^62 in dimension 0 of x 'weights' (4, 3)");
  });
}

TEST_CASE("concatenate and update_slice") {
  on_every_mesh([](TwoAxes const& mesh) {
    Matrix const x(mesh, {4, 3}, "x");
    Matrix const narrow(mesh, {1, 2}, "narrow");
    Matrix const elsewhere(other_mesh(mesh), {4, 3}, "elsewhere");
    Matrix const unset;
    expect_refusal<StateError>("concatenate: unset", [&] { concatenate<0>(unset, x); }, "first operand (unset)");
    expect_refusal<StateError>("concatenate: unset", [&] { concatenate<0>(x, x, unset); }, "other operand (unset)");
    expect_refusal<MeshError>(
        "concatenate: other mesh", [&] { concatenate<0>(x, elsewhere); }, "'elsewhere' (4, 3) on another one");
    expect_refusal<ExtentError>(
        "concatenate: other extent", [&] { concatenate<0>(x, narrow); },
        "dimension 1 of other operand 'narrow' (1, 2) has to be 3");
    expect_refusal<StateError>("update_slice: unset", [&] { update_slice<0>(unset, x, 0); }, "x (unset)");
    expect_refusal<StateError>("update_slice: unset update", [&] { update_slice<0>(x, unset, 0); }, "update (unset)");
    expect_refusal<MeshError>(
        "update_slice: other mesh", [&] { update_slice<0>(x, elsewhere, 0); }, "update 'elsewhere' (4, 3) on another");
    expect_refusal<ExtentError>(
        "update_slice: other extent", [&] { update_slice<0>(x, narrow, 0); },
        "dimension 1 of update 'narrow' (1, 2) has to be 3");
    for (std::int64_t begin : {std::int64_t{-1}, std::int64_t{1}, smallest, largest})
      expect_refusal<ExtentError>(
          "update_slice: out of range", [&] { update_slice<0>(x, x, begin); },
          "do not lie in dimension 0 of x 'x' (4, 3)");
  });
}

TEST_CASE("reshape, split_dimension, merge_dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    Matrix const x(mesh, {4, 3}, "x");
    Matrix const unset;
    expect_refusal<StateError>("reshape: unset", [&] { reshape<Spec<_>>(unset, {12}); }, "reshape: x (unset)");
    expect_refusal<ExtentError>("reshape: other number", [&] { reshape<Spec<_>>(x, {11}); }, "12 elements");
    expect_refusal<ExtentError>("reshape: negative", [&] { reshape<Spec<_, _>>(x, {-4, -3}); }, "'x'", "is negative");
    expect_refusal<ExtentError>(
        "reshape: overflow", [&] { reshape<Spec<_, _>>(x, {std::int64_t{1} << 62, 4}); }, "'x'", "2^62 bytes");
    expect_refusal<ExtentError>("reshape: too few extents", [&] { reshape<Spec<_, _>>(x, {12}); }, "2 dimensions");
    expect_refusal<StateError>("split_dimension: unset", [&] { split_dimension<1>(unset, 3); }, "(unset)");
    for (std::int64_t outer : {std::int64_t{2}, std::int64_t{0}, std::int64_t{-3}, smallest})
      expect_refusal<ExtentError>(
          "split_dimension: no parts", [&] { split_dimension<1>(x, outer); }, "cannot be cut into");
    using Whole = ShardedTensor<TwoAxes, Spec<_, _>>;
    expect_refusal<StateError>("merge_dimensions: unset", [&] { merge_dimensions<0>(Whole()); }, "(unset)");
  });
}

TEST_CASE("take and scatter_add, plain and recorded: indices out of range") {
  on_every_mesh([](TwoAxes const& mesh) {
    Matrix const x(mesh, {4, 3}, "x");
    Matrix const none(mesh, {0, 3}, "none");
    ShardedTensor<TwoAxes, Spec<_, _>> const whole(mesh, {4, 3}, "whole");
    Updates const updates(mesh, {5, 3}, "updates");
    Tape tape;
    for (int wrong : {-1, 4, 99, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
      Places const indices = places(mesh, {3, 0, wrong, 2, wrong});
      std::string const message =
          gshard::detail::concat("element (2) of indices (5) is ", wrong, ", which is not in the range [0, 4)");
      expect_refusal<IndexError>("take: out of range", [&] { take<0>(x, indices); }, "take: " + message);
      expect_refusal<IndexError>(
          "take of a recorded tensor: out of range", [&] { take<0>(tape.watch(whole), indices); }, "take: " + message);
      expect_refusal<IndexError>(
          "scatter_add: out of range", [&] { scatter_add<0>(whole, indices, updates); }, "scatter_add: " + message);
      expect_refusal<IndexError>(
          "scatter_add of recorded updates: out of range", [&] { scatter_add<0>(whole, indices, tape.watch(updates)); },
          "scatter_add: " + message);
    }
    expect_refusal<IndexError>(
        "take: of nothing", [&] { take<0>(none, places(mesh, {0})); }, "is not in the range [0, 0)");
    CHECK(take<0>(none, places(mesh, {})).extent(0) == 0);
  });
}

TEST_CASE("take and scatter_add: other operands") {
  on_every_mesh([](TwoAxes const& mesh) {
    Matrix const x(mesh, {4, 3}, "x");
    ShardedTensor<TwoAxes, Spec<_, _>> const whole(mesh, {4, 3}, "whole");
    Places const indices = places(mesh, {3, 0});
    Places const elsewhere(other_mesh(mesh), {2}, "elsewhere");
    Updates const updates(mesh, {2, 3}, "updates");
    expect_refusal<StateError>("take: unset", [&] { take<0>(Matrix(), indices); }, "take: x (unset)");
    expect_refusal<StateError>("take: unset indices", [&] { take<0>(x, Places()); }, "take: indices (unset)");
    expect_refusal<MeshError>(
        "take: other mesh", [&] { take<0>(x, elsewhere); }, "indices 'elsewhere' (2) on another one");
    expect_refusal<StateError>(
        "scatter_add: unset", [&] { scatter_add<0>(decltype(whole)(), indices, updates); }, "scatter_add: x (unset)");
    expect_refusal<StateError>(
        "scatter_add: unset indices", [&] { scatter_add<0>(whole, Places(), updates); }, "indices (unset)");
    expect_refusal<StateError>(
        "scatter_add: unset updates", [&] { scatter_add<0>(whole, indices, Updates()); }, "updates (unset)");
    expect_refusal<MeshError>(
        "scatter_add: other mesh", [&] { scatter_add<0>(whole, elsewhere, updates); }, "'elsewhere' (2) on another");
    expect_refusal<ExtentError>(
        "scatter_add: too many updates", [&] { scatter_add<0>(whole, indices, Updates(mesh, {3, 3})); },
        "dimension 0 of updates (3, 3) has to be 2, the number of indices (2)");
    expect_refusal<ExtentError>(
        "scatter_add: narrow updates", [&] { scatter_add<0>(whole, indices, Updates(mesh, {2, 2})); },
        "dimension 1 of updates (2, 2) has to be 3, as in x 'whole' (4, 3)");
  });
}

TEST_CASE("argsort, sort, top_k") {
  on_every_mesh([](TwoAxes const& mesh) {
    Matrix const x(mesh, {4, 3}, "x");
    Matrix const unset;
    expect_refusal<StateError>("argsort: unset", [&] { argsort<1>(unset); }, "sort: x (unset)");
    expect_refusal<StateError>("sort: unset", [&] { sort<1>(unset); }, "sort: x (unset)");
    expect_refusal<StateError>("top_k: unset", [&] { top_k<1>(unset, 1); }, "top_k: x (unset)");
    for (std::int64_t count : {std::int64_t{-1}, std::int64_t{4}, smallest, largest})
      expect_refusal<ExtentError>("top_k: so many", [&] { top_k<1>(x, count); }, "in dimension 1 of x 'x' (4, 3)");
  });
}
