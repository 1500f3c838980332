// SPDX-License-Identifier: Apache-2.0
// What explain says, word for word, of one einsum of each kind on four ranks, as rank 0 sees it.
#include "mpi_test.hpp"

#include <sstream>
#include <string>

#include <gshard/einsum.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Grid = Mesh<Axis<"data">, Axis<"model">>;
template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, float>;

/// Rank 0 compares texts; the others have other blocks and are asked for lines of the same length at most.
void check_text(Explanation const& explanation, std::string const& expected) {
  if (rank() == 0) CHECK(explanation.text == expected);
  std::istringstream lines(explanation.text);
  for (std::string line; std::getline(lines, line);) CHECK_MESSAGE(line.size() <= 110, line);
}

template <class Plan>
std::string printed(Plan const& plan) {
  std::ostringstream stream;
  stream << plan;
  return stream.str();
}

}  // namespace

TEST_CASE("an operand that is gathered, beside a sum that is scattered") {
  Grid const grid(runtime(), {2, 2});
  On<"data", "model"> const x(grid, {8, 6});
  On<"model", "data"> const w(grid, {6, 5});
  On<"data", "model"> const y(grid, {8, 5});
  Explanation const explanation = explain<"ab,bc->ac">(x, gathered(w), y);
  check_text(explanation,
             R"(einsum "ab,bc->ac" of float on mesh (data=2, model=2), as rank 0 sees it
  left       ab     (8, 6)              [data | model]                block (4, 3)
  right      bc     (6, 5)              [model | data]                block (3, 3)
  right      all-gather over data, groups of 2: 30 bytes sent per rank
             because the contraction splits a over data, as the left operand does, and this one splits c
  contract   120 flops per rank
  produced   ac     (8, 5)              [data | _ | partial model]    block (4, 5)
  result     reduce-scatter over model, groups of 2: 40 bytes sent per rank
             because b is summed and split over model, and the result is declared to split c over model
  result     ac     (8, 5)              [data | model]                block (4, 3)
  collectives: 2; largest temporary: 80 bytes per rank
)");
  CHECK(explanation.moves.size() == 2);
  CHECK(explanation.bytes_sent() == 70);
  CHECK(explanation.flops == 120);
  CHECK(printed(plan_of<"ab,bc->ac", decltype(x), Gathered<std::remove_const_t<decltype(w)>>, decltype(y)>) ==
        "right all-gather over data\nresult reduce-scatter over model\n");
}

TEST_CASE("a ring of an operand over two axes") {
  Grid const grid(runtime(), {2, 2});
  On<"data,model", _> const x(grid, {8, 6});
  On<"data,model", _> const w(grid, {6, 5});
  check_text(explain<"ab,bc->ac">(x, in_ring(w)),
             R"(einsum "ab,bc->ac" of float on mesh (data=2, model=2), as rank 0 sees it
  left       ab     (8, 6)              [data,model | _]              block (2, 6)
  right      bc     (6, 5)              [data,model | _]              block (2, 5)
  right      ring over data,model, groups of 4: 100 bytes sent per rank in 3 permutes
             because the contraction splits a over data, as the left operand does, and this one splits b
  contract   120 flops per rank, in 4 products
  result     ac     (8, 5)              [data,model | _]              block (2, 5)
  collectives: 1; largest temporary: 40 bytes per rank
)");
  CHECK(printed(plan_of<"ab,bc->ac", decltype(x), InRing<std::remove_const_t<decltype(w)>>>) ==
        "right ring over data,model\n");
}

TEST_CASE("a ring of the result") {
  Grid const grid(runtime(), {2, 2});
  On<_, "model"> const x(grid, {8, 6});
  On<"model", _> const w(grid, {6, 5});
  On<"model", _> const y(grid, {8, 5});
  check_text(explain<"ab,bc->ac">(x, w, in_ring(y)),
             R"(einsum "ab,bc->ac" of float on mesh (data=2, model=2), as rank 0 sees it
  left       ab     (8, 6)              [_ | model]                   block (8, 3)
  right      bc     (6, 5)              [model | _]                   block (3, 5)
  contract   240 flops per rank, in 2 products
  result     ring over model, groups of 2: 80 bytes sent per rank in 1 permute
             because b is summed and split over model, and the result is declared to split a over model
  result     ac     (8, 5)              [model | _]                   block (4, 5)
  collectives: 1; largest temporary: 80 bytes per rank
)");
}

