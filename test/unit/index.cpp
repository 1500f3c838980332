// SPDX-License-Identifier: Apache-2.0
// Rearrangements against loops over all elements, on every mesh of two axes, with even, uneven, tiny and empty extents.
#include "central_differences.hpp"
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/index.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

/// Where element `index` of the result comes from along one dimension; -1: nowhere.
using Origin = std::int64_t (*)(std::int64_t index, std::int64_t extent, std::array<std::int64_t, 3> const& numbers);

/// The elements of a matrix rearranged along `dimension`.
std::vector<double> rearranged(Dense const& x, int dimension, std::int64_t result, Origin origin,
                               std::array<std::int64_t, 3> const& numbers, double fill) {
  std::vector<double> elements;
  Extents extents = x.extents;
  extents[dimension] = result;
  for (std::int64_t i = 0; i < extents[0]; ++i)
    for (std::int64_t j = 0; j < extents[1]; ++j) {
      std::int64_t const from = origin(dimension == 0 ? i : j, x.extents[dimension], numbers);
      std::int64_t const row = dimension == 0 ? from : i;
      std::int64_t const column = dimension == 0 ? j : from;
      elements.push_back(from < 0 ? fill : x.values[static_cast<std::size_t>(row * x.extents[1] + column)]);
    }
  return elements;
}

template <class Tensor>
std::string about(Tensor const& x, char const* operation, std::array<std::int64_t, 3> const& numbers) {
  return gshard::detail::concat(operation, " ", numbers[0], " ", numbers[1], " ", numbers[2], " of ",
                                gshard::detail::text_of(x.extents()), " ",
                                gshard::detail::text_of<TwoAxes>(Tensor::layout), " on mesh (", x.mesh().text(), ")");
}

template <int Dimension, class Tensor>
void check_all(Tensor const& x) {
  Dense const dense{x.extents(), dense_values_of(x, 1)};
  std::int64_t const n = x.extent(Dimension);
  for (auto const& numbers : std::vector<std::array<std::int64_t, 3>>{
           {0, n, 1}, {n / 3, n, 1}, {1 % (n + 1), n, 3}, {0, n / 2, 2}, {n, n, 1}, {0, n, 5}}) {
    INFO(about(x, "slice", numbers));
    auto const y = slice<Dimension>(x, numbers[0], numbers[1], numbers[2]);
    CHECK(difference(y, rearranged(
                            dense, Dimension, (numbers[1] - numbers[0] + numbers[2] - 1) / numbers[2],
                            [](std::int64_t i, std::int64_t, auto const& of) { return of[0] + i * of[2]; }, numbers,
                            0)) == "");
  }
  for (auto const& numbers :
       std::vector<std::array<std::int64_t, 3>>{{0, 0, 0}, {2, 1, 0}, {1, 0, 2}, {-1, 2, 0}, {3, -2, 1}, {0, 7, 0}}) {
    std::int64_t const result = numbers[0] + (n == 0 ? 0 : (n - 1) * (numbers[2] + 1) + 1) + numbers[1];
    if (result < 0) continue;
    INFO(about(x, "pad", numbers));
    auto const y = pad<Dimension>(x, numbers[0], numbers[1], 9.0, numbers[2]);
    CHECK(difference(y, rearranged(
                            dense, Dimension, result,
                            [](std::int64_t i, std::int64_t extent, auto const& of) {
                              std::int64_t const place = i - of[0];
                              bool const exists =
                                  place >= 0 && place % (of[2] + 1) == 0 && place / (of[2] + 1) < extent;
                              return exists ? place / (of[2] + 1) : -1;
                            },
                            numbers, 9)) == "");
  }
  CHECK(difference(reverse<Dimension>(x),
                   rearranged(
                       dense, Dimension, n,
                       [](std::int64_t i, std::int64_t extent, auto const&) { return extent - 1 - i; }, {}, 0)) == "");
  for (std::int64_t shift : {1, -2, 7, 0}) {
    INFO(about(x, "roll", {shift, 0, 0}));
    CHECK(difference(roll<Dimension>(x, shift), rearranged(
                                                    dense, Dimension, n,
                                                    [](std::int64_t i, std::int64_t extent, auto const& of) {
                                                      return ((i - of[0]) % extent + extent) % extent;
                                                    },
                                                    {shift, 0, 0}, 0)) == "");
  }
}

