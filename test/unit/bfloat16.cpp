// SPDX-License-Identifier: Apache-2.0
// Tensors of bfloat16: stored and sent in 2 bytes, summed in float, rounded once.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <sstream>
#include <type_traits>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, BFloat16>;
template <AxisNames... Entries>
using FloatOn = ShardedTensor<TwoAxes, Spec<Entries...>, float>;

std::vector<double> as_doubles(std::vector<BFloat16> const& elements) { return {elements.begin(), elements.end()}; }

/// Each element as BFloat16 holds it.
std::vector<double> rounded(std::vector<double> values) {
  for (double& value : values) value = BFloat16(value);
  return values;
}

double count_up(std::int64_t, std::int64_t position) { return static_cast<double>(position); }

}  // namespace

TEST_CASE("elements are set from the index, rounded; told, printed and described") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {30, 30}, 0, count_up);
    CHECK(as_doubles(to_vector(x)) == rounded(dense_values({30, 30}, 0, 1, count_up)));
    CHECK(describe(x).find("bfloat16 (30, 30)") != std::string::npos);
    std::ostringstream stream;
    print(stream, filled<On<"x">>(mesh, {3}, 0, count_up));
    if (mesh.rank() == 0) CHECK(stream.str().find("0 1 2\n") != std::string::npos);
    auto const again = from_vector<On<_, "x">>(mesh, {30, 30}, to_vector(x));
    CHECK(difference(again, rounded(dense_values({30, 30}, 0, 1, count_up))) == "");
  });
}

TEST_CASE("G7: 256 + 1 + 1 over ranks is 258: added in float, rounded once") {
  for (int ranks_used : {2, 3, 4, 6, 8}) {
    if (ranks_used > ranks()) continue;
    on_ranks(ranks_used, [&](Runtime& some) {
      Mesh<Axis<"x">> const mesh(some, {ranks_used});
      ShardedTensor<Mesh<Axis<"x">>, Spec<_, partial("x")>, BFloat16> const parts(mesh, {5});
      for (int i = 0; i < 5; ++i) parts.data()[i] = BFloat16(some.rank() == 0 ? 256 : 1);
      std::vector<double> const expected(5, BFloat16(256 + ranks_used - 1));
      CHECK(as_doubles(to_vector(reshard<Spec<_>>(parts))) == expected);
      CHECK(as_doubles(to_vector(reshard<Spec<"x">>(parts))) == expected);
    });
  }
  on_ranks(1, [](Runtime& one) { CHECK(Mesh<Axis<"x">>(one, {1}).ranks() == 1); });
}

TEST_CASE("reshards of all kinds move 2 bytes an element, and sums are those of the parts") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{4, 8}, Extents{5, 7}, Extents{1, 2}, Extents{3, 0}}) {
      auto const rows = filled<On<"x", _>>(mesh, extents, 1);
      auto const expected = dense_values(extents, 1);
      CHECK(difference(reshard<Spec<_, "x">>(rows), expected) == "");
      CHECK(difference(reshard<Spec<"y", "x">>(rows), expected) == "");
      CHECK(difference(replicate(rows), expected) == "");
      auto const parts = filled<On<_, _, partial("x,y")>>(mesh, extents, 1);
      auto const sum = dense_values_of(parts, 1);
      CHECK(difference(reshard<Spec<_, _>>(parts), sum) == "");
      CHECK(difference(reshard<Spec<"x", "y">>(parts), sum) == "");
      CHECK(difference(reshard<Spec<_, "y">>(parts), sum) == "");
    }
  });
}

TEST_CASE("a sum over ranks is one reduction of 2 bytes an element in the ledger") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  On<_, _, partial("x,y")> const parts(mesh, {24, 48});
  Ledger& ledger = mesh.memory().ledger();
  ledger.open();
  ledger.clear();
  (void)reshard<Spec<_, _>>(parts);
  (void)reshard<Spec<"x,y", _>>(parts);
  ledger.close();
  std::int64_t const share = 24 * 48 * 2 * (ranks() - 1) / ranks();
  CHECK(ledger.calls(Collective::all_reduce) == (ranks() > 1 ? 1 : 0));
  CHECK(ledger.calls(Collective::reduce_scatter) == (ranks() > 1 ? 1 : 0));
  CHECK(ledger.bytes_sent(Collective::all_reduce) == 2 * share);
  CHECK(ledger.bytes_sent() == 3 * share);
}

