// SPDX-License-Identifier: Apache-2.0
// What a plan promises is what MPI is asked for: calls and bytes as seen through MPI's profiling interface, against plans, the ledger, and explain.
#include "counted_mpi.hpp"
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <string>

#include <gshard/einsum.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <class Spec>
using Of = ShardedTensor<TwoAxes, Spec, float>;

int checked = 0;

/// Runs `action` and compares what MPI has seen with the ledger, which explain and abstract meshes count like, and with the plan: where both axes have several
/// ranks, since nothing moves over axes of one.
template <class Action>
void check(std::string const& what, TwoAxes const& mesh, CollectiveCounts const& expected, Action const& action) {
  Ledger& ledger = runtime().ledger();
  ledger.clear();
  ledger.open();
  counted_mpi() = {};
  action();
  CountedMpi const seen = counted_mpi();
  ledger.close();
  INFO(what);
  if (mesh.size(0) > 1 && mesh.size(1) > 1) {
    CHECK(seen.all_gather.calls == expected.all_gather);
    CHECK(seen.all_reduce.calls == expected.all_reduce);
    CHECK(seen.reduce_scatter.calls == expected.reduce_scatter);
    CHECK(seen.all_to_all.calls == expected.all_to_all + expected.exchange);
    if (expected.permute + expected.ring == 0) CHECK(seen.send.calls == 0);
  }

  std::int64_t sends = 0;
  CountedMpi promised;
  for (Ledger::Traffic const& traffic : ledger.traffic()) {
    // Rings send (p - 1) / p of the buffer that MPI is given, an all-reduce twice that.
    auto whole = [&](std::int64_t times) { return traffic.bytes * traffic.ranks / (times * (traffic.ranks - 1)); };
    switch (traffic.collective) {
      case Collective::all_gather: promised.all_gather.bytes += whole(1); break;
      case Collective::reduce_scatter: promised.reduce_scatter.bytes += whole(1); break;
      case Collective::all_reduce: promised.all_reduce.bytes += whole(2); break;
      case Collective::all_to_all: promised.all_to_all.bytes += traffic.bytes; break;
      default: promised.send.bytes += traffic.bytes; sends += traffic.messages;
    }
  }
  CHECK(seen.all_gather.bytes == promised.all_gather.bytes);
  CHECK(seen.reduce_scatter.bytes == promised.reduce_scatter.bytes);
  CHECK(seen.all_reduce.bytes == promised.all_reduce.bytes);
  CHECK(seen.all_to_all.bytes == promised.all_to_all.bytes);
  CHECK(seen.send.bytes == promised.send.bytes);
  CHECK(seen.send.calls == sends);
  ++checked;
}

/// Multiples of all group sizes, so that shares of buffers are whole numbers.
constexpr std::int64_t length_of(char letter) { return letter == 'a' ? 24 : letter == 'b' ? 48 : letter == 'c' ? 72 : 24; }

template <class Spec>
struct Plain {
  using spec = Spec;
  static auto marked(auto const& tensor) { return tensor; }
};
template <class Spec>
struct Moves {
  using spec = Spec;
  static auto marked(auto const& tensor) { return movable(tensor); }
};
template <class Spec>
struct Circles {
  using spec = Spec;
  static auto marked(auto const& tensor) { return circulating(tensor); }
};

template <FixedString Text, class Left, class Right, class Result>
void check_einsum(TwoAxes const& mesh) {
  constexpr Subscripts subscripts = subscripts_of<Text>;
  auto make = [&]<class Spec>(std::type_identity<Spec>, int operand) {
    Extents extents;
    for (char letter : subscripts.operands[operand]) extents.push_back(length_of(letter));
    return filled<Of<Spec>>(mesh, extents, operand + 1);
  };
  auto const left = make(std::type_identity<typename Left::spec>{}, 0);
  auto const right = make(std::type_identity<typename Right::spec>{}, 1);
  using A = decltype(Left::marked(left));
  using B = decltype(Right::marked(right));
  constexpr EinsumPlan plan = plan_of<Text, A, B, Of<Result>>;
  check(gshard::detail::text(Text.view(), " as ", gshard::detail::text_of<TwoAxes>(Of<Result>::layout), " on mesh (", mesh.text(), ")"), mesh, plan,
        [&] { Of<Result> const result = einsum<Text>(Left::marked(left), Right::marked(right)); });
}