template <int Dimension, class Tensor>
void check_joined(TwoAxes const& mesh, Extents const& first, std::int64_t second) {
  Extents other = first;
  other[Dimension] = second;
  auto const a = filled<Tensor>(mesh, first, 1);
  auto const b = filled<Tensor>(mesh, other, 5);
  std::vector<double> const of_a = dense_values_of(a, 1);
  std::vector<double> const of_b = dense_values_of(b, 5);
  std::vector<double> joined;
  std::vector<double> updated = of_a;
  std::int64_t const begin = first[Dimension] - second;
  std::int64_t const total = first[Dimension] + second;
  for (std::int64_t i = 0; i < (Dimension == 0 ? total : first[0]); ++i)
    for (std::int64_t j = 0; j < (Dimension == 1 ? total : first[1]); ++j) {
      std::int64_t const at = Dimension == 0 ? i : j;
      bool const in_a = at < first[Dimension];
      std::int64_t const row = Dimension == 0 && !in_a ? i - first[0] : i;
      std::int64_t const column = Dimension == 1 && !in_a ? j - first[1] : j;
      joined.push_back(in_a ? of_a[static_cast<std::size_t>(row * first[1] + column)]
                            : of_b[static_cast<std::size_t>(row * other[1] + column)]);
    }
  INFO(about(a, "concatenate and update", {second, 0, 0}));
  CHECK(difference(concatenate<Dimension>(a, b), joined) == "");
  CHECK(concatenate<Dimension>(a, b, a).extent(Dimension) == 2 * first[Dimension] + second);
  if (begin < 0) return;
  for (std::int64_t i = 0; i < other[0]; ++i)
    for (std::int64_t j = 0; j < other[1]; ++j) {
      std::int64_t const row = i + (Dimension == 0 ? begin : 0);
      std::int64_t const column = j + (Dimension == 1 ? begin : 0);
      updated[static_cast<std::size_t>(row * first[1] + column)] = of_b[static_cast<std::size_t>(i * other[1] + j)];
    }
  CHECK(difference(update_slice<Dimension>(a, b, begin), updated) == "");
}

}  // namespace

TEST_CASE(
    "slices with strides, padding before, behind, between and negative, reversal and rolls along split and whole dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{12, 8}, Extents{7, 5}, Extents{2, 3}, Extents{0, 4}, Extents{5, 1}}) {
      check_all<0>(filled<On<"x", "y">>(mesh, extents, 1));
      check_all<1>(filled<On<"x", "y">>(mesh, extents, 1));
      check_all<0>(filled<On<"y,x", _>>(mesh, extents, 1));
      check_all<1>(filled<On<"y", _>>(mesh, extents, 1));
      check_all<0>(filled<On<"x", _, partial("y")>>(mesh, extents, 1));
    }
  });
}

TEST_CASE("concatenation and updates of slices") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{8, 4}, Extents{5, 7}, Extents{1, 2}, Extents{0, 3}})
      for (std::int64_t second : {0, 1, 4, 6}) {
        check_joined<0, On<"x", "y">>(mesh, extents, second);
        check_joined<1, On<"x", "y">>(mesh, extents, second);
        check_joined<0, On<"x,y", _>>(mesh, extents, second);
        check_joined<1, On<"y", _>>(mesh, extents, second);
      }
  });
}

// ---- Cases that others met

