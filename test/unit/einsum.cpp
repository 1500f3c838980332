// SPDX-License-Identifier: Apache-2.0
// Einsums of sharded tensors against loops over all letters: a table of subscripts and specs, on every mesh of two
// axes, with even, uneven, tiny and empty extents. Elements are small integers, so results are exact.
#include "einsum_table.hpp"
#include "mpi_test.hpp"

#include <sstream>
#include <string>
#include <tuple>
#include <type_traits>

#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

using Matrices = std::tuple<
    // nothing moves
    Row<"ab,bc->ac", Spec<_, _>, Spec<_, _>, Spec<_, _>>, Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Spec<_, _>>,
    Row<"ab,bc->ac", Spec<_, "x">, Spec<_, _>, Spec<_, "x">>,
    Row<"ab,bc->ac", Spec<"x", "y">, Spec<"x", _>, Spec<_, "y">>,
    Row<"ab,bc->ac", Spec<"x,y", _>, Spec<"x,y", _>, Spec<_, _>>,
    Row<"ab,bc->ac", Spec<"x", "y">, Spec<_, _>, Spec<_, _>>,
    // sums
    Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x">, Spec<"x", _>>,
    Row<"ab,bc->ac", Spec<"x", _>, Spec<_, "x">, Spec<"x", _>>,
    Row<"ab,bc->ac", Spec<_, "x">, Spec<_, "x">, Spec<"x", _>>,
    Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x,y">, Spec<"x,y", _>>,
    Row<"ab,bc->ac", Spec<"x", "y">, Spec<_, "x,y">, Spec<"x,y", _>>,
    Row<"ab,bc->ac", Spec<"y", _>, Spec<"y", "x">, Spec<"x", _>>,
    Row<"ab,bc->ac", Spec<_, _, partial("x")>, Spec<_, "x">, Spec<"x", _>>,
    Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x">, Spec<"x", "y">>,
    Row<"ab,bc->ac", Spec<"y", _, partial("x")>, Spec<"y", "x">, Spec<"x", _>>,
    Row<"ab,bc->ac", Spec<_, "y">, Spec<_, "x">, Spec<_, "y">>,
    // slices of one operand or both
    Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x">, Spec<_, _>>, Row<"ab,bc->ac", Spec<_, _>, Spec<_, _>, Spec<"x", _>>,
    Row<"ab,bc->ac", Spec<"y", "x">, Spec<_, _>, Spec<_, _>>,
    Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x,y">, Spec<"x", _>>,
    // the result moves
    Row<"ab,bc->ac", Spec<_, _>, Spec<"x", _>, Spec<_, "y">>, Row<"ab,bc->ac", Spec<_, "x">, Spec<"x", _>, Spec<_, _>>,
    Row<"ab,bc->ac", Spec<"y", "x">, Spec<"x", _>, Spec<_, "y">>,
    Row<"ab,bc->ac", Spec<"y,x", _>, Spec<"x,y", _>, Spec<_, _>>,
    Row<"ab,bc->ac", Spec<_, _, partial("x")>, Spec<"x", _>, Spec<_, _>>,
    // operands move where they may
    Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Movable<Spec<"x", _>>>,
    Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Movable<Spec<_, "x">>>,
    Row<"ab,bc->ac", Spec<"x", _>, Movable<Spec<"x", _>>, Spec<"x", _>>,
    Row<"ab,bc->ac", Spec<_, "x">, Movable<Spec<"x", _>>, Movable<Spec<_, "x">>>,
    Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x,y">, Movable<Spec<"y,x", _>>>,
    Row<"ab,bc->ac", Spec<"x", "y">, Spec<"x", _>, Movable<Spec<"x", "y">>>,
    Row<"ab,bc->ac", Spec<_, _>, Movable<Spec<_, "y">>, Movable<Spec<"x,y", _>>>,
    // unreduced sums come in
    Row<"ab,bc->ac", Spec<_, _>, Spec<_, _, partial("x")>, Spec<_, _>>,
    Row<"ab,bc->ac", Spec<"x", _>, Spec<_, _, partial("x")>, Spec<_, "y">>,
    Row<"ab,bc->ac", Spec<_, "y", partial("x")>, Spec<_, _>, Spec<_, "y", partial("x")>>,
    Row<"ab,bc->ac", Spec<_, "x">, Movable<Spec<_, _, partial("x")>>, Spec<_, "x">>,
    Row<"ab,bc->ac", Spec<_, _>, Movable<Spec<_, _, partial("x")>>, Movable<Spec<_, _, partial("x,y")>>>,
    // propagated
    Row<"ab,bc->ac", Propagated, Spec<"x", _>, Spec<_, "y">>,
    Row<"ab,bc->ac", Propagated, Spec<"x", "y">, Spec<"y", _>>,
    Row<"ab,bc->ac", Propagated, Spec<_, "y,x">, Spec<_, _>>,
    Row<"ab,bc->ac", Propagated, Spec<_, _, partial("y")>, Spec<_, "x">>>;

