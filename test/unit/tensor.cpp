// SPDX-License-Identifier: Apache-2.0
// What each rank holds of a tensor, and what it is told about it.
#include "dense_reference.hpp"
#include "mpi_test.hpp"
#include "wrong_inputs.hpp"

#include <algorithm>
#include <limits>
#include <sstream>
#include <string>
#include <type_traits>

#include <gshard/reshard.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
template <AxisNames... Entries>
using OnLine = ShardedTensor<Line, Spec<Entries...>>;
template <AxisNames... Entries>
using OnGrid = ShardedTensor<TwoAxes, Spec<Entries...>>;

template <class Make>
std::string refusal(Make const& make) {
  try {
    make();
  } catch (ExtentError const& error) {
    return error.what();
  }
  return "nothing thrown";
}

void check_mentions(std::string const& text, std::initializer_list<char const*> parts) {
  for (char const* part : parts) CHECK_MESSAGE(text.find(part) != std::string::npos, "'", part, "' is not in: ", text);
}

/// Ceiling blocks, by hand.
Range block_by_hand(std::int64_t extent, std::int64_t parts, std::int64_t index) {
  std::int64_t const block = extent / parts + (extent % parts == 0 ? 0 : 1);
  return {std::min(extent, block * index), std::min(extent, block * (index + 1))};
}

}  // namespace

TEST_CASE("blocks of one split dimension, for extents from none to many") {
  Line const mesh(runtime(), {ranks()});
  for (std::int64_t extent = 0; extent <= 20; ++extent) {
    OnLine<"x", _> const tensor(mesh, {extent, 3});
    Range const expected = block_by_hand(extent, ranks(), rank());
    CHECK(tensor.range(0) == expected);
    CHECK(tensor.range(1) == Range{0, 3});
    CHECK(tensor.local_size() == 3 * expected.size());
    CHECK(tensor.extents() == Extents{extent, 3});
  }
}

TEST_CASE("axes on one dimension nest in the order listed") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    for (std::int64_t extent : {0, 1, 5, 12, 17}) {
      Range const outer = block_by_hand(extent, shape[1], mesh.coordinate<"y">());
      Range const inner = block_by_hand(outer.size(), shape[0], mesh.coordinate<"x">());
      CHECK(OnGrid<"y,x">(mesh, {extent}).range(0) == Range{outer.begin + inner.begin, outer.begin + inner.end});
    }
  }
}

TEST_CASE("every element is held once, by every replica") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    for (Extents const& extents : {Extents{4, 6}, Extents{5, 3}, Extents{1, 1}, Extents{0, 4}}) {
      auto check = [&](auto const& tensor) { CHECK(difference(tensor, dense_values(extents, 1)) == ""); };
      check(filled<OnGrid<_, _>>(mesh, extents, 1));
      check(filled<OnGrid<"x", _>>(mesh, extents, 1));
      check(filled<OnGrid<"y", "x">>(mesh, extents, 1));
      check(filled<OnGrid<"x,y", _>>(mesh, extents, 1));
      check(filled<OnGrid<_, "y,x">>(mesh, extents, 1));
    }
  }
}

TEST_CASE("a new tensor is zero, unless it is asked not to be") {
  Line const mesh(runtime(), {ranks()});
  {
    OnLine<"x"> const used(mesh, {100});
    fill(used, [](GlobalIndex<1> const&) { return 7; });
  }
  CHECK_MESSAGE(difference(OnLine<"x">(mesh, {100}), std::vector<double>(100, 0.0)) == "",
                "memory of another tensor is used again");
  CHECK(OnLine<"x">(uninitialized, mesh, {100}).extents() == Extents{100});
}

TEST_CASE("the local block is a plain packed view") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const tensor = filled<OnGrid<"x", "y", _>>(mesh, {5, 4, 3}, 2);
  auto const view = tensor.local();
  static_assert(
      std::is_same_v<decltype(tensor.local()),
                     Kokkos::View<float***, Kokkos::LayoutRight, Kokkos::DefaultExecutionSpace::memory_space>>);
  CHECK(static_cast<std::int64_t>(view.extent(0)) == tensor.range(0).size());
  CHECK(static_cast<std::int64_t>(view.extent(1)) == tensor.range(1).size());
  CHECK(view.extent(2) == 3);
  CHECK(view.data() == tensor.data());
  auto const dense = dense_values({5, 4, 3}, 2);
  int wrong = 0;
  for (std::size_t i = 0; i < view.extent(0); ++i)
    for (std::size_t j = 0; j < view.extent(1); ++j)
      for (std::size_t k = 0; k < view.extent(2); ++k) {
        auto const row = static_cast<std::size_t>(tensor.range(0).begin) + i;
        auto const column = static_cast<std::size_t>(tensor.range(1).begin) + j;
        wrong += view(i, j, k) == static_cast<float>(dense[(row * 4 + column) * 3 + k]) ? 0 : 1;
      }
  CHECK(wrong == 0);
}