TEST_CASE("C7: replicas of concatenated vectors are not summands") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const one = from_vector<On<"x">>(mesh, {2}, std::vector<double>{1, 1});
    auto const two = from_vector<On<"x">>(mesh, {2}, std::vector<double>{2, 2});
    CHECK(difference(concatenate<0>(one, two), {1, 1, 2, 2}) == "");
  });
}

TEST_CASE("C16: an update that does not lie in the tensor is refused on all ranks, not clamped or dropped") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<_, "x">>(mesh, {2, 2}, 1);
    auto const update = from_vector<On<_, "x">>(mesh, {2, 1}, std::vector<double>{99, 99});
    CHECK_THROWS_WITH_AS(update_slice<1>(x, update, 2),
                         doctest::Contains("1 indices from 2 on do not lie in dimension 1 of x (2, 2)"), ExtentError);
    CHECK_THROWS_AS(slice<1>(x, 1, 3), ExtentError);
  });
}

TEST_CASE("C19: a roll and its transpose, with one element to a shard") {
  on_every_mesh([](TwoAxes const& mesh) {
    Tape tape;
    auto const x = tape.watch(from_vector<On<"x,y">>(mesh, {4}, std::vector<double>{0, 1, 2, 3}));
    auto const y = roll<0>(x, 1);
    CHECK(difference(y.value(), {3, 0, 1, 2}) == "");
    tape.backward(y, from_vector<On<"x,y">>(mesh, {4}, std::vector<double>{0, 1, 2, 3}));
    CHECK(difference(tape.gradient(x), {1, 2, 3, 0}) == "");
  });
}

namespace {

std::vector<double> counted(int count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}

/// What a rank of `part` holds of `operation()`, and the bytes that it sends for it.
template <class Operation>
void check_blocks(Runtime& part, Operation const& operation, std::vector<std::vector<double>> const& blocks,
                  std::vector<std::int64_t> const& bytes) {
  part.ledger().clear();
  part.ledger().open();
  auto const y = operation();
  part.ledger().close();
  std::size_t const self = static_cast<std::size_t>(part.rank());
  CHECK(std::vector<double>(y.data(), y.data() + y.local_size()) == blocks[self]);
  CHECK(part.ledger().bytes_sent() == bytes[self]);
}

}  // namespace

TEST_CASE("T58: a slice [2, 9) of twelve over four ranks: each of its ends takes one element from a neighbour") {
  on_ranks(std::min(4, ranks()), [](Runtime& part) {
    TwoAxes const mesh(part, {part.size(), 1});
    auto const x = from_vector<On<"x">>(mesh, {12}, counted(12));
    CHECK(difference(slice<0>(x, 2, 9), {2, 3, 4, 5, 6, 7, 8}) == "");
    if (part.size() == 4)
      check_blocks(part, [&] { return slice<0>(x, 2, 9); }, {{2, 3}, {4, 5}, {6, 7}, {8}}, {0, 8, 8, 0});
  });
}

TEST_CASE("T60: every third of twelve over two ranks: nothing is sent") {
  on_ranks(std::min(2, ranks()), [](Runtime& part) {
    TwoAxes const mesh(part, {part.size(), 1});
    auto const x = from_vector<On<"x">>(mesh, {12}, counted(12));
    bool const alone = part.size() == 1;
    check_blocks(part, [&] { return slice<0>(x, 1, 12, 3); },
                 {alone ? std::vector<double>{1, 4, 7, 10} : std::vector<double>{1, 4}, {7, 10}}, {0, 0});
    CHECK(part.ledger().traffic().empty());
  });
}

TEST_CASE("T61: five elements reversed over two ranks: four of them cross, the short block stays the last") {
  on_ranks(std::min(2, ranks()), [](Runtime& part) {
    TwoAxes const mesh(part, {part.size(), 1});
    auto const x = from_vector<On<"x">>(mesh, {5}, counted(5));
    bool const alone = part.size() == 1;
    check_blocks(
        part, [&] { return reverse<0>(x); },
        {alone ? std::vector<double>{4, 3, 2, 1, 0} : std::vector<double>{4, 3, 2}, {1, 0}},
        alone ? std::vector<std::int64_t>{0} : std::vector<std::int64_t>{16, 16});
  });
}