using Others = std::tuple<
    // other orders of letters, batches, outer products
    Row<"ba,cb->ca", Spec<"x", _>, Spec<"y", _>, Spec<"x", "y">>,
    Row<"ba,bc->ca", Propagated, Spec<"x", "y">, Spec<"x", _>>,
    Row<"nab,nbc->nac", Spec<"x", _, _>, Spec<"x", _, _>, Spec<"x", _, _>>,
    Row<"nab,nbc->nac", Spec<_, "x", _>, Spec<"x", _, _>, Spec<_, _, _>>,
    Row<"nab,nbc->nac", Propagated, Spec<"x", "y", _>, Spec<"x", _, _>>,
    Row<"nab,nbc->anc", Spec<_, "y,x", _>, Spec<"y", _, "x">, Spec<"y", "x", _>>,
    Row<"nab,nbc->nac", Spec<_, _, "y">, Spec<"x", _, _>, Movable<Spec<_, "x", "y">>>,
    Row<"ac,b->abc", Propagated, Spec<"x", _>, Spec<"y">>, Row<"a,b->ba", Spec<"y", "x">, Spec<"x">, Spec<"y">>,
    Row<"ab,ab->ab", Spec<"x", "y">, Spec<"x", "y">, Spec<"x", _>>,
    // the mixture of experts
    Row<"gsec,gsm->egcm", Spec<"y", "x", _, _>, Spec<"x,y", _, _, _>, Spec<"x,y", _, _>>,
    Row<"egcm,emh->egch", Propagated, Spec<"y", "x", _, _>, Spec<"y", _, _>>,
    Row<"egch,ehm->gecm", Spec<"x,y", _, _, _>, Spec<"y", "x", _, _>, Spec<"y", _, _>>,
    Row<"gsec,gecm->gsm", Spec<"x,y", _, _>, Spec<"x,y", _, _, _>, Spec<"x,y", _, _, _>>,
    Row<"gsm,me->gse", Propagated, Spec<"x,y", _, _>, Spec<_, _>>,
    // attention
    Row<"nqhd,nkhd->nhqk", Propagated, Spec<"x", _, "y", _>, Spec<"x", _, "y", _>>,
    Row<"nhqk,nkhd->nqhd", Spec<"x", _, "y", _>, Spec<"x", "y", _, _>, Spec<"x", _, "y", _>>,
    // scalars, vectors, sums
    Row<"a,a->", Spec<>, Spec<"x">, Spec<"x">>, Row<"a,a->", Spec<partial("x,y")>, Spec<"x,y">, Spec<"x,y">>,
    Row<",ab->ab", Propagated, Spec<>, Spec<"x", "y">>, Row<"ab,b->a", Spec<"y">, Spec<"x", _>, Spec<_>>,
    Row<"ab,a->b", Propagated, Spec<"x", _>, Spec<"x">>, Row<"ab,c->ac", Spec<_, _>, Spec<_, "x">, Spec<"y">>,
    Row<"ab,cd->", Spec<>, Spec<"x", _>, Spec<_, "y">>,
    // one operand
    Row<"ab->ba", Spec<_, "x">, Spec<"x", _>>, Row<"ab->ba", Spec<"x", _>, Spec<"x", _>>,
    Row<"ab->ba", Spec<"y", "x">, Spec<"x", "y">>, Row<"ab->a", Spec<"x">, Spec<"x", "y">>,
    Row<"ab->b", Spec<"x">, Spec<"x", _>>, Row<"ab->", Spec<>, Spec<"x", "y">>,
    Row<"abc->cab", Propagated, Spec<"x", "y", _>>, Row<"ab->ba", Spec<_, _>, Spec<_, _, partial("x")>>,
    // diagonals
    Row<"aab->ab", Propagated, Spec<_, _, "x">>, Row<"aab->b", Spec<"x">, Spec<_, _, _>>,
    Row<"aab->a", Spec<"x">, Spec<_, _, "y">>, Row<"aab->ab", Spec<_, _>, Movable<Spec<"x", _, _>>>,
    Row<"aab,b->a", Spec<_>, Spec<_, _, "x">, Spec<"x">>, Row<"aab,a->b", Spec<_>, Spec<_, _, _>, Movable<Spec<"x">>>,
    Row<"aab,a->ab", Spec<"x", _>, Spec<_, _, "y">, Spec<_>>>;

}  // namespace

