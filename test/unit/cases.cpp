// SPDX-License-Identifier: Apache-2.0
// Cases cut down from public reports about other systems, and values from the paper: each with the right answer by
// hand. Every case says on how many ranks it runs, and takes the first ones of this run.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <array>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>
#include <gshard/tensor/from_local.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
template <AxisNames... Entries>
using OnLine = ShardedTensor<Line, Spec<Entries...>, double>;
template <AxisNames... Entries>
using OnGrid = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

using Values = std::vector<double>;

/// 0, 1, 2, ... in row-major order.
double count_up(std::int64_t, std::int64_t position) { return static_cast<double>(position); }

template <class Tensor>
Tensor arange(typename Tensor::mesh_type const& mesh, Extents const& extents) {
  return filled<Tensor>(mesh, extents, 0, count_up);
}

/// A tensor of these elements in row-major order.
template <class Tensor>
Tensor of_values(typename Tensor::mesh_type const& mesh, Extents const& extents, Values const& values) {
  Tensor const tensor(mesh, extents);
  std::vector<std::size_t> const positions = global_positions(tensor);
  for (std::size_t i = 0; i < positions.size(); ++i) tensor.data()[i] = values[positions[i]];
  return tensor;
}

/// A tensor whose local block on this rank is these elements.
template <class Tensor>
Tensor of_blocks(typename Tensor::mesh_type const& mesh, Extents const& extents, std::vector<Values> const& blocks) {
  Tensor const tensor(mesh, extents);
  Values const& mine = blocks[static_cast<std::size_t>(rank())];
  std::copy(mine.begin(), mine.end(), tensor.data());
  return tensor;
}

/// What the ranks hold, one after the other.
template <class Tensor>
void check_blocks(Tensor const& tensor, std::vector<Values> const& expected) {
  CHECK(local_values(tensor) == expected[static_cast<std::size_t>(rank())]);
}

}  // namespace

// ---- A. Shard boundaries

TEST_CASE("A1: the mean is the sum over the global count, however uneven or empty the shards") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const uneven = arange<OnLine<"x", _>>(mesh, {3, 4});
    CHECK(mean(uneven) == 5.5);
    auto const empty = arange<OnLine<"x", _>>(mesh, {1, 4});
    CHECK(mean(empty) == 1.5);
  });
}

TEST_CASE("A2: split and gathered again, a tensor has its old shape and bytes") {
  on_ranks(4, [](Runtime& four) {
    Line const mesh(four, {4});
    auto const source = arange<OnLine<_, _>>(mesh, {5, 10});
    auto const rows = split<0, "x">(source);
    CHECK(rows.local_extent(0) == std::array{2, 2, 1, 0}[static_cast<std::size_t>(rank())]);
    auto const again = replicate(rows);
    CHECK(again.extents() == Extents{5, 10});
    CHECK(local_values(again) == local_values(source));
  });
}