template <class From, class To>
void check_reshard(TwoAxes const& mesh) {
  auto const x = filled<Of<From>>(mesh, {24, 48}, 1);
  constexpr ReshardPlan plan = plan_reshard(Of<From>::layout, Of<To>::layout, static_sizes_of<TwoAxes>());
  check(gshard::detail::text(gshard::detail::text_of<TwoAxes>(Of<From>::layout), " to ", gshard::detail::text_of<TwoAxes>(Of<To>::layout), " on mesh (", mesh.text(), ")"),
        mesh, plan, [&] { auto const y = reshard<To>(x); });
}

}  // namespace

TEST_CASE("einsums ask MPI for what their plans say") {
  checked = 0;
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    using Whole = Plain<Spec<_, _>>;
    check_einsum<"ab,bc->ac", Plain<Spec<"x", _>>, Plain<Spec<_, "y">>, Spec<"x", "y">>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<_, "x">>, Plain<Spec<"x", _>>, Spec<_, _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<_, "x">>, Plain<Spec<"x", _>>, Spec<"x", _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<_, "x">>, Plain<Spec<"x", _>>, Spec<_, "x">>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<_, "x">>, Plain<Spec<"x", _>>, Spec<_, _, partial("x")>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"y", "x">>, Plain<Spec<"x", _>>, Spec<"y", "x">>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x", "y">>, Plain<Spec<"y", _>>, Spec<"x", _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x,y", _>>, Whole, Spec<"x,y", _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x,y", _>>, Whole, Spec<_, "x,y">>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x", _>>, Whole, Spec<_, _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<_, "x,y">>, Plain<Spec<"x,y", _>>, Spec<"x", "y">>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<_, "x,y">>, Plain<Spec<"x,y", _>>, Spec<_, _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x", _>>, Moves<Spec<_, "x">>, Spec<"x", _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x", _>>, Moves<Spec<"x", _>>, Spec<"x", _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x", "y">>, Moves<Spec<"y", "x">>, Spec<"x", _>>(mesh);
    check_einsum<"ab,bc->ac", Moves<Spec<_, _, partial("x")>>, Plain<Spec<_, "x">>, Spec<_, "x">>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x", _>>, Circles<Spec<_, "x">>, Spec<"x", _>>(mesh);
    check_einsum<"ab,bc->ac", Plain<Spec<"x", _>>, Circles<Spec<"x", _>>, Spec<"x", _>>(mesh);
    check_einsum<"dab,dbc->dac", Plain<Spec<"x", "y", _>>, Plain<Spec<"x", _, _>>, Spec<"x", "y", _>>(mesh);
    check_einsum<"dab,dbc->dac", Plain<Spec<"x", _, "y">>, Plain<Spec<"x", "y", _>>, Spec<_, "x", "y">>(mesh);
    check_einsum<"dab,dbc->adc", Plain<Spec<"x,y", _, _>>, Plain<Spec<"x,y", _, _>>, Spec<"y", "x", _>>(mesh);
  }
  CHECK(checked >= 21);
}

TEST_CASE("reshards ask MPI for what their plans say") {
  checked = 0;
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    check_reshard<Spec<"x", _>, Spec<_, _>>(mesh);
    check_reshard<Spec<_, _>, Spec<"x", "y">>(mesh);
    check_reshard<Spec<"x", "y">, Spec<_, _>>(mesh);
    check_reshard<Spec<"x", _>, Spec<_, "x">>(mesh);
    check_reshard<Spec<"x,y", _>, Spec<_, "x,y">>(mesh);
    check_reshard<Spec<"x,y", _>, Spec<"x", "y">>(mesh);
    check_reshard<Spec<"x,y", _>, Spec<"x", _>>(mesh);
    check_reshard<Spec<"x,y", _>, Spec<"y", _>>(mesh);
    check_reshard<Spec<"x,y", _>, Spec<"y,x", _>>(mesh);
    check_reshard<Spec<"x", "y">, Spec<"y", "x">>(mesh);
    check_reshard<Spec<"x", "y">, Spec<"y,x", _>>(mesh);
    check_reshard<Spec<"x", _>, Spec<"y", _>>(mesh);
    check_reshard<Spec<_, _, partial("x")>, Spec<_, _>>(mesh);
    check_reshard<Spec<_, _, partial("x")>, Spec<"x", _>>(mesh);
    check_reshard<Spec<_, _, partial("x,y")>, Spec<"x", "y">>(mesh);
    check_reshard<Spec<_, _, partial("x,y")>, Spec<_, _>>(mesh);
    check_reshard<Spec<"y", _, partial("x")>, Spec<_, "y">>(mesh);
    check_reshard<Spec<"y", _, partial("x")>, Spec<"y", "x">>(mesh);
    check_reshard<Spec<"x", _>, Spec<_, _, partial("x")>>(mesh);
    check_reshard<Spec<"x", "y">, Spec<"x", "y">>(mesh);
  }
  CHECK(checked >= 20);
}