TEST_CASE("matrix products of all kinds of specs") { check_table<double>(Matrices{}); }

TEST_CASE("other subscripts") { check_table<double>(Others{}); }

TEST_CASE("in single precision") {
  check_table<float>(std::tuple<Row<"ab,bc->ac", Spec<"x", _>, Spec<_, "x">, Spec<"x", _>>,
                                Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Movable<Spec<"x", _>>>,
                                Row<"gsec,gsm->egcm", Spec<"y", "x", _, _>, Spec<"x,y", _, _, _>, Spec<"x,y", _, _>>,
                                Row<"nqhd,nkhd->nhqk", Propagated, Spec<"x", _, "y", _>, Spec<"x", _, "y", _>>>{});
}

TEST_CASE("a result can be declared by a type, by shard, or left open") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const a = filled<On<"x", _>>(mesh, {5, 4}, 1);
  auto const b = filled<On<_, "y">>(mesh, {4, 6}, 2);
  auto const expected =
      dense_einsum("ab,bc->ac", {{a.extents(), dense_values({5, 4}, 1)}, {b.extents(), dense_values({4, 6}, 2)}})
          .values;
  On<_, "y"> const declared = einsum<"ab,bc->ac">(a, b);
  auto const sharded = shard<Spec<"y", "x">>(einsum<"ab,bc->ac">(a, b));
  auto const open = eval(einsum<"ab,bc->ac">(a, b));
  static_assert(std::is_same_v<decltype(sharded)::spec_type, Spec<"y", "x">>);
  static_assert(std::is_same_v<decltype(open)::spec_type, Spec<"x", "y">>);
  CHECK(difference(declared, expected) == "");
  CHECK(difference(sharded, expected) == "");
  CHECK(difference(open, expected) == "");
}

TEST_CASE("einsums of expressions: maps and other einsums") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const a = filled<On<"x", _>>(mesh, {5, 4}, 1);
  auto const b = filled<On<_, "y">>(mesh, {4, 6}, 2);
  auto const c = filled<On<"y", _>>(mesh, {6, 3}, 3);
  auto hidden =
      dense_einsum("ab,bc->ac", {{a.extents(), dense_values({5, 4}, 1)}, {b.extents(), dense_values({4, 6}, 2)}});
  for (double& value : hidden.values) value = value > 0 ? value : 0;
  auto const expected = dense_einsum("ac,cd->ad", {hidden, {c.extents(), dense_values({6, 3}, 3)}}).values;
  On<"x", _> const result = einsum<"ac,cd->ad">(relu(einsum<"ab,bc->ac">(a, b)), c);
  CHECK(difference(result, expected) == "");
}

TEST_CASE("an unreduced result is reduced when it is told to be, to the same elements") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const a = filled<On<_, "x">>(mesh, {5, 4}, 1);
  auto const b = filled<On<"x", _>>(mesh, {4, 6}, 2);
  On<_, _, partial("x")> const parts = einsum<"ab,bc->ac">(a, b);
  On<_, _> const reduced = einsum<"ab,bc->ac">(a, b);
  auto const twice = eval(parts + parts);
  CHECK(to_vector(reshard<Spec<"x", "y">>(parts)) == to_vector(reduced));
  CHECK(to_vector(twice) == to_vector(eval(2 * reduced)));
}

// ---- What is refused at run time