TEST_CASE("A3: every rank knows the global extents") {
  on_ranks(4, [](Runtime& four) {
    std::size_t const mine = rank() < 3 ? 3 : 1;
    Kokkos::View<double**, Kokkos::LayoutLeft, Kokkos::HostSpace> const view("rows", mine, 2);
    for (std::size_t i = 0; i < mine; ++i)
      for (std::size_t j = 0; j < 2; ++j)
        view(i, j) = static_cast<double>(2 * (3 * static_cast<std::size_t>(rank()) + i) + j);
    auto const rows = from_local<OnLine<"x", _>>(Line(four, {4}), {10, 2}, view);
    CHECK(rows.extents() == Extents{10, 2});
    CHECK(rows.local_extent(0) == std::array{3, 3, 3, 1}[static_cast<std::size_t>(rank())]);
    CHECK(to_vector(rows) == Values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  });
}

TEST_CASE("A4: two elements on four ranks") {
  on_ranks(4, [](Runtime& four) {
    Line const mesh(four, {4});
    auto const two = of_values<OnLine<"x">>(mesh, {2}, {3, 5});
    CHECK(two.local_size() == std::array{1, 1, 0, 0}[static_cast<std::size_t>(rank())]);
    CHECK(two.range(0).begin == std::array{0, 1, 2, 2}[static_cast<std::size_t>(rank())]);
    CHECK(sum(two) == 8);
    CHECK(to_vector(einsum<"a,a->">(two, two).eval()) == Values{34});
    CHECK(to_vector(two) == Values{3, 5});
  });
}

TEST_CASE("A5, A6: extents that the axis does not divide are split nevertheless") {
  on_ranks(8, [](Runtime& eight) {
    Line const mesh(eight, {8});
    CHECK(OnLine<"x", _>(mesh, {17, 16}).local_extent(0) ==
          std::array{3, 3, 3, 3, 3, 2, 0, 0}[static_cast<std::size_t>(rank())]);
    CHECK(OnLine<"x", _>(mesh, {7, 1}).local_extent(0) == (rank() < 7 ? 1 : 0));
  });
  on_ranks(4, [](Runtime& four) {
    CHECK(OnLine<"x">(Line(four, {4}), {5}).local_extent(0) ==
          std::array{2, 2, 1, 0}[static_cast<std::size_t>(rank())]);
  });
}

TEST_CASE("A9: tensors that are cut at different rows are of different types; added after a reshard, rows meet") {
  on_ranks(2, [](Runtime& two) {
    TwoAxes const mesh(two, {2, 1});
    auto const a = of_values<OnGrid<"x", _>>(mesh, {2, 3}, {1, 0, 0, 0, 1, 0});
    auto const b = of_values<OnGrid<"y", _>>(mesh, {2, 3}, {0, 1, 0, 0, 0, 1});
    CHECK(a.local_extent(0) == 1);
    CHECK(b.local_extent(0) == 2);
    static_assert(a.layout != b.layout, "a + b does not compile: compile_fail/pointwise_specs_differ.cpp");
    CHECK(to_vector(eval(a + reshard<Spec<"x", _>>(b))) == Values{1, 1, 0, 0, 1, 1});
  });
}

TEST_CASE("T34: blocks of [3,16,64] on [1,2,4]") {
  on_ranks(8, [](Runtime& eight) {
    TwoAxes const mesh(eight, {2, 4});
    CHECK(OnGrid<_, "x", "y">(mesh, {3, 16, 64}).local_extents() == Extents{3, 8, 16});
  });
}

// ---- B. Unreduced sums

TEST_CASE("B1: a number is added to a sum once") {
  on_ranks(2, [](Runtime& two) {
    auto const numbers = arange<OnLine<"x">>(Line(two, {2}), {10});
    CHECK(sum(numbers) + 10 == 55);
    auto const total = einsum<"a->">(numbers).eval();
    CHECK(to_vector(eval(total + 10)) == Values{55});
  });
}

TEST_CASE("B2: the norm is that of the reduced tensor") {
  on_ranks(2, [](Runtime& two) {
    auto const parts = of_blocks<OnLine<_, partial("x")>>(Line(two, {2}), {2}, {{1, 3}, {2, 1}});
    CHECK(norm(replicate(parts)) == doctest::Approx(5));
  });
}

TEST_CASE("B3: multiples of one unreduced sum are reduced each for itself") {
  on_ranks(2, [](Runtime& two) {
    auto const parts = of_blocks<OnLine<_, partial("x")>>(Line(two, {2}), {1}, {{1}, {2}});
    CHECK(to_vector(eval(-5 * parts)) == Values{-15});
    CHECK(to_vector(eval(2 * parts)) == Values{6});
  });
}

TEST_CASE("B4: a bias is added once, and the gradient of the sum is not summed again") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    Tape tape;
    auto const x = tape.watch(of_values<OnLine<_, "x">>(mesh, {1, 2}, {1, 2}));
    auto const w = tape.watch(of_values<OnLine<"x", _>>(mesh, {2, 1}, {3, 4}));
    auto const b = tape.watch(of_values<OnLine<_, _>>(mesh, {1, 1}, {10}));
    auto const z = eval(einsum<"ab,bc->ac">(x, w)) + b;
    CHECK(to_vector(z.value()) == Values{21});
    tape.backward(sum(z));
    CHECK(collected(tape.gradient(x)) == Values{3, 4});
    CHECK(collected(tape.gradient(w)) == Values{1, 2});
    CHECK(local_values(tape.gradient(b)) == Values{1});
  });
}

