// SPDX-License-Identifier: Apache-2.0
// Any spec to any spec: the elements, and the block of every rank.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <tuple>
#include <type_traits>

#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
using Cube = Mesh<Axis<"x">, Axis<"y">, Axis<"z">>;

template <class Mesh, class Spec>
using Of = ShardedTensor<Mesh, Spec, double>;

template <class... Specs>
using List = std::tuple<std::type_identity<Specs>...>;

/// Calls `visit` for every pair of specs of the two lists.
template <class... From, class... To, class Visit>
void for_each_pair(std::tuple<From...>, std::tuple<To...> to, Visit const& visit) {
  auto one_to_all = [&]<class Source>(std::type_identity<Source>) {
    std::apply([&](auto... target) { (visit(std::type_identity<Source>{}, target), ...); }, to);
  };
  (one_to_all(From{}), ...);
}

/// Reshards a tensor of known elements and compares every rank's block.
template <class Mesh, class From, class To>
void check_reshard(Mesh const& mesh, Extents const& extents) {
  auto const source = filled<Of<Mesh, From>>(mesh, extents, 3);
  auto const expected = dense_values_of(source, 3);
  auto const before = local_values(source);
  auto const result = reshard<To>(source);
  static_assert(std::is_same_v<std::remove_const_t<decltype(result)>, Of<Mesh, To>>);
  INFO("mesh (", mesh.text(), "), extents ", gshard::detail::text_of(extents), ": ",
       gshard::detail::text_of<Mesh>(layout_of<Mesh, From>), " to ",
       gshard::detail::text_of<Mesh>(layout_of<Mesh, To>));
  CHECK(difference(result, expected) == "");
  CHECK(result.extents() == extents);
  CHECK_MESSAGE(local_values(source) == before, "the source is as it was");
}

template <class Mesh, class... From, class... To>
void check_all(Mesh const& mesh, std::vector<Extents> const& cases, std::tuple<From...> from, std::tuple<To...> to) {
  for (Extents const& extents : cases)
    for_each_pair(from, to, [&]<class Source, class Target>(std::type_identity<Source>, std::type_identity<Target>) {
      check_reshard<Mesh, Source, Target>(mesh, extents);
    });
}

/// Even (for most meshes), uneven, fewer than ranks, none.
std::vector<Extents> const matrices = {{8, 12}, {7, 5}, {2, 1}, {0, 3}};

using Whole = List<Spec<_, _>, Spec<"x", _>, Spec<_, "x">, Spec<"y", _>, Spec<"x", "y">, Spec<"y", "x">, Spec<"x,y", _>,
                   Spec<"y,x", _>, Spec<_, "x,y">>;
using Partial =
    List<Spec<_, _, partial("x")>, Spec<_, _, partial("x,y")>, Spec<"y", _, partial("x")>, Spec<_, "x", partial("y")>>;
using OneAxis = List<Spec<_, _>, Spec<"x", _>, Spec<_, "x">, Spec<_, _, partial("x")>>;
using ThreeAxes =
    List<Spec<"x,y,z", _, _>, Spec<"x", "y", "z">, Spec<_, "z,x", "y">, Spec<"y", _, "z", partial("x")>, Spec<_, _, _>>;

template <class From, class To>
constexpr std::size_t pairs = std::tuple_size_v<From> * std::tuple_size_v<To>;

}  // namespace

TEST_CASE("one axis: every spec to every spec") {
  Line const mesh(runtime(), {ranks()});
  check_all(mesh, matrices, OneAxis{}, OneAxis{});
  check_all(mesh, {{9, 4}, {17, 16}, {5, 10}}, OneAxis{}, OneAxis{});
}

TEST_CASE("two axes: every spec without partial to every other") {
  for (auto const& shape : two_axis_shapes()) check_all(TwoAxes(runtime(), shape), matrices, Whole{}, Whole{});
}