TEST_CASE("einsums: products and sums in float, one rounding") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{4, 8, 4}, Extents{5, 7, 3}, Extents{1, 2, 1}, Extents{3, 0, 4}}) {
      auto const a = filled<On<"x", _>>(mesh, {extents[0], extents[1]}, 1);
      auto const b = filled<On<_, "y">>(mesh, {extents[1], extents[2]}, 2);
      std::vector<Dense> const dense{{a.extents(), dense_values_of(a, 1)}, {b.extents(), dense_values_of(b, 2)}};
      auto const product = einsum<"ab,bc->ac">(a, b).eval();
      static_assert(std::is_same_v<decltype(product), On<"x", "y"> const>);
      CHECK(difference(product, rounded(dense_einsum("ab,bc->ac", dense).values)) == "");
      CHECK(difference(einsum<"ab->ba">(a).eval(), dense_einsum("ab->ba", {dense[0]}).values) == "");
      CHECK(difference(einsum<"ab->b">(b).eval(), rounded(dense_einsum("ab->b", {dense[1]}).values)) == "");
      auto y = filled<On<"x", "y">>(mesh, {extents[0], extents[2]}, 3);
      auto sum = dense_values_of(y, 3);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += dense_einsum("ab,bc->ac", dense).values[i];
      y += einsum<"ab,bc->ac">(a, b);
      CHECK(difference(y, rounded(sum)) == "");
    }
    // 256 and fifteen ones: rounding after every addition would stay at 256.
    auto const ones = from_vector<On<_, _>>(mesh, {1, 16}, [] {
      std::vector<BFloat16> values(16, BFloat16(1));
      values[0] = BFloat16(256);
      return values;
    }());
    CHECK(as_doubles(to_vector(einsum<"ab->a">(ones).eval())) == std::vector<double>{BFloat16(271)});
    CHECK(as_doubles(to_vector(einsum<"ab,ab->a">(ones, eval(ones * 0 + 1)).eval())) ==
          std::vector<double>{BFloat16(271)});
  });
}

TEST_CASE("rings add in float, too: one rounding, however many windows come by") {
  using Line = Mesh<Axis<"x">>;
  using Rows = ShardedTensor<Line, Spec<"x", _>, BFloat16>;
  using Columns = ShardedTensor<Line, Spec<_, "x">, BFloat16>;
  Line const mesh(runtime(), {ranks()});
  // One term of each sum is 256, the others are 1: rounded after every addition, the sum would stay at 256.
  auto const first_is_large = [](std::int64_t, std::int64_t position) { return position % ranks() == 0 ? 256.0 : 1.0; };
  auto const ones = filled<Rows>(mesh, {ranks(), 2}, 0, [](std::int64_t, std::int64_t) { return 1.0; });
  double const sum = 256 + ranks() - 1;
  auto all = [](double value) { return std::vector<double>(static_cast<std::size_t>(2 * ranks()), BFloat16(value)); };
  CHECK(difference(shard<Spec<"x", _>>(in_ring(
                       einsum<"ab,bc->ac">(filled<Columns>(mesh, {ranks(), ranks()}, 0, first_is_large), ones))),
                   all(sum)) == "");
  auto const rows = filled<Rows>(mesh, {ranks(), ranks()}, 0, first_is_large);
  Rows result = einsum<"ab,bc->ac">(rows, in_ring(ones));
  CHECK(difference(result, all(sum)) == "");
  fill(result, [](GlobalIndex<2> const&) { return 1; });
  result += einsum<"ab,bc->ac">(rows, in_ring(ones));
  CHECK(difference(result, all(sum + 1)) == "");
}

TEST_CASE("a fused expression is computed in float and rounded once; its type is that of its operands") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _>>(mesh, {5, 4}, 1);
    auto const values = dense_values_of(x, 1);
    auto const result = eval((x + 256.5) * 2 - 512);
    static_assert(std::is_same_v<decltype(result), On<"x", _> const>);
    std::vector<double> expected, relu_of;
    for (double value : values) expected.push_back((value + 256.5) * 2 - 512);
    for (double value : values) relu_of.push_back(value > 0 ? value : 0);
    CHECK(difference(result, rounded(expected)) == "");
    CHECK(difference(eval(relu(x)), relu_of) == "");
    FloatOn<"x", _> const wide = eval(cast<float>(x));
    CHECK(difference(wide, values) == "");
    auto const back = eval(cast<BFloat16>(wide + 1));
    static_assert(std::is_same_v<decltype(back), On<"x", _> const>);
    static_assert(std::is_same_v<decltype(eval(x + wide))::value_type, float>, "one float makes a float");
    double total = 0;
    for (double value : values) total += value;
    CHECK(sum(x) == total);
    CHECK(maximum(x) == *std::max_element(values.begin(), values.end()));
    CHECK(mean(x) == doctest::Approx(total / 20));
  });
}

TEST_CASE("gradients: of bfloat16, and through a conversion from float weights") {
  on_every_mesh([](TwoAxes const& mesh) {
    Tape tape;
    auto const weights = filled<FloatOn<_, "y">>(mesh, {4, 3}, 2);
    auto const x = tape.watch(filled<On<"x", _>>(mesh, {5, 4}, 1));
    auto const w = tape.watch(weights);
    auto const loss = sum(eval(einsum<"ab,bc->ac">(x, cast<BFloat16>(w))));
    tape.backward(loss);
    static_assert(std::is_same_v<decltype(tape.gradient(w)), FloatOn<_, "y">>);
    static_assert(std::is_same_v<decltype(tape.gradient(x)), On<"x", _>>);
    Dense const ones{{5, 3}, std::vector<double>(15, 1)};
    CHECK(difference(tape.gradient(w),
                     dense_einsum("ab,ac->bc", {{{5, 4}, dense_values_of(x.value(), 1)}, ones}).values) == "");
    CHECK(difference(tape.gradient(x),
                     dense_einsum("ac,bc->ab", {ones, {{4, 3}, dense_values_of(weights, 2)}}).values) == "");
  });
}