TEST_CASE(
    "B4: a bias that joins an unreduced sum counts once, and a sum that is kept is reduced once, forward and backward") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    Tape tape;
    auto const x = tape.watch(of_values<OnLine<_, "x">>(mesh, {1, 2}, {1, 2}));
    auto const w = tape.watch(of_values<OnLine<"x", _>>(mesh, {2, 1}, {3, 4}));
    auto const b = tape.watch(of_values<OnLine<_, _>>(mesh, {1, 1}, {10}));
    Var<OnLine<_, _, partial("x")>> const kept = einsum<"ab,bc->ac">(x, w);
    auto const parts = 2 * kept + reshard<Spec<_, _, partial("x")>>(b) - kept / 2;
    static_assert(!decltype(parts)::tensor_type::layout.partial.empty());
    auto const z = reshard<Spec<_, _>>(parts);
    CHECK(to_vector(z.value()) == Values{1.5 * 11 + 10});
    tape.backward(sum(z));
    CHECK(collected(tape.gradient(x)) == Values{4.5, 6});
    CHECK(collected(tape.gradient(w)) == Values{1.5, 3});
    CHECK(local_values(tape.gradient(b)) == Values{1});
  });
}

TEST_CASE("B5: scattering the parts of a sum has neither a factor forward nor backward") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    Tape tape;
    auto const parts = tape.watch(of_blocks<OnLine<_, partial("x")>>(mesh, {2}, {{1, 2}, {1, 2}}));
    auto const scattered = reshard<Spec<"x">>(parts);
    check_blocks(scattered.value(), {{2}, {4}});
    auto const kept = reshard<Spec<_, partial("x")>>(parts);
    tape.backward(sum(scattered) + 3 * sum(kept));
    CHECK_MESSAGE((local_values(tape.gradient(parts)) == Values{4, 4}), "1 from the scattered sum, 3 from the other");
  });
}

TEST_CASE("B10: from split columns to an unreduced sum by filling with zeros") {
  on_ranks(2, [](Runtime& two) {
    check_blocks(reshard<Spec<_, _, partial("x")>>(arange<OnLine<_, "x">>(Line(two, {2}), {2, 2})),
                 {{0, 0, 2, 0}, {0, 1, 0, 3}});
  });
}

// ---- C. Layout and movement

TEST_CASE("C1: two operands with different axis orders on the contracted letter") {
  on_ranks(4, [](Runtime& four) {
    TwoAxes const mesh(four, {2, 2});
    auto const a = arange<OnGrid<_, "x,y">>(mesh, {4, 4});
    auto const b = arange<OnGrid<"y,x", _>>(mesh, {4, 4});
    OnGrid<_, _> const product = einsum<"ab,bc->ac">(a, movable(b));
    CHECK(to_vector(product) == Values{56, 62, 68, 74, 152, 174, 196, 218, 248, 286, 324, 362, 344, 398, 452, 506});
  });
}

TEST_CASE("C3: two split dimensions: rank 2x+y holds the tile (x, y)") {
  on_ranks(4, [](Runtime& four) {
    check_blocks(arange<OnGrid<"x", "y">>(TwoAxes(four, {2, 2}), {2, 2}), {{0}, {1}, {2}, {3}});
  });
}

TEST_CASE("C4: axes on one dimension are major to minor as listed") {
  on_ranks(4, [](Runtime& four) {
    TwoAxes const mesh(four, {2, 2});
    auto const xy = arange<OnGrid<"x,y">>(mesh, {4});
    auto const yx = arange<OnGrid<"y,x">>(mesh, {4});
    check_blocks(xy, {{0}, {1}, {2}, {3}});
    check_blocks(yx, {{0}, {2}, {1}, {3}});
    check_blocks(reshard<Spec<"y,x">>(xy), {{0}, {2}, {1}, {3}});
    check_blocks(reshard<Spec<"x,y">>(yx), {{0}, {1}, {2}, {3}});
  });
}

TEST_CASE("C3, C4 between meshes: a rank gets the block that its coordinates in the new mesh say") {
  on_ranks(4, [](Runtime& four) {
    TwoAxes const mesh(four, {2, 2});
    TwoAxes const turned(four, {2, 2}, RankOrder{3, 2, 1, 0});
    Line const line(four, {4});
    auto const tiles = arange<OnGrid<"x", "y">>(mesh, {2, 2});
    check_blocks(reshard<Spec<"x", "y">>(tiles, turned), {{3}, {2}, {1}, {0}});
    check_blocks(reshard<Spec<"x", _>>(arange<OnGrid<"x", "y">>(mesh, {4, 1}), line), {{0}, {1}, {2}, {3}});
    auto const yx = arange<OnGrid<"y,x">>(mesh, {4});
    check_blocks(reshard<Spec<"x">>(yx, line), {{0}, {1}, {2}, {3}});
    check_blocks(reshard<Spec<"x,y">>(yx, turned), {{3}, {2}, {1}, {0}});
  });
}

