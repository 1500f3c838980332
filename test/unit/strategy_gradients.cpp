// SPDX-License-Identifier: Apache-2.0
// Gradients of einsums with strategies: against central differences, and what they communicate in turn.
#include "gradients.hpp"

#include <tuple>

#include <gshard/autodiff.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

}  // namespace

TEST_CASE("einsums in which a marked operand is gathered or goes round in a ring") {
  check_gradients_of(std::tuple<Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Gathered<Spec<_, "x">>>,
                                Row<"ab,bc->ac", Spec<_, _>, Gathered<Spec<"x", _>>, Spec<_, "x">>,
                                Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, InRing<Spec<"x", _>>>,
                                Row<"ab,bc->ac", Propagated, InRing<Spec<"x", _>>, Spec<_, "x">>,
                                Row<"nab,nbc->nac", Spec<_, "x", _>, Spec<_, "x", _>, InRing<Spec<"x", _, _>>>,
                                Row<"ab,bc->ac", Spec<"x", "y">, Spec<"x", _>, InRing<Spec<"x", "y">>>,
                                Row<"ab,bc->ac", Propagated, Spec<"x,y", _>, InRing<Spec<"x,y", _>>>>{});
}

TEST_CASE("einsums whose sums go round in a ring") {
  check_gradients_of(std::tuple<Row<"ab,bc->ac", InRing<Spec<"x", _>>, Spec<_, "x">, Spec<"x", _>>,
                                Row<"ab,bc->ac", InRing<Spec<_, "x">>, Spec<_, "x">, Spec<"x", _>>,
                                Row<"ab,bc->ac", InRing<Spec<"x", _>>, Spec<_, "x,y">, Spec<"x,y", _>>,
                                Row<"ab->a", InRing<Spec<"x">>, Spec<_, "x">>>{});
}

// ---- Plans

namespace {

template <AxisNames... Entries>
using T = ShardedTensor<Mesh<Axis<"x", 4>>, Spec<Entries...>>;

/// The plans of the gradients of "ab,bc->ac" with these operands and this result.
template <class A, class B, class Result>
struct Gradients {
  using Forward = gshard::detail::Planned<"ab,bc->ac", Result, A, B>;
  using Left = gshard::detail::OperandTensor<A>;
  using Right = gshard::detail::OperandTensor<B>;
  static constexpr EinsumPlan const& left = gshard::detail::PlannedGradient<Forward, 0, Left, Right>::plan;
  static constexpr EinsumPlan const& right = gshard::detail::PlannedGradient<Forward, 1, Right, Left>::plan;
};

}  // namespace

TEST_CASE("what goes round forward goes round backward: weights again, and the sums of their gradient") {
  using Weights = Gradients<T<"x", _>, InRing<T<"x", _>>, T<"x", _>>;
  static_assert(Weights::left.total() == 1 && Weights::left.loop.role == Role::right &&
                Weights::left.loop.letter == 'b');
  static_assert(Weights::right.total() == 1 && Weights::right.loop.role == Role::result &&
                Weights::right.loop.letter == 'b');
  using Sums = Gradients<T<_, "x">, T<"x", _>, InRing<T<"x", _>>>;
  static_assert(Sums::left.total() == 1 && Sums::left.loop.role == Role::left && Sums::left.loop.letter == 'a');
  static_assert(Sums::right.total() == 1 && Sums::right.loop.role == Role::left && Sums::right.loop.letter == 'a');
  using Gathers = Gradients<T<"x", _>, Gathered<T<"x", _>>, T<"x", _>>;
  static_assert(Gathers::left.total() == 1 && Gathers::left.operand_moves[1].all_gather == 1);
  static_assert(Gathers::right.total() == 1 && Gathers::right.reduce_scatter == 1);
  CHECK(Weights::left.loop.products() == 4);
}
