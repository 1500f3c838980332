// SPDX-License-Identifier: Apache-2.0
// Who holds what, in tables and pictures: the text as it is.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <sstream>
#include <string>

#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
using Cube = Mesh<Axis<"x">, Axis<"y">, Axis<"z">>;
template <AxisNames... Entries>
using OnGrid = ShardedTensor<TwoAxes, Spec<Entries...>>;

TwoAxes grid() { return {runtime(), {2, 4}}; }

void check_text(std::string const& text, std::string const& expected) { CHECK("\n" + text == expected); }

template <class Tensor>
std::string svg_of(Tensor const& tensor) {
  std::ostringstream stream;
  draw_svg(stream, tensor);
  return stream.str();
}

}  // namespace

// ---- Tables

TEST_CASE("describe: a line for each block, with the ranks that hold it") {
  check_text(describe(OnGrid<"x", _>(grid(), {8, 3}, "tokens")), R"(
tokens: float (8, 3) [x | _] on mesh (x=2, y=4)
  [0, 4) x [0, 3)  12 elements  ranks 0-3
  [4, 8) x [0, 3)  12 elements  ranks 4-7)");
}

TEST_CASE("describe: axes in the order listed, uneven blocks, ranks without any") {
  check_text(describe(OnGrid<"y,x">(grid(), {9})), R"(
tensor: float (9) [y,x] on mesh (x=2, y=4)
  [0, 2)   2 elements  rank 0
  [2, 3)   1 element   rank 4
  [3, 5)   2 elements  rank 1
  [5, 6)   1 element   rank 5
  [6, 8)   2 elements  rank 2
  [8, 9)   1 element   rank 6
  nothing              ranks 3, 7)");
}

TEST_CASE("describe: replicas behind commas, parts of a sum with a plus between them") {
  check_text(describe(ShardedTensor<TwoAxes, Spec<"y", partial("x")>, double>(grid(), {5}, "sums")), R"(
sums: double (5) [y | partial x] on mesh (x=2, y=4)
  [0, 2)   2 elements  ranks 0 + 4
  [2, 4)   2 elements  ranks 1 + 5
  [4, 5)   1 element   ranks 2 + 6
  nothing              ranks 3, 7)");
  check_text(describe(OnGrid<_, partial("y")>(grid(), {5}, "sums")), R"(
sums: float (5) [_ | partial y] on mesh (x=2, y=4)
  [0, 5)  5 elements  ranks 0, 4 + 1, 5 + 2, 6 + 3, 7)");
}

TEST_CASE("describe: scalars, empty tensors, other elements") {
  check_text(describe(ShardedTensor<TwoAxes, Spec<>, std::int64_t>(grid(), "count")), R"(
count: int64 () [] on mesh (x=2, y=4)
  the scalar  1 element  ranks 0-7)");
  check_text(describe(OnGrid<"x", _>(grid(), {0, 3}, "none")), R"(
none: float (0, 3) [x | _] on mesh (x=2, y=4)
  nothing  ranks 0-7)");
}

TEST_CASE("describe: ranks in the order of the mesh") {
  check_text(describe(ShardedTensor<Line, Spec<"x">>(Line(runtime(), {8}, RankOrder::zigzag(8)), {16}, "ring")), R"(
ring: float (16) [x] on mesh (x=8)
  [0, 2)    2 elements  rank 0
  [2, 4)    2 elements  rank 2
  [4, 6)    2 elements  rank 4
  [6, 8)    2 elements  rank 6
  [8, 10)   2 elements  rank 7
  [10, 12)  2 elements  rank 5
  [12, 14)  2 elements  rank 3
  [14, 16)  2 elements  rank 1)");
}

// ---- Pictures

TEST_CASE("draw: one dimension") {
  check_text(draw(ShardedTensor<Line, Spec<"x">>(Line(runtime(), {8}), {10}, "tokens")), R"(
tokens: float (10) [x] on mesh (x=8)
  0       2       4       6       8       10
  +-------+-------+-------+-------+-------+
  |   0   |   1   |   2   |   3   |   4   |
  +-------+-------+-------+-------+-------+
  nothing: ranks 5-7)");
  check_text(draw(OnGrid<"x,y">(grid(), {1000}, "long")), R"(
long: float (1000) [x,y] on mesh (x=2, y=4)
  0      125    250    375    500    625    750    875    1000
  +------+------+------+------+------+------+------+------+
  |  0   |  1   |  2   |  3   |  4   |  5   |  6   |  7   |
  +------+------+------+------+------+------+------+------+)");
}

