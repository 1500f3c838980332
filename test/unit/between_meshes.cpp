// SPDX-License-Identifier: Apache-2.0
// Tensors that move from one mesh to another over the same ranks: other axes, sizes and rank orders.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <tuple>
#include <type_traits>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
using Other = Mesh<Axis<"row">, Axis<"column">>;

template <class Mesh, class Spec>
using Of = ShardedTensor<Mesh, Spec, double>;

RankOrder backwards() {
  RankOrder order;
  for (int r = ranks(); r-- > 0;) order.ranks.push_back(r);
  return order;
}

template <class From, class To, class Before, class After>
void check_move(Before const& before, After const& after, Extents const& extents) {
  auto const source = filled<Of<Before, From>>(before, extents, 3);
  auto const elements = local_values(source);
  auto const result = reshard<To>(source, after);
  static_assert(std::is_same_v<std::remove_const_t<decltype(result)>, Of<After, To>>);
  INFO("mesh (", before.text(), ") to (", after.text(), "), extents ", gshard::detail::text_of(extents), ": ",
       gshard::detail::text_of<Before>(layout_of<Before, From>), " to ",
       gshard::detail::text_of<After>(layout_of<After, To>));
  CHECK(result.mesh() == after);
  CHECK(difference(result, dense_values_of(source, 3)) == "");
  CHECK_MESSAGE(local_values(source) == elements, "the source is as it was");
  // And back.
  if constexpr (layout_of<Before, From>.partial.empty() && layout_of<After, To>.partial.empty())
    CHECK(local_values(reshard<From>(result, before)) == elements);
}

template <class... Specs>
struct List {};

template <class Before, class After, class... From, class... To>
void check_all(Before const& before, After const& after, List<From...>, List<To...>) {
  for (Extents const& extents : {Extents{8, 12}, Extents{7, 5}, Extents{2, 1}, Extents{0, 3}}) {
    auto to_all = [&]<class Source>(std::type_identity<Source>) {
      (check_move<Source, To>(before, after, extents), ...);
    };
    (to_all(std::type_identity<From>{}), ...);
  }
}

/// From split over x, y or both, and sums, to every kind of spec over row and column.
using Sources = List<Spec<_, _>, Spec<"x", _>, Spec<_, "y,x">, Spec<"y", "x">, Spec<_, _, partial("x")>,
                     Spec<"y", _, partial("x")>>;
using Targets = List<Spec<_, _>, Spec<"column", _>, Spec<"row", "column">, Spec<_, "row,column">,
                     Spec<"row", _, partial("column")>>;

}  // namespace

TEST_CASE("between meshes of other sizes") {
  for (auto const& shape : two_axis_shapes())
    check_all(TwoAxes(runtime(), shape), Other(runtime(), {shape[1], shape[0]}), Sources{}, Targets{});
}

TEST_CASE("between meshes of other rank orders") {
  check_all(TwoAxes(runtime(), two_axis_shapes().back()), Other(runtime(), two_axis_shapes().front(), backwards()),
            Sources{}, Targets{});
}

TEST_CASE("between meshes with other numbers of axes") {
  Line const line(runtime(), {ranks()});
  Other const other(runtime(), two_axis_shapes().front(), RankOrder::zigzag(ranks()));
  check_all(line, other, List<Spec<_, _>, Spec<"x", _>, Spec<_, "x">, Spec<_, _, partial("x")>>{}, Targets{});
  check_all(other, line,
            List<Spec<_, _>, Spec<"column", _>, Spec<"row", "column">, Spec<_, "row,column">,
                 Spec<"row", _, partial("column")>>{},
            List<Spec<_, _>, Spec<"x", _>, Spec<_, "x">, Spec<_, _, partial("x")>>{});
}

TEST_CASE("scalars, and sums of them") {
  TwoAxes const before(runtime(), two_axis_shapes().front());
  Other const after(runtime(), two_axis_shapes().back());
  check_move<Spec<>, Spec<>>(before, after, {});
  check_move<Spec<partial("x,y")>, Spec<>>(before, after, {});
  check_move<Spec<>, Spec<partial("row")>>(before, after, {});
}