TEST_CASE("from a mesh of 4 x 2 to one of 2 x 4") {
  on_ranks(8, [](Runtime& eight) {
    auto const tall = arange<OnGrid<"x", "y">>(TwoAxes(eight, {4, 2}), {4, 4});
    check_blocks(tall, {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}, {12, 13}, {14, 15}});
    check_blocks(reshard<Spec<"x", "y">>(tall, TwoAxes(eight, {2, 4})),
                 {{0, 4}, {1, 5}, {2, 6}, {3, 7}, {8, 12}, {9, 13}, {10, 14}, {11, 15}});
  });
}

TEST_CASE("C5: an all-to-all splits the new dimension and joins the old one") {
  on_ranks(2, [](Runtime& two) {
    check_blocks(reshard<Spec<_, "x">>(arange<OnLine<"x", _>>(Line(two, {2}), {4, 4})),
                 {{0, 1, 4, 5, 8, 9, 12, 13}, {2, 3, 6, 7, 10, 11, 14, 15}});
  });
}

TEST_CASE("C6: a reduce-scatter inside the groups of one axis") {
  on_ranks(8, [](Runtime& eight) {
    // One column of arange(64) as 8x8 on each rank; the ranks {0,2,4,6} sum theirs, and {1,3,5,7}.
    OnGrid<_, "y", partial("x")> const columns(TwoAxes(eight, {4, 2}), {8, 2});
    for (int row = 0; row < 8; ++row) columns.data()[row] = 8 * row + rank();
    CHECK(collected(reshard<Spec<"x", "y">>(columns)) ==
          Values{12, 16, 44, 48, 76, 80, 108, 112, 140, 144, 172, 176, 204, 208, 236, 240});
  });
}

TEST_CASE("C8: replicas are not summands") {
  on_ranks(4, [](Runtime& four) {
    auto const source =
        filled<OnGrid<"x">>(TwoAxes(four, {2, 2}), {4}, 0, [](std::int64_t, std::int64_t) { return 10000.0; });
    CHECK(local_values(source) == Values(2, 10000.0));
    CHECK(to_vector(source) == Values(4, 10000.0));
    CHECK(sum(source) == 40000);
  });
}

TEST_CASE("C12: no rank holds more than its share on the way") {
  on_ranks(8, [](Runtime& eight) {
    Mesh<Axis<"x", 4>, Axis<"y", 2>> const mesh(eight);
    using Source = ShardedTensor<Mesh<Axis<"x", 4>, Axis<"y", 2>>, Spec<"y", _, "x">, double>;
    auto const source = filled<Source>(mesh, {16, 16, 16}, 0);
    auto const reserved = [&] { return eight.memory()->bytes_reserved<Source::memory_space>(); };
    auto const before = reserved();
    auto const result = reshard<Spec<_, "x,y", _>>(source);
    CHECK_MESSAGE(reserved() - before <= 3 * 512 * sizeof(double),
                  "the result, and one packed copy on each side of the exchange");
    CHECK(result.local_size() == 512);
    CHECK(difference(result, dense_values({16, 16, 16}, 0)) == "");
  });
}

// ---- D. Gradients

TEST_CASE("D1: the gradient of a loss that is summed over ranks, the same on each") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const data = arange<OnLine<"x">>(mesh, {2});
    Tape tape;
    auto const w = tape.watch(of_values<OnLine<>>(mesh, {}, {1}));
    auto const loss = eval(einsum<",a->">(square(w) + 1, data));
    CHECK(to_vector(loss.value()) == Values{2});
    tape.backward(loss);
    CHECK(local_values(tape.gradient(w)) == Values{2});
  });
}