TEST_CASE("draw: two dimensions") {
  check_text(draw(OnGrid<"x", "y">(grid(), {5, 6}, "uneven")), R"(
uneven: float (5, 6) [x | y] on mesh (x=2, y=4)
    0       2       4       6
  0 +-------+-------+-------+
    |       |       |       |
    |   0   |   1   |   2   |
    |       |       |       |
  3 +-------+-------+-------+
    |   4   |   5   |   6   |
    |       |       |       |
  5 +-------+-------+-------+
  nothing: ranks 3, 7)");
  check_text(draw(OnGrid<_, "x">(grid(), {3, 4})), R"(
tensor: float (3, 4) [_ | x] on mesh (x=2, y=4)
    0       2       4
  0 +-------+-------+
    |       |       |
    |  0-3  |  4-7  |
    |       |       |
  3 +-------+-------+)");
}

TEST_CASE("draw: an unreduced sum, and a scalar one") {
  check_text(draw(OnGrid<"y", _, partial("x")>(grid(), {4, 3}, "sum")), R"(
sum: float (4, 3) [y | _ | partial x] on mesh (x=2, y=4)
    0           3
  0 +-----------+
    |    0+4    |
  1 +-----------+
    |    1+5    |
  2 +-----------+
    |    2+6    |
  3 +-----------+
    |    3+7    |
  4 +-----------+)");
  check_text(draw(OnGrid<partial("x")>(grid(), "loss")), R"(
loss: float () [partial x] on mesh (x=2, y=4)
  +---------+
  | 0-3+4-7 |
  +---------+)");
}

TEST_CASE("draw: of more dimensions the last two that axes split, slice by slice") {
  check_text(draw(OnGrid<_, "x", _, "y">(grid(), {3, 2, 5, 8}, "heads")), R"(
heads: float (3, 2, 5, 8) [_ | x | _ | y] on mesh (x=2, y=4)
  dimension 1 down, 3 to the right
    0       2       4       6       8
  0 +-------+-------+-------+-------+
    |   0   |   1   |   2   |   3   |
  1 +-------+-------+-------+-------+
    |   4   |   5   |   6   |   7   |
  2 +-------+-------+-------+-------+)");
  check_text(draw(ShardedTensor<Cube, Spec<"x", "y", "z">>(Cube(runtime(), {2, 2, 2}), {3, 2, 2}, "cube")), R"(
cube: float (3, 2, 2) [x | y | z] on mesh (x=2, y=2, z=2)
  dimension 1 down, 2 to the right
  dimension 0 in [0, 2)
    0   1   2
  0 +---+---+
    | 0 | 1 |
  1 +---+---+
    | 2 | 3 |
  2 +---+---+
  dimension 0 in [2, 3)
    0   1   2
  0 +---+---+
    | 4 | 5 |
  1 +---+---+
    | 6 | 7 |
  2 +---+---+)");
  check_text(draw(ShardedTensor<Cube, Spec<"x,y,z", _, _>>(Cube(runtime(), {2, 2, 2}), {8, 1, 5})), R"(
tensor: float (8, 1, 5) [x,y,z | _ | _] on mesh (x=2, y=2, z=2)
  dimension 0 down, 1 to the right
    0   1
  0 +---+
    | 0 |
  1 +---+
    | 1 |
  2 +---+
    | 2 |
  3 +---+
    | 3 |
  4 +---+
    | 4 |
  5 +---+
    | 5 |
  6 +---+
    | 6 |
  7 +---+
    | 7 |
  8 +---+)");
}

TEST_CASE("draw: nothing where there are no elements") {
  check_text(draw(OnGrid<"x", _>(grid(), {0, 3}, "none")), R"(
none: float (0, 3) [x | _] on mesh (x=2, y=4)
  nothing: ranks 0-7)");
}