namespace {

/// The text of the exception of type `Expected` that `action` throws, or what it did instead.
template <class Expected, class Action>
std::string refusal(Action const& action) {
  try {
    action();
    return "nothing thrown";
  } catch (Expected const& exception) {
    return exception.what();
  } catch (std::exception const& exception) {
    return std::string("another exception: ") + exception.what();
  }
}

bool mentions(std::string const& text, std::initializer_list<char const*> parts) {
  bool all = true;
  for (char const* part : parts) {
    CHECK_MESSAGE(text.find(part) != std::string::npos, "'", part, "' is not in: ", text);
    all = all && text.find(part) != std::string::npos;
  }
  return all;
}

}  // namespace

TEST_CASE("extents that disagree: every rank throws, naming letter, operand, extents and mesh") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  On<"x", _> const a(mesh, {5, 4}, "left");
  On<_, "y"> const b(mesh, {3, 6}, "weights");
  std::string const text = refusal<ExtentError>([&] { (void)einsum<"ab,bc->ac">(a, b).eval(); });
  mentions(text, {"ab,bc->ac", "letter 'b' has extent 4", "operand 1", "'weights'", "(3, 6)", "has 3", "mesh (x="});
  CHECK(refusal<ExtentError>([&] { On<_, _> const c = einsum<"ab,bc->ac">(a, b); }) == text);
  mentions(refusal<ExtentError>([&] { (void)einsum<"aa->a">(On<_, _>(mesh, {2, 3})).eval(); }),
           {"letter 'a' has extent 2", "has 3"});
}

TEST_CASE("operands on two meshes of one type: every rank throws, naming both") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  TwoAxes const other(runtime(), two_axis_shapes().back());
  On<"x", _> const a(mesh, {5, 4}, "left");
  On<_, "y"> const b(other, {4, 6}, "weights");
  mentions(refusal<MeshError>([&] { (void)einsum<"ab,bc->ac">(a, b).eval(); }),
           {"operand 1", "'weights'", "another", mesh.text().c_str(), other.text().c_str()});
}

// ---- The plan in words

TEST_CASE("explain: blocks, flops, and every movement with its bytes") {
  on_ranks(1, [](Runtime& one) {
    TwoAxes const mesh(one, {1, 1});
    auto const text = explain<"ab,bc->ac">(On<"x", _>(mesh, {5, 4}), On<_, "y">(mesh, {4, 6})).text;
    mentions(text, {"einsum \"ab,bc->ac\" of double on mesh (x=1, y=1)", "240 flops per rank", "collectives: 0"});
  });
  if (ranks() >= 4)
    on_ranks(4, [](Runtime& four) {
      TwoAxes const mesh(four, {2, 2});
      auto const x = On<"x", "y">(mesh, {8, 6});
      auto const w = On<"y", _>(mesh, {6, 5});
      mentions(explain<"ab,bc->ac">(x, w, On<"x", "y">(mesh, {8, 5})).text,
               {"reduce-scatter over y, groups of 2: 80 bytes sent per rank", "because b is summed and split over y"});
      mentions(explain<"ab->b">(x).text, {"12 flops per rank", "all-reduce over x, groups of 2: 24 bytes sent per rank",
                                          "because a is summed and split over x, and the result is whole over x"});
      mentions(explain<Spec<_, "y">>(x).text,
               {"reshard of double", "all-gather over x, groups of 2: 96 bytes sent per rank"});
      std::ostringstream plan;
      plan << plan_of<"ab,bc->ac", decltype(x), decltype(w)>;
      CHECK(plan.str() == "result all-reduce over y\n");
      ShardedTensor<TwoAxes, Spec<"x,y", _, _, _>> const mask(mesh, {4, 2, 2, 2});
      ShardedTensor<TwoAxes, Spec<"x,y", _, _>> const tokens(mesh, {4, 2, 3});
      ShardedTensor<TwoAxes, Spec<"y", "x", _, _>> const sent(mesh, {2, 4, 2, 3});
      auto const text = explain<"gsec,gsm->egcm">(mask, tokens, sent).text;
      // Each rank contracts one group: 1*2*2*2*3 multiplications and additions into a block of 2*1*2*3 floats, of which
      // half goes to the other rank.
      mentions(text, {"of float on mesh (x=2, y=2)", "[x,y | _ | _ | _]", "48 flops per rank", "block (2, 1, 2, 3)",
                      "all-to-all over y, groups of 2: 24 bytes sent per rank",
                      "because the contraction splits g over y, and the result is declared to split e over y",
                      "block (1, 2, 2, 3)", "collectives: 1", "largest temporary: 48 bytes"});
    });
}