TEST_CASE("D2: a replicated value needs no reduction backward, however often it is replicated") {
  on_ranks(8, [](Runtime& eight) {
    Line const mesh(eight, {8});
    Tape tape;
    auto const x = tape.watch(of_values<OnLine<>>(mesh, {}, {3}));
    tape.backward(replicate(replicate(x)));
    CHECK(local_values(tape.gradient(x)) == Values{1});
    static_assert(reshard_plan_of<OnLine<>, Spec<>>.steps.empty());
  });
}

TEST_CASE("D4: replicated gradients count once in a norm") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const replicated = of_values<OnLine<_>>(mesh, {1}, {3});
    auto const sharded = of_values<OnLine<"x">>(mesh, {2}, {4, 12});
    CHECK(std::sqrt(sum(square(replicated)) + sum(square(sharded))) == doctest::Approx(13));
  });
}

TEST_CASE("D5: the norm is the same on every rank") {
  on_ranks(
      2, [](Runtime& two) { CHECK(norm(of_values<OnLine<"x">>(Line(two, {2}), {2}, {3, 4})) == doctest::Approx(5)); });
}

// ---- F. Einsums

TEST_CASE("F4: a letter in both operands and the result beside a contraction") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const t = of_values<OnLine<"x", _, _, _>>(mesh, {2, 1, 1, 2}, {1, 2, 3, 4});
    auto const g = of_values<OnLine<"x", _, _, _>>(mesh, {2, 1, 2, 1}, {1, 1, 1, 2});
    CHECK(to_vector(einsum<"rbij,rijl->rbl">(t, g).eval()) == Values{3, 11});
  });
}

TEST_CASE("F5: repeated letters that are not at the end") {
  on_ranks(2, [](Runtime& two) {
    auto const a = arange<OnLine<_, _, "x">>(Line(two, {2}), {2, 2, 3});
    CHECK(to_vector(einsum<"iij->ij">(a).eval()) == Values{0, 1, 2, 9, 10, 11});
    CHECK(to_vector(einsum<"iij->i">(a).eval()) == Values{3, 30});
    CHECK(to_vector(einsum<"iij->j">(a).eval()) == Values{9, 11, 13});
  });
}

TEST_CASE("F6: an outer product whose operand's letters are apart in the result") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const a = of_values<OnLine<"x", _>>(mesh, {2, 2}, {1, 2, 3, 4});
    auto const b = of_values<OnLine<_>>(mesh, {2}, {10, 20});
    CHECK(to_vector(einsum<"ac,b->abc">(a, b).eval()) == Values{10, 20, 20, 40, 30, 40, 60, 80});
  });
}

TEST_CASE("F7: a vector contracted with the first letter") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const a = of_values<OnLine<"x", _>>(mesh, {2, 2}, {1, 2, 3, 4});
    auto const ones = of_values<OnLine<"x">>(mesh, {2}, {1, 1});
    CHECK(to_vector(einsum<"ij,i->j">(a, ones).eval()) == Values{4, 6});
  });
}

TEST_CASE("F9: on part of the ranks, the rest is never touched") {
  on_ranks(3, [](Runtime& three) {
    MPI_Comm two = MPI_COMM_NULL;
    MPI_Comm_split(three.communicator(), three.rank() < 2 ? 0 : MPI_UNDEFINED, 0, &two);
    CHECK((two == MPI_COMM_NULL) == (three.rank() == 2));
    if (two == MPI_COMM_NULL) return;
    {
      Runtime part(two);
      Line const mesh(part, {2});
      auto const a = arange<OnLine<_, "x">>(mesh, {2, 4});
      auto const b = arange<OnLine<"x", _>>(mesh, {4, 2});
      CHECK(to_vector(einsum<"ab,bc->ac">(a, b).eval()) == Values{28, 34, 76, 98});
    }
    MPI_Comm_free(&two);
  });
}

TEST_CASE("F10: equal block sizes do not make equal layouts") {
  on_ranks(4, [](Runtime& four) {
    CHECK(local_values(replicate(arange<OnLine<"x">>(Line(four, {4}), {4}))) == Values{0, 1, 2, 3});
    auto const along_x = arange<OnGrid<"x">>(TwoAxes(four, {2, 2}), {4});
    check_blocks(along_x, {{0, 1}, {0, 1}, {2, 3}, {2, 3}});
    check_blocks(reshard<Spec<"y">>(along_x), {{0, 1}, {2, 3}, {0, 1}, {2, 3}});
    check_blocks(reshard<Spec<"x">>(along_x, TwoAxes(four, {2, 2}, RankOrder{0, 2, 1, 3})),
                 {{0, 1}, {2, 3}, {0, 1}, {2, 3}});
  });
}