TEST_CASE("two axes: unreduced sums to every spec") {
  for (auto const& shape : two_axis_shapes()) check_all(TwoAxes(runtime(), shape), matrices, Partial{}, Whole{});
}

TEST_CASE("two axes: every spec to unreduced sums") {
  for (auto const& shape : two_axis_shapes()) {
    check_all(TwoAxes(runtime(), shape), matrices, Whole{}, Partial{});
    check_all(TwoAxes(runtime(), shape), matrices, Partial{}, Partial{});
  }
}

TEST_CASE("three axes and three dimensions") {
  int const z = ranks() % 2 == 0 ? 2 : 1;
  int const y = ranks() / z % 2 == 0 ? 2 : 1;
  check_all(Cube(runtime(), {ranks() / y / z, y, z}), {{4, 4, 8}, {5, 3, 7}, {1, 1, 2}, {2, 0, 2}}, ThreeAxes{},
            ThreeAxes{});
}

TEST_CASE(
    "how many pairs of specs the cases above compare with a dense reference, each on every mesh of this run and all extents") {
  std::size_t const one = pairs<OneAxis, OneAxis>;
  std::size_t const two = pairs<Whole, Whole> + pairs<Partial, Whole> + pairs<Whole, Partial> + pairs<Partial, Partial>;
  std::size_t const three = pairs<ThreeAxes, ThreeAxes>;
  MESSAGE(one << " pairs on one axis, " << two << " on two, " << three << " on three");
  CHECK(one + two + three == 210);
}

TEST_CASE("scalars") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  check_reshard<TwoAxes, Spec<>, Spec<>>(mesh, {});
  check_reshard<TwoAxes, Spec<partial("x")>, Spec<>>(mesh, {});
  check_reshard<TwoAxes, Spec<partial("x,y")>, Spec<>>(mesh, {});
  check_reshard<TwoAxes, Spec<>, Spec<partial("y")>>(mesh, {});
}

TEST_CASE("other element types") {
  Line const mesh(runtime(), {ranks()});
  auto round_trip = [&]<class T>(std::type_identity<T>) {
    auto const source = filled<ShardedTensor<Line, Spec<"x", _>, T>>(mesh, {5, 4}, 1);
    auto const exchanged = reshard<Spec<_, "x">>(source);
    CHECK(difference(exchanged, dense_values({5, 4}, 1)) == "");
    CHECK(difference(reshard<Spec<"x", _>>(exchanged), dense_values({5, 4}, 1)) == "");
    auto const sum = filled<ShardedTensor<Line, Spec<_, _, partial("x")>, T>>(mesh, {5, 4}, 1);
    CHECK(difference(replicate(sum), dense_values({5, 4}, 1, ranks())) == "");
  };
  round_trip(std::type_identity<float>{});
  round_trip(std::type_identity<std::int64_t>{});
  round_trip(std::type_identity<std::int32_t>{});
}

TEST_CASE("the paper's names: replicate, split, shard") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Extents const extents{6, 7};
  auto const expected = dense_values(extents, 2);
  auto const source = filled<Of<TwoAxes, Spec<"x", _>>>(mesh, extents, 2);
  auto const whole = replicate(source);
  auto const halves = split<1, "y">(source);
  auto const moved = split<0, "y">(source);
  auto const sharded = shard<Spec<_, "y,x">>(source);
  static_assert(std::is_same_v<decltype(whole)::spec_type, Spec<_, _>>);
  static_assert(std::is_same_v<decltype(halves)::spec_type, Spec<"x", "y">>, "the other dimension stays as it is");
  static_assert(std::is_same_v<decltype(moved)::spec_type, Spec<"y", _>>,
                "what split the dimension before is replaced");
  static_assert(std::is_same_v<decltype(sharded)::spec_type, Spec<_, "y,x">>);
  CHECK(difference(whole, expected) == "");
  CHECK(difference(halves, expected) == "");
  CHECK(difference(moved, expected) == "");
  CHECK(difference(sharded, expected) == "");
}