TEST_CASE("to the mesh that the tensor is on, nothing is different from a reshard on it") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  TwoAxes const twin(runtime(), two_axis_shapes().front());
  auto const source = filled<Of<TwoAxes, Spec<"x", "y">>>(mesh, {5, 6}, 1);
  auto const same = reshard<Spec<"x", "y">>(source, mesh);
  CHECK(same.data() == source.data());
  auto const moved = reshard<Spec<"x", "y">>(source, twin);
  CHECK(moved.mesh() == twin);
  CHECK((moved.data() != source.data() || source.local_size() == 0));
  CHECK(local_values(moved) == local_values(source));
  auto alone = filled<Of<TwoAxes, Spec<"x", "y">>>(mesh, {5, 6}, 1);
  auto const* const memory = alone.data();
  auto const passed_on = reshard<Spec<"x", "y">>(std::move(alone), twin);
  CHECK_MESSAGE(passed_on.data() == memory, "blocks that stay where they are");
}

TEST_CASE("the gradient goes back to the old mesh") {
  TwoAxes const before(runtime(), two_axis_shapes().front());
  Other const after(runtime(), two_axis_shapes().back(), backwards());
  Tape tape;
  auto const x = tape.watch(filled<Of<TwoAxes, Spec<"y", "x">>>(before, {5, 6}, 1));
  auto const weights = filled<Of<Other, Spec<_, "row">>>(after, {5, 6}, 2);
  tape.backward(sum(reshard<Spec<_, "row">>(x, after) * weights));
  auto const gradient = tape.gradient(x);
  CHECK(gradient.mesh() == before);
  CHECK(difference(gradient, dense_values({5, 6}, 2)) == "");
  Tape again;
  auto const parts = again.watch(filled<Of<TwoAxes, Spec<_, _, partial("x,y")>>>(before, {5, 6}, 1));
  again.backward(sum(reshard<Spec<_, "row">>(parts, after) * weights));
  CHECK_MESSAGE(difference(again.gradient(parts), dense_values({5, 6}, 2)) == "",
                "each part adds to the whole with factor 1");
}

TEST_CASE("plans between meshes") {
  using Sum = Of<TwoAxes, Spec<_, _, partial("x")>>;
  using Block = Of<TwoAxes, Spec<"x", "y">>;
  static_assert(reshard_plan_between<Block, Spec<"row", "column">, Other>.exchange == 1);
  static_assert(reshard_plan_between<Block, Spec<"row", "column">, Other>.total() == 1);
  static_assert(reshard_plan_between<Sum, Spec<"row", "column">, Other>.reduce_scatter == 1,
                "a sum is reduced before it moves");
  static_assert(reshard_plan_between<Sum, Spec<"row", "column">, Other>.total() == 2);
  static_assert(reshard_plan_between<Of<TwoAxes, Spec<partial("x")>>, Spec<>, Other>.all_reduce == 1);
  static_assert(reshard_plan_between<Block, Spec<"row", _, partial("column")>, Other>.total() == 1);
  static_assert(reshard_plan_between<Block, Spec<"row", _, partial("column")>, Other>.steps.back().movement ==
                Movement::zero_fill);
  CHECK(reshard_plan_between<Block, Spec<"row", "column">, Other>.steps.size() == 1);
}

TEST_CASE("between meshes of 16384 devices that are not there: what one of them sends") {
  AbstractRuntime nobody;
  TwoAxes const square(nobody, {128, 128});
  Other const wide(nobody, {64, 256});
  ShardedTensor<TwoAxes, Spec<"x", "y">, float, AbstractSpace> const source(square, {1 << 14, 1 << 14});
  auto const result = reshard<Spec<"row", "column">>(source, wide);
  CHECK(result.local_extents() == Extents{256, 64});
  // Of the block of 128 x 128 this device keeps the 64 columns on the left; the device beside it gets the others.
  CHECK(nobody.ledger().calls(Collective::all_to_all) == 1);
  CHECK(nobody.ledger().traffic().front().messages == 1);
  CHECK(nobody.ledger().bytes_sent() == 128 * 64 * 4);
}

TEST_CASE("meshes of two runtimes: every rank throws, naming both") {
  Runtime twin(runtime().communicator());
  Line const line(runtime(), {ranks()});
  Line const elsewhere(twin, {ranks()});
  ShardedTensor<Line, Spec<"x">> const tensor(line, {4}, "tokens");
  std::string message;
  try {
    reshard<Spec<"x">>(tensor, elsewhere);
  } catch (MeshError const& error) {
    message = error.what();
  }
  CHECK(message == "reshard of 'tokens' from mesh (x=" + std::to_string(ranks()) +
                       ") to mesh (x=" + std::to_string(ranks()) +
                       "): the meshes are of two runtimes; make both from one, so that they have the same ranks");
}