TEST_CASE("F11: a matrix in column-major order and one in row-major order are sent as the same matrix") {
  on_ranks(2, [](Runtime& two) {
    // Both ranks hold the rows [1 2 3] and [4 5 6]; rank 0 lists them column by column.
    OnLine<"x", _, _> const matrices(Line(two, {2}), {2, 2, 3});
    auto const own = Kokkos::subview(matrices.local(), 0, Kokkos::ALL, Kokkos::ALL);
    auto const fill_view = [](auto const& view) {
      for (std::size_t i = 0; i < 2; ++i)
        for (std::size_t j = 0; j < 3; ++j) view(i, j) = static_cast<double>(3 * i + j + 1);
    };
    if (rank() == 0) {
      Kokkos::View<double**, Kokkos::LayoutLeft, Kokkos::HostSpace> const columns("columns", 2, 3);
      fill_view(columns);
      Kokkos::deep_copy(own, columns);
    } else {
      Kokkos::View<double**, Kokkos::LayoutRight, Kokkos::HostSpace> const rows("rows", 2, 3);
      fill_view(rows);
      Kokkos::deep_copy(own, rows);
    }
    CHECK(to_vector(matrices) == Values{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6});
  });
}

TEST_CASE("F18: operands of one dimension and of none") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const matrix = of_values<OnLine<"x", _>>(mesh, {2, 2}, {1, 2, 3, 4});
    auto const vector = of_values<OnLine<_>>(mesh, {2}, {10, 1});
    auto const number = of_values<OnLine<>>(mesh, {}, {3});
    CHECK(to_vector(einsum<"ab,b->a">(matrix, vector).eval()) == Values{12, 34});
    CHECK(to_vector(einsum<"a,a->">(vector, vector).eval()) == Values{101});
    CHECK(to_vector(einsum<"a,->a">(vector, number).eval()) == Values{30, 3});
    CHECK(to_vector(einsum<",->">(number, number).eval()) == Values{9});
    CHECK(to_vector(einsum<"a->">(vector).eval()) == Values{11});
    CHECK(to_vector(einsum<"a->a">(vector).eval()) == Values{10, 1});
  });
}

// ---- The paper's own values

TEST_CASE("T40: from groups to experts, row-major by expert and group") {
  on_ranks(2, [](Runtime& two) {
    OnLine<_, "x", _, _> const groups(Line(two, {2}), {4, 2, 1, 1});
    fill(groups, [](GlobalIndex<4> const& index) {
      return 100.0 * static_cast<double>(index[0]) + 10.0 * static_cast<double>(index[1]);
    });
    check_blocks(groups, {{0, 100, 200, 300}, {10, 110, 210, 310}});
    check_blocks(reshard<Spec<"x", _, _, _>>(groups), {{0, 10, 100, 110}, {200, 210, 300, 310}});
  });
}

TEST_CASE("T42: a contraction over a split letter: parts, their sum, and the sum scattered") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const product = [&] {
      return einsum<"ab,bc->ac">(arange<OnLine<_, "x">>(mesh, {2, 4}), arange<OnLine<"x", _>>(mesh, {4, 2}));
    };
    check_blocks(product().eval_as<Spec<_, _, partial("x")>>(), {{2, 3, 10, 19}, {26, 31, 66, 79}});
    check_blocks(product().eval_as<Spec<_, _>>(), {{28, 34, 76, 98}, {28, 34, 76, 98}});
    check_blocks(product().eval_as<Spec<"x", _>>(), {{28, 34}, {76, 98}});
  });
}

TEST_CASE("T43: an uneven contraction has no padding that could leak in") {
  on_ranks(2, [](Runtime& two) {
    Line const mesh(two, {2});
    auto const a = of_values<OnLine<"x">>(mesh, {3}, {1, 2, 3});
    auto const b = of_values<OnLine<"x">>(mesh, {3}, {4, 5, 6});
    auto const product = [&] { return einsum<"a,a->">(a, b); };
    check_blocks(product().eval_as<Spec<partial("x")>>(), {{14}, {18}});
    CHECK(to_vector(product().eval()) == Values{32});
  });
}