TEST_CASE("a tensor that is as wanted already is returned itself") {
  Line const mesh(runtime(), {ranks()});
  auto const source = filled<Of<Line, Spec<"x", _>>>(mesh, {4, 4}, 0);
  CHECK(shares_elements(reshard<Spec<"x", _>>(source), source));
}

TEST_CASE("an rvalue is overwritten where nobody else holds it, and only there") {
  Line const mesh(runtime(), {ranks()});
  Extents const extents{4, 4};
  using Sum = Of<Line, Spec<_, _, partial("x")>>;
  auto alone = filled<Sum>(mesh, extents, 5);
  auto const* const memory = alone.data();
  auto const reduced = reshard<Spec<_, _>>(std::move(alone));
  CHECK(reduced.data() == memory);
  CHECK(difference(reduced, dense_values(extents, 5, ranks())) == "");

  auto shared = filled<Sum>(mesh, extents, 5);
  Sum const witness = shared;
  auto const before = local_values(witness);
  CHECK_FALSE(shares_elements(reshard<Spec<_, _>>(std::move(shared)), witness));
  CHECK(local_values(witness) == before);
}

TEST_CASE(
    "over axes of size 1 nothing moves: an rvalue passes its memory on, an lvalue is copied, and what is only read is shared") {
  using Grid = Mesh<Axis<"x">, Axis<"one", 1>>;
  Grid const mesh(runtime(), {ranks(), 1});
  Extents const extents{4, 6};
  auto check = [&]<class From, class To>(std::type_identity<From>, std::type_identity<To>) {
    auto source = filled<Of<Grid, From>>(mesh, extents, 2);
    auto const expected = dense_values_of(source, 2);
    auto const* const memory = source.data();
    CHECK(shares_elements(gshard::detail::reshard_or_share<To>(source), source));
    auto const own = reshard<To>(source);
    CHECK((own.data() != memory || own.local_size() == 0));
    CHECK(difference(own, expected) == "");
    auto const witness = source;
    CHECK((!shares_elements(reshard<To>(std::move(source)), witness) || own.local_size() == 0));
    CHECK(difference(witness, expected) == "");
    auto const moved = reshard<To>(filled<Of<Grid, From>>(mesh, extents, 2));
    CHECK(difference(moved, expected) == "");
    auto alone = filled<Of<Grid, From>>(mesh, extents, 2);
    auto const* const its_memory = alone.data();
    auto const passed_on = reshard<To>(std::move(alone));
    CHECK(passed_on.data() == its_memory);
  };
  check(std::type_identity<Spec<"x", "one">>{}, std::type_identity<Spec<"x", _>>{});
  check(std::type_identity<Spec<"x", _>>{}, std::type_identity<Spec<"x,one", _>>{});
  check(std::type_identity<Spec<"one,x", _>>{}, std::type_identity<Spec<"x", "one">>{});
  check(std::type_identity<Spec<_, "one", partial("x")>>{}, std::type_identity<Spec<"one", _, partial("x")>>{});
  check(std::type_identity<Spec<"x", _, partial("one")>>{}, std::type_identity<Spec<"x", "one">>{});
  check(std::type_identity<Spec<"x", _>>{}, std::type_identity<Spec<"x", _, partial("one")>>{});
}