TEST_CASE("A4: slices and padding of two elements on four ranks") {
  on_ranks(std::min(4, ranks()), [](Runtime& part) {
    TwoAxes const mesh(part, {part.size(), 1});
    auto const two = from_vector<On<"x">>(mesh, {2}, std::vector<double>{3, 5});
    CHECK(difference(slice<0>(two, 1, 2), {5}) == "");
    CHECK(difference(pad<0>(two, 1, 2, 9.0), {9, 3, 5, 9, 9}) == "");
    CHECK(difference(pad<0>(two, 0, -2), {}) == "");
  });
}

TEST_CASE("C8: a slice of a tensor with replicas is not their sum") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = from_vector<On<"x">>(mesh, {4}, std::vector<double>(4, 10000.0));
    for (std::int64_t i = 0; i < 4; ++i) CHECK(difference(slice<0>(x, i, i + 1), {10000}) == "");
  });
}

TEST_CASE("along a dimension that no axis splits nothing is sent") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x,y", _>>(mesh, {7, 5}, 1);
    Ledger& ledger = runtime().ledger();
    ledger.clear();
    ledger.open();
    (void)concatenate<1>(roll<1>(reverse<1>(x), 2), pad<1>(slice<1>(x, 1, 4), 1, 1));
    (void)update_slice<1>(x, x, 0);
    ledger.close();
    CHECK(ledger.traffic().empty());
  });
}

TEST_CASE("refusals name the tensor, its extents, the mesh and the rank; the largest stride is one") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x"> x(mesh, {4}, "weights");
    std::string const place =
        gshard::detail::concat("dimension 0 of x 'weights' (4); rank ", mesh.rank(), " of mesh (", mesh.text(), ")");
    CHECK_THROWS_WITH_AS(slice<0>(x, 1, 9), doctest::Contains(place.c_str()), ExtentError);
    CHECK_THROWS_WITH_AS(slice<0>(x, 0, 4, 0), doctest::Contains(place.c_str()), ExtentError);
    CHECK_THROWS_WITH_AS(pad<0>(x, -9, 0), doctest::Contains(place.c_str()), ExtentError);
    CHECK_THROWS_WITH_AS(update_slice<0>(x, x, std::numeric_limits<std::int64_t>::max()),
                         doctest::Contains("do not lie"), ExtentError);
    CHECK(slice<0>(x, 1, 4, std::numeric_limits<std::int64_t>::max()).extent(0) == 1);
  });
}

// ---- Gradients

TEST_CASE("gradients of rearrangements") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", "y">>(mesh, {5, 3}, 1, smooth);
    auto const b = filled<On<"x", "y">>(mesh, {2, 3}, 2, smooth);
    check_gradients([](auto const& x) { return weighted_sum(slice<0>(x, 1, 5, 2)); }, a);
    check_gradients([](auto const& x) { return weighted_sum(pad<0>(x, 2, -1, 1.5, 1)); }, a);
    check_gradients([](auto const& x) { return weighted_sum(reverse<1>(x)); }, a);
    check_gradients([](auto const& x) { return weighted_sum(roll<0>(x, 2)); }, a);
    check_gradients([](auto const& x, auto const& y) { return weighted_sum(concatenate<0>(x, y, x)); }, a, b);
    check_gradients([](auto const& x, auto const& y) { return weighted_sum(update_slice<0>(x, y, 2)); }, a, b);
    check_gradients([](auto const& x) { return weighted_sum(roll<0>(x, 3)); },
                    filled<On<"x", partial("y")>>(mesh, {4}, 3, smooth));
  });
}