TEST_CASE("of many blocks the first and the last ones, on meshes that are not there, too") {
  AbstractRuntime nobody;
  TwoAxes const pod(nobody, {16, 128});
  using Wide = ShardedTensor<TwoAxes, Spec<"x", "y">, float, AbstractSpace>;
  Wide const weights(pod, {8192, 65536}, "weights");
  check_text(describe(weights), R"(
weights: float (8192, 65536) [x | y] on mesh (x=16, y=128)
  [0, 512) x [0, 512)            262144 elements  rank 0
  [0, 512) x [512, 1024)         262144 elements  rank 1
  [0, 512) x [1024, 1536)        262144 elements  rank 2
  [0, 512) x [1536, 2048)        262144 elements  rank 3
  ... 2040 blocks ...
  [7680, 8192) x [63488, 64000)  262144 elements  rank 2044
  [7680, 8192) x [64000, 64512)  262144 elements  rank 2045
  [7680, 8192) x [64512, 65024)  262144 elements  rank 2046
  [7680, 8192) x [65024, 65536)  262144 elements  rank 2047)");
  check_text(draw(weights), R"(
weights: float (8192, 65536) [x | y] on mesh (x=16, y=128)
       0       512     1024    1536    2048  64000   64512   65024   65536
     0 +-------+-------+-------+-------+-----+-------+-------+-------+
       |   0   |   1   |   2   |   3   | ... |  125  |  126  |  127  |
   512 +-------+-------+-------+-------+-----+-------+-------+-------+
       |  128  |  129  |  130  |  131  | ... |  253  |  254  |  255  |
  1024 +-------+-------+-------+-------+-----+-------+-------+-------+
       |  256  |  257  |  258  |  259  | ... |  381  |  382  |  383  |
  1536 +-------+-------+-------+-------+-----+-------+-------+-------+
       |  384  |  385  |  386  |  387  | ... |  509  |  510  |  511  |
  2048 +-------+-------+-------+-------+-----+-------+-------+-------+
       |  ...  |  ...  |  ...  |  ...  | ... |  ...  |  ...  |  ...  |
  6656 +-------+-------+-------+-------+-----+-------+-------+-------+
       | 1664  | 1665  | 1666  | 1667  | ... | 1789  | 1790  | 1791  |
  7168 +-------+-------+-------+-------+-----+-------+-------+-------+
       | 1792  | 1793  | 1794  | 1795  | ... | 1917  | 1918  | 1919  |
  7680 +-------+-------+-------+-------+-----+-------+-------+-------+
       | 1920  | 1921  | 1922  | 1923  | ... | 2045  | 2046  | 2047  |
  8192 +-------+-------+-------+-------+-----+-------+-------+-------+)");
  using Replicated = ShardedTensor<TwoAxes, Spec<"y", _, partial("x")>, float, AbstractSpace>;
  check_text(describe(Replicated(pod, {3, 2}, "sums")), R"(
sums: float (3, 2) [y | _ | partial x] on mesh (x=16, y=128)
  [0, 1) x [0, 2)  2 elements  ranks 0 + 128 + ... + 1920
  [1, 2) x [0, 2)  2 elements  ranks 1 + 129 + ... + 1921
  [2, 3) x [0, 2)  2 elements  ranks 2 + 130 + ... + 1922
  nothing                      ranks 3-127, 131-255, 259-383, ..., 1923-2047)");
}

TEST_CASE("draw: blocks keep their shares of the picture where extents times its width exceed 64 bits") {
  AbstractRuntime nobody;
  TwoAxes const pod(nobody, {2, 4});
  using Long = ShardedTensor<TwoAxes, Spec<"x">, float, AbstractSpace>;
  auto const lower_border = [&](std::int64_t count) {
    std::string const text = draw(Long(pod, {count}));
    return text.substr(text.rfind('\n') + 1);
  };
  CHECK(lower_border(std::int64_t{1} << 59) == "  +-----------------------------+-----------------------------+");
  CHECK(lower_border(std::int64_t{1} << 59) == lower_border(std::int64_t{1} << 40));
}

TEST_CASE("draw_svg: the same picture in boxes") {
  std::string const svg = svg_of(OnGrid<"x", "y">(grid(), {2, 3}, "a<b"));
  check_text(svg, R"(
<svg xmlns="http://www.w3.org/2000/svg" width="340" height="138" viewBox="0 0 340 138">
  <style>
    text { font: 13px sans-serif; fill: #222222; }
    .note, .row, .column { font-size: 11px; fill: #666666; }
    .row { text-anchor: end; }
    .column { text-anchor: middle; }
    .holders { text-anchor: middle; }
    rect { stroke: #444444; }
  </style>
  <rect width="100%" height="100%" fill="#ffffff" style="stroke: none"/>
  <text class="title" x="16" y="26">a&lt;b: float (2, 3) [x | y] on mesh (x=2, y=4)</text>
  <text class="column" x="29" y="48">0</text>
  <text class="column" x="53" y="48">1</text>
  <text class="column" x="77" y="48">2</text>
  <text class="column" x="101" y="48">3</text>
  <rect x="29" y="52" width="24" height="24" fill="#d9e8f5"/>
  <text class="holders" x="41" y="69">0</text>
  <rect x="53" y="52" width="24" height="24" fill="#fbe3cd"/>
  <text class="holders" x="65" y="69">1</text>
  <rect x="77" y="52" width="24" height="24" fill="#dcefd9"/>
  <text class="holders" x="89" y="69">2</text>
  <text class="row" x="23" y="56">0</text>
  <rect x="29" y="76" width="24" height="24" fill="#fdf2c3"/>
  <text class="holders" x="41" y="93">4</text>
  <rect x="53" y="76" width="24" height="24" fill="#d5eeec"/>
  <text class="holders" x="65" y="93">5</text>
  <rect x="77" y="76" width="24" height="24" fill="#ecdcd3"/>
  <text class="holders" x="89" y="93">6</text>
  <text class="row" x="23" y="80">1</text>
  <text class="row" x="23" y="104">2</text>
  <text class="note" x="16" y="122">nothing: ranks 3, 7</text>
</svg>
)");
  CHECK_MESSAGE(svg_of(OnGrid<partial("y")>(grid())).find(">0,4+1,5+2,6+3,7</text>") != std::string::npos,
                "a sum that all hold a part of");
}