TEST_CASE("an exchange packs what several ranks want once") {
  if (ranks() != 1) {
    // Each block of y goes to every rank along x: without packing it once, the buffer would be as many times the block.
    TwoAxes const mesh(runtime(), {ranks(), 1});
    using Source = Of<TwoAxes, Spec<_, "x", "y">>;
    auto const source = filled<Source>(mesh, {64, 8 * ranks(), 8}, 1);
    auto const reserved = mesh.memory().bytes_reserved<Source::memory_space>();
    auto const result = reshard<Spec<"y", _, _>>(source);
    std::size_t const page = 4096;
    std::size_t const whole = MemoryPool::rounded(static_cast<std::size_t>(source.size()) * sizeof(double)) + page;
    CHECK_MESSAGE(mesh.memory().bytes_reserved<Source::memory_space>() - reserved <= 2 * whole,
                  "the result, and what is received for it");
  }
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    for (Extents const& extents : {Extents{4, 6, 5}, Extents{1, 7, 2}}) {
      check_reshard<TwoAxes, Spec<_, "x", "y">, Spec<"y", _, _>>(mesh, extents);
      check_reshard<TwoAxes, Spec<_, "x,y", _>, Spec<_, _, "y">>(mesh, extents);
      check_reshard<TwoAxes, Spec<"y,x", _, _>, Spec<_, _, "x">>(mesh, extents);
    }
  }
}

TEST_CASE("extents that the types fix stay fixed") {
  Line const mesh(runtime(), {ranks()});
  using Rows = Of<Line, Spec<extent("x", 6), extent(5)>>;
  auto const rows = filled<Rows>(mesh, {6, 5}, 1);
  auto const columns = reshard<Spec<_, "x">>(rows);
  static_assert(std::is_same_v<decltype(columns)::spec_type, Spec<extent(6), extent("x", 5)>>);
  CHECK(difference(columns, dense_values({6, 5}, 1)) == "");
  auto const named = reshard<Spec<extent(6), "x">>(filled<Of<Line, Spec<"x", extent(5)>>>(mesh, {6, 5}, 1));
  static_assert(std::is_same_v<decltype(named)::spec_type, Spec<extent(6), extent("x", 5)>>);
  CHECK(difference(named, dense_values({6, 5}, 1)) == "");
  CHECK(replicate(rows).extents() == Extents{6, 5});
  static_assert(largest_buffer<ShardedTensor<Mesh<Axis<"x", 2>>, Spec<extent("x", 6), extent(5)>>, Spec<_, "x">>() ==
                18);
  using Seven = Spec<extent(7), "x">;
  auto const six = filled<Of<Line, Spec<"x", _>>>(mesh, {6, 5}, 1);
  CHECK_THROWS_AS(reshard<Seven>(six), ExtentError);
}

TEST_CASE("to_vector gives all elements in row-major order on every rank") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  CHECK(to_vector(filled<Of<TwoAxes, Spec<"y", "x">>>(mesh, {5, 3}, 7)) == dense_values({5, 3}, 7));
  CHECK(to_vector(filled<Of<TwoAxes, Spec<"y", "x">>>(mesh, {0, 3}, 7)).empty());
}

TEST_CASE("messages in pieces give what one call gives") {
  Line const mesh(runtime(), {ranks()});
  Extents const extents{7, 6};
  auto const source = filled<Of<Line, Spec<"x", _>>>(mesh, extents, 4);
  Of<Line, Spec<_, "x">> const exchanged(mesh, extents);
  Of<Line, Spec<_, _>> const gathered(mesh, extents);
  Of<Line, Spec<"x", _>> const scattered(mesh, extents);
  auto const parts = filled<Of<Line, Spec<_, _, partial("x")>>>(mesh, extents, 4);
  using Transfer = gshard::detail::Transfer<decltype(source)::memory_space, double>;
  auto transfer = [&](auto const& from, auto const& to) {
    return Transfer{mesh.state(), extents, from.layout, to.layout, from.data(), to.data(), 3};
  };
  move_exchange(transfer(source, exchanged), AxisSet::of(0));
  move_all_gather(transfer(source, gathered), AxisSet::of(0));
  move_reduce_scatter(transfer(parts, scattered), AxisSet::of(0));
  CHECK(difference(exchanged, dense_values(extents, 4)) == "");
  CHECK(difference(gathered, dense_values(extents, 4)) == "");
  CHECK(difference(scattered, dense_values(extents, 4, ranks())) == "");
}