TEST_CASE("several operands: the order that this run takes, and all that extents may choose") {
  Grid const grid(runtime(), {2, 2});
  On<"data", _> const x(grid, {8, 6});
  On<_, "model"> const w(grid, {6, 4});
  On<"model", _> const v(grid, {4, 2});
  check_text(explain<"ab,bc,cd->ad">(x, w, v),
             R"(einsum "ab,bc,cd->ad" of float on mesh (data=2, model=2), as rank 0 sees it
  dearer     ab,bc->ac     cd,ac->ad     256 multiplications on all ranks, products of 32 elements
  taken      bc,cd->bd     ab,bd->ad     144 multiplications on all ranks, products of 12 elements
  step 1 of 2: "bc,cd->bd"
  left       bc     (6, 4)              [_ | model]                   block (6, 2)
  right      cd     (4, 2)              [model | _]                   block (2, 2)
  contract   48 flops per rank
  produced   bd     (6, 2)              [_ | _ | partial model]       block (6, 2)
  result     all-reduce over model, groups of 2: 48 bytes sent per rank
             because c is summed and split over model, and the result is whole over model
  result     bd     (6, 2)              [_ | _]                       block (6, 2)
  step 2 of 2: "ab,bd->ad"
  left       ab     (8, 6)              [data | _]                    block (4, 6)
  right      bd     (6, 2)              [_ | _]                       block (6, 2)
  contract   96 flops per rank
  result     ad     (8, 2)              [data | _]                    block (4, 2)
  collectives: 1; largest temporary: 48 bytes per rank
)");
  CHECK(
      printed(plan_of<"ab,bc,cd->ad", decltype(x), decltype(w), decltype(v)>) ==
      "ab,bc->ac\nnothing moves\ncd,ac->ad\nresult all-reduce over model\nor\nbc,cd->bd\nresult all-reduce over model\nab,bd->ad\nnothing moves\n");
}

TEST_CASE("a reshard") {
  Grid const grid(runtime(), {2, 2});
  check_text(explain<Spec<_, "data">>(On<"data", _>(grid, {8, 6})),
             R"(reshard of float on mesh (data=2, model=2), as rank 0 sees it
  from              (8, 6)              [data | _]                    block (4, 6)
             all-to-all over data, groups of 2: 48 bytes sent per rank
  to                (8, 6)              [_ | data]                    block (8, 3)
  collectives: 1; largest temporary: 96 bytes per rank
)");
  Grid const line(runtime(), {4, 1});
  check_text(explain<Spec<_, _>>(On<_, "model">(line, {8, 6})),
             R"(reshard of float on mesh (data=4, model=1), as rank 0 sees it
  from              (8, 6)              [_ | model]                   block (8, 6)
             all-gather over model, free
  to                (8, 6)              [_ | _]                       block (8, 6)
  collectives: 0; largest temporary: 0 bytes per rank
)");
}

TEST_CASE("T47: what each rank of a ring of four sends, of 4096 bytes") {
  Mesh<Axis<"x">> const line(runtime(), {4});
  auto bytes = [&]<class From, class To>(From, To, std::int64_t rows) {
    return explain<To>(ShardedTensor<Mesh<Axis<"x">>, From, float>(line, Extents{rows, 4})).bytes_sent();
  };
  CHECK(bytes(Spec<_, _, partial("x")>{}, Spec<_, _>{}, 256) == 6144);
  CHECK(bytes(Spec<"x", _>{}, Spec<_, _>{}, 256) == 3072);
  CHECK(bytes(Spec<_, _, partial("x")>{}, Spec<"x", _>{}, 256) == 3072);
  CHECK_MESSAGE(bytes(Spec<"x", _>{}, Spec<_, "x">{}, 1024) == 3072, "of an all-to-all, 4096 bytes a rank");
}
