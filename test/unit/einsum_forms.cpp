// SPDX-License-Identifier: Apache-2.0
// The forms of an einsum beside its table (einsum.cpp): `...` for dimensions without a letter.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <type_traits>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

template <class Action>
void on_every_mesh(Action const& action) {
  for (auto const& shape : two_axis_shapes()) action(TwoAxes(runtime(), shape));
}

/// The dense values of einsum operands that were filled with the seeds 1, 2, ...
template <class... Tensors>
std::vector<double> expected_of(std::string_view subscripts, Tensors const&... tensors) {
  std::int64_t seed = 0;
  std::vector<Dense> operands;
  (operands.push_back({tensors.extents(), dense_values_of(tensors, ++seed)}), ...);
  return dense_einsum(subscripts, operands).values;
}

}  // namespace

// ---- Ellipsis ---------------------------------------------------------------------------------------------------------

TEST_CASE("one linear layer for inputs of any number of leading dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const w = filled<On<_, "y">>(mesh, {5, 3}, 2);
    auto const rows = filled<On<"x", _>>(mesh, {4, 5}, 1);
    auto const groups = filled<On<"x", _, _, _>>(mesh, {3, 2, 4, 5}, 1);
    CHECK(difference(einsum<"...b,bc->...c">(rows, w).eval(), expected_of("ab,bc->ac", rows, w)) == "");
    auto const result = einsum<"...b,bc->...c">(groups, w).eval();
    static_assert(std::is_same_v<decltype(result)::spec_type, Spec<"x", _, _, "y">>);
    CHECK(difference(result, expected_of("ghab,bc->ghac", groups, w)) == "");
  });
}

TEST_CASE("leading dimensions of both operands are the same, aligned at the last one") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", _, "y", _>>(mesh, {3, 2, 4, 5}, 1);
    auto const b = filled<On<_, _, _>>(mesh, {2, 5, 3}, 2);
    On<_, "x", "y", _> const result = einsum<"...ab,...bc->...ac">(a, b);
    CHECK(difference(result, expected_of("ghab,hbc->ghac", a, b)) == "");
    CHECK(difference(einsum<"...ab->...ba">(a).eval(), expected_of("ghab->ghba", a)) == "");
    CHECK(difference(einsum<"...b->b">(a).eval(), expected_of("ghab->b", a)) == "");
  });
}

TEST_CASE("the plan of an einsum with leading dimensions") {
  static_assert(plan_of<"...b,bc->...c", On<"x", _, _>, On<"y", _>>.all_reduce == 1);
  static_assert(plan_of<"...b,bc->...c", On<"x", _, _>, On<_, _>, On<_, _, "x">>.all_to_all == 1);
  static_assert(plan_of<"...ab->...ba", On<"x", _, _>, On<"x", _, _>>.total() == 0);
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  std::string const text = explain<"...b,bc->...c">(On<"x", _, _>(mesh, {2, 3, 4}), On<_, _>(mesh, {4, 5}));
  CHECK_MESSAGE(text.find("ABc") != std::string::npos, text);
}

TEST_CASE("gradients pass through leading dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    Tape tape;
    auto const x = tape.watch(filled<On<"x", _, _>>(mesh, {3, 2, 4}, 1));
    auto const w = tape.watch(filled<On<_, "y">>(mesh, {4, 5}, 2));
    auto const result = eval(einsum<"...b,bc->...c">(x, w));
    auto const seed = filled<On<"x", _, "y">>(mesh, {3, 2, 5}, 3);
    tape.backward(result, seed);
    Dense const dense_seed{seed.extents(), dense_values_of(seed, 3)};
    CHECK(difference(tape.gradient(w), dense_einsum("gab,gac->bc", {{x.value().extents(), dense_values_of(x.value(), 1)}, dense_seed}).values) == "");
    CHECK(difference(tape.gradient(x), dense_einsum("gac,bc->gab", {dense_seed, {w.value().extents(), dense_values_of(w.value(), 2)}}).values) == "");
  });
}
