// SPDX-License-Identifier: Apache-2.0
// The orders in which einsums of more than two operands are contracted, and what they communicate.
#include <gshard/einsum.hpp>

namespace {

using namespace gshard;
using gshard::detail::LetterExtents;
using gshard::detail::LetterSet;
using gshard::detail::OrderSearch;

/// An order in words: its contractions one after the other.
struct Words {
  std::string_view steps[4];
  friend constexpr bool operator==(Words const&, Words const&) = default;
};

constexpr Words words_of(ContractionOrder const& order) {
  Words words;
  for (int i = 0; i < order.size(); ++i) words.steps[i] = order[i].text.view();
  return words;
}

template <FixedString Text>
constexpr OrderSearch search{subscripts_of<Text>};

template <FixedString Text>
constexpr int orders = search<Text>.orders.size();

template <FixedString Text>
constexpr Words order(int i) {
  return words_of(search<Text>.orders[i].steps);
}

/// The order that is chosen where the letters a, b, c, ... have these extents.
template <FixedString Text>
constexpr Words chosen(std::initializer_list<double> extents) {
  LetterExtents of_letters;
  int i = 0;
  for (double extent : extents) of_letters.extents[LetterSet::position(static_cast<char>('a' + i++))] = extent;
  auto const& all = search<Text>.orders;
  int cheapest = 0;
  for (int order = 1; order < all.size(); ++order)
    if (all[order].is_cheaper_than(all[cheapest], of_letters)) cheapest = order;
  return words_of(all[cheapest].steps);
}

// ---- A chain of matrices: extents decide
static_assert(orders<"ab,bc,cd->ad"> == 2, "the outer product of the first and the last is never the cheapest");
static_assert(order<"ab,bc,cd->ad">(0) == Words{"ab,bc->ac", "cd,ac->ad"});
static_assert(order<"ab,bc,cd->ad">(1) == Words{"bc,cd->bd", "ab,bd->ad"});
static_assert(chosen<"ab,bc,cd->ad">({10, 100, 5, 50}) == order<"ab,bc,cd->ad">(0), "7500 multiplications, not 75000");
static_assert(chosen<"ab,bc,cd->ad">({100, 5, 50, 2}) == order<"ab,bc,cd->ad">(1));
static_assert(chosen<"ab,bc,cd->ad">({1, 8, 8, 8}) == order<"ab,bc,cd->ad">(0), "a row of x times weights");
static_assert(chosen<"ab,bc,cd->ad">({4, 4, 4, 4}) == order<"ab,bc,cd->ad">(0), "equal: the leftmost");
static_assert(chosen<"ab,bc,cd->ad">({0, 4, 4, 4}) == order<"ab,bc,cd->ad">(0), "nothing to do, twice");
// The textbook's chain of four, p = (30, 35, 15, 5, 10): ((A (B C)) D) takes 9375 multiplications, ((A B) C) D 19500.
static_assert(orders<"ab,bc,cd,de->ae"> == 5);
static_assert(chosen<"ab,bc,cd,de->ae">({30, 35, 15, 5, 10}) == Words{"bc,cd->bd", "ab,bd->ad", "de,ad->ae"});

// ---- Letters decide alone
static_assert(orders<"ab,bc,c->a"> == 1 && order<"ab,bc,c->a">(0) == Words{"bc,c->b", "ab,b->a"}, "vectors first");
static_assert(orders<"a,ab,b->"> == 2,
              "from the left or from the right: as many multiplications, but the products differ");
static_assert(chosen<"a,ab,b->">({9, 2}) == Words{"a,ab->b", "b,b->"} &&
              chosen<"a,ab,b->">({2, 9}) == Words{"ab,b->a", "a,a->"});
static_assert(order<",ab,bc->ac">(0).steps[0] == ",ab->ab");
static_assert(order<"nab,nbc,ncd->nad">(0) == Words{"nab,nbc->nac", "ncd,nac->nad"},
              "a product keeps its batch in front");

// ---- More than four: the smallest products go first
static_assert(order<"ab,bc,cd,de,e->a">(0) == Words{"de,e->d", "cd,d->c", "bc,c->b", "ab,b->a"});
static_assert(orders<"ab,bc,cd,de,e->a"> == 1);
static_assert(orders<"ab,bc,cd,de,ef->af"> == 5, "five from the first contraction on");
static_assert(orders<"abcde,fghij,aeklfjmn->bcdghikl"> == 2, "not the outer product of 10 letters");
static_assert(orders<"abpqruvw,cdxyzuvw,efpqrxyz->abcdef"> == 0, "none without a product of more than 8 dimensions");

// ---- Plans
using Grid = Mesh<Axis<"x">, Axis<"y">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

/// The plan of a contraction on the way.
template <FixedString Text, class... Types>
constexpr EinsumPlan const& step(int order, int position) {
  return *plan_of<Text, Types...>.orders[order].steps[position].plan;
}

constexpr auto const& rows = plan_of<"ab,bc,cd->ad", T<"x", _>, T<_, _>, T<_, _>>;
static_assert(rows.orders.size() == 2 && rows.total() == 0, "rows of x, weights whole: nothing moves in either order");
static_assert(rows.orders[1].steps[0].text == "bc,cd->bd" && rows.orders[1].steps[0].left == 1 &&
              rows.orders[1].steps[0].right == 2);
static_assert(rows.orders[1].steps[1].text == "ab,bd->ad" && rows.orders[1].steps[1].left == 0 &&
              rows.orders[1].steps[1].right == 1);
static_assert(rows.orders[0].steps[1].plan->result.dimensions[0].contains(0), "the rows of the result stay on x");

// Two layers, split over y by the letter between them: no collective but the last sum.
constexpr auto const& layers = plan_of<"ab,bc,cd->ad", T<"x", _>, T<_, "y">, T<"y", _>, T<"x", _>>;
static_assert(layers.orders[0].all_reduce == 1 && layers.orders[0].total() == 1);
static_assert(step<"ab,bc,cd->ad", T<"x", _>, T<_, "y">, T<"y", _>, T<"x", _>>(0, 0).total() == 0);
static_assert(step<"ab,bc,cd->ad", T<"x", _>, T<_, "y">, T<"y", _>, T<"x", _>>(0, 1).result_move.all_reduce == 1);
static_assert(layers.orders[1].all_reduce == 1 && layers.orders.size() == 2,
              "the product of the weights is summed over y, then the rows of x are whole");
static_assert(layers.all_reduce == 1 && layers.total() == 1, "whatever the extents");

// The sum of the first product is scattered over the letter by which the next operand is split, not gathered and cut.
using Scattered = T<_, _>;
static_assert(step<"ab,bc,cd->ad", T<_, "x">, T<"x", _>, T<"x", _>, Scattered>(0, 0).reduce_scatter == 1);
static_assert(step<"ab,bc,cd->ad", T<_, "x">, T<"x", _>, T<"x", _>, Scattered>(0, 1).all_reduce == 1);
static_assert(plan_of<"ab,bc,cd->ad", T<_, "x">, T<"x", _>, T<"x", _>, Scattered>.orders.size() == 1,
              "the other order would have to move an operand");
static_assert(plan_of<"ab,bc,cd->ad", T<"x", _>, T<"x", _>, T<_, _>, T<"x", _>>.orders.size() == 1);
static_assert(plan_of<"ab,bc,cd->ad", T<"x", _>, T<"x", _>, T<_, _>, T<"x", _>>.orders[0].steps[0].text == "bc,cd->bd",
              "products may move");
// A product moves where an operand that may not move wants it: from rows to the letter that x splits in the last
// operand.
static_assert(step<"ab,bc,cd->ad", T<"x", _>, T<_, _>, T<"x", _>, T<"x", _>>(0, 1).operand_moves[1].all_to_all == 1);
static_assert(step<"ab,bc,cd->ad", T<"x", _>, T<_, _>, T<"x", _>, T<"x", _>>(0, 1).reduce_scatter == 1);
// Movable operands are gathered as in an einsum of two.
static_assert(
    plan_of<"ab,bc,cd->ad", T<"x", _>, Movable<T<"x", _>>, Movable<T<"x", _>>, T<"x", _>>.orders[0].all_gather == 2);
// Extents that the types fix decide at compile time: one order is left.
template <std::int64_t A, std::int64_t B, std::int64_t C, std::int64_t D>
constexpr auto const& fixed =
    plan_of<"ab,bc,cd->ad", T<extent("x", A), extent(B)>, T<_, extent(C)>, T<extent(C), extent(D)>>;
static_assert(fixed<10, 100, 5, 50>.orders.size() == 1 && fixed<10, 100, 5, 50>.orders[0].steps[0].text == "ab,bc->ac");
static_assert(fixed<100, 5, 50, 2>.orders.size() == 1 && fixed<100, 5, 50, 2>.orders[0].steps[0].text == "bc,cd->bd");
static_assert(plan_of<"ab,bc,cd->ad", T<"x", extent(4)>, T<_, _>, T<_, _>>.orders.size() == 2, "not all are known");

// Leading dimensions.
static_assert(plan_of<"...a,ab,bc->...c", T<"x", _, _>, T<_, "y">, T<"y", _>>.orders[0].all_reduce == 1);

}  // namespace