TEST_CASE("scalars") {
  Line const mesh(runtime(), {ranks()});
  OnLine<> const scalar(mesh);
  CHECK(scalar.size() == 1);
  CHECK(scalar.local_size() == 1);
  CHECK(scalar.data()[0] == 0);
  fill(scalar, [](GlobalIndex<0> const&) { return 2.5; });
  CHECK(scalar.data()[0] == 2.5F);
}

TEST_CASE("copies are handles of the same elements; a default tensor is none") {
  Line const mesh(runtime(), {ranks()});
  OnLine<"x"> tensor(mesh, {2 * ranks()});
  CHECK(tensor.is_sole_owner());
  OnLine<"x"> const handle = tensor;
  CHECK_FALSE(tensor.is_sole_owner());
  tensor.data()[0] = 3;
  CHECK(handle.data()[0] == 3);
  CHECK(handle.is_set());
  CHECK_FALSE(OnLine<"x">{}.is_set());
  CHECK_FALSE(OnLine<>{}.is_set());
  CHECK(OnLine<>(mesh).is_set());
}

TEST_CASE("64-bit extents") {
  Line const mesh(runtime(), {ranks()});
  OnLine<"x", _> const tensor(mesh, {std::int64_t{1} << 40, 0});
  CHECK(tensor.extent(0) == std::int64_t{1} << 40);
  CHECK(tensor.range(0) == block_by_hand(std::int64_t{1} << 40, ranks(), rank()));
  CHECK(tensor.size() == 0);
}

TEST_CASE("extents that are none: every rank throws, naming tensor, extents and dimension") {
  Line const mesh(runtime(), {ranks()});
  check_mentions(refusal([&] { OnLine<"x", _>(mesh, {4, -2}, "weights"); }),
                 {"'weights'", "(4, -2)", "dimension 1", "negative"});
  check_mentions(refusal([&] { OnLine<"x", _>(mesh, Extents{4, 2, 1}, "weights"); }),
                 {"'weights'", "[x | _]", "2 dimensions", "(4, 2, 1)"});
}

TEST_CASE("extents that the type fixes need not be given, and are held to") {
  Line const mesh(runtime(), {ranks()});
  OnLine<extent("x", 6), extent(2)> const fixed(mesh, "weights");
  CHECK(fixed.extents() == Extents{6, 2});
  CHECK(fixed.name() == "weights");
  OnLine<extent("x", 6), _> const half(mesh, {6, 5});
  CHECK(half.extents() == Extents{6, 5});
  check_mentions(refusal([&] { OnLine<extent("x", 6), _>(mesh, {7, 5}, "weights"); }),
                 {"'weights'", "(7, 5)", "fixes dimension 0 at 6"});

  OnLine<"x", _> const forgotten = fixed;
  CHECK(forgotten.data() == fixed.data());
  OnLine<"x", extent(2)> const known = forgotten;
  CHECK(known.data() == fixed.data());
  check_mentions(refusal([&] { OnLine<"x", extent(3)> const wrong = forgotten; }),
                 {"'weights'", "(6, 2)", "fixes dimension 1 at 3"});
  OnLine<"x", _> const none;
  OnLine<"x", extent(3)> const still_none = none;
  CHECK_FALSE(still_none.is_set());
}

TEST_CASE("from_local: what each rank has") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const source = filled<OnGrid<"x", "y">>(mesh, {5, 4}, 2);
  CHECK(difference(from_local<OnGrid<"x", "y">>(mesh, {5, 4}, source.local()), dense_values({5, 4}, 2)) == "");
  auto const parts = filled<OnGrid<_, partial("x,y")>>(mesh, {3}, 2);
  CHECK_MESSAGE(
      difference(from_local<OnGrid<_, partial("x,y")>>(mesh, {3}, parts.local()), dense_values({3}, 2, ranks())) == "",
      "parts of a sum");
  Kokkos::View<float, Kokkos::HostSpace> const scalar("scalar");
  scalar() = 2.5F;
  CHECK(from_local<OnGrid<>>(mesh, {}, scalar).at() == 2.5F);

  Kokkos::View<float**, Kokkos::LayoutRight, Kokkos::HostSpace> const wrong("weights", 7, 2);
  Line const line(runtime(), {ranks()});
  std::int64_t const rows = block_by_hand(20, ranks(), rank()).size();
  if (rows != 7)
    check_mentions(refusal([&] { from_local<OnLine<"x", _>>(line, {20, 2}, wrong); }),
                   {"weights: float (20, 2) [x | _]", "rank ", "holds [", "view has extents (7, 2)"});
}

TEST_CASE("print: all elements on rank 0, a row a line") {
  Line const mesh(runtime(), {ranks()});
  OnLine<"x", _> const tensor(mesh, {3, 2}, "small");
  fill(tensor, [](GlobalIndex<2> const& index) { return 10 * index[0] + index[1]; });
  std::ostringstream stream;
  print(stream, tensor);
  if (rank() == 0) CHECK(stream.str() == describe(tensor) + "\n0 1\n10 11\n20 21\n");
  else CHECK(stream.str().empty());
}

// ---- Single elements

TEST_CASE("at reads an element by its global indices where a rank holds it, and names the holder where it does not") {
  on_every_mesh([](TwoAxes const& mesh) {
    using Rows = ShardedTensor<TwoAxes, Spec<"x,y", _>, double>;
    Rows const x = filled<Rows>(mesh, {7, 3}, 1);
    std::vector<double> const elements = dense_values({7, 3}, 1);
    for (std::int64_t i = 0; i < 7; ++i)
      for (std::int64_t j = 0; j < 3; ++j) {
        // Seven rows in blocks of ceil(ceil(7 / x) / y), x outer: rank_at by hand.
        std::int64_t const outer = (7 + mesh.size(0) - 1) / mesh.size(0);
        std::int64_t const left = std::min(outer, 7 - i / outer * outer);
        std::int64_t const inner = (left + mesh.size(1) - 1) / mesh.size(1);
        std::int64_t const holder = i / outer * mesh.size(1) + i % outer / inner;
        CHECK(x.holds(i, j) == (holder == mesh.rank()));
        if (x.holds(i, j)) {
          CHECK(x.at(i, j) == elements[static_cast<std::size_t>(3 * i + j)]);
        } else {
          std::string const words =
              gshard::detail::concat("element (", i, ", ", j, ") of tensor '' (7, 3) is held by rank ", holder,
                                     " of mesh (", mesh.text(), "), not by rank ");
          CHECK_THROWS_WITH_AS(x.at(i, j), doctest::Contains(words.c_str()), IndexError);
        }
      }
    ShardedTensor<TwoAxes, Spec<"x">, double> const replicated(mesh, {2 * mesh.size(0)});
    CHECK(replicated.at(2 * mesh.coordinate(0) + 1) == 0);
    ShardedTensor<TwoAxes, Spec<>, int> const scalar(mesh);
    CHECK((scalar.holds() && scalar.at() == 0));
  });
}

TEST_CASE("elements that a tensor does not have are refused on all ranks alike") {
  on_every_mesh([](TwoAxes const& mesh) {
    ShardedTensor<TwoAxes, Spec<"x", "y">> const x(mesh, {4, 3}, "x");
    struct Index {
      std::int64_t row, column;
    };
    for (auto const& [row, column] :
         {Index{7, 0}, Index{4, 0}, Index{0, 3}, Index{-1, 0}, Index{std::numeric_limits<std::int64_t>::min(), 0}}) {
      expect_refusal<IndexError>("at: no such element", [&] { x.at(row, column); }, "'x' (4, 3) has no element");
      expect_refusal<IndexError>("holds: no such element", [&] { x.holds(row, column); }, "has no element");
    }
    expect_refusal<IndexError>("at: of nothing", [&] { ShardedTensor<TwoAxes, Spec<_>>(mesh, {0}).at(0); }, "[0, 0)");
    expect_refusal<StateError>("at: unset", [&] { decltype(x)().at(0, 0); }, "unset");
  });
}
