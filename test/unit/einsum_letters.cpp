// SPDX-License-Identifier: Apache-2.0
// Einsums of many different letters: up to 52 in all, 8 of one operand, 8 of a product.
#include <array>
#include <string>
#include <vector>

#include <gshard/einsum.hpp>
#include <gshard/reshard.hpp>
#include <gshard/spatial.hpp>

#include "dense_reference.hpp"
#include "wrong_inputs.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

template <class Spec>
using Of = ShardedTensor<TwoAxes, Spec, double>;

TEST_CASE("an einsum of two operands has more than 8 different letters") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const left = filled<Of<Spec<"x", _, _, _, _, _>>>(mesh, {2, 1, 3, 2, 2, 3}, 1);
    auto const right = filled<Of<Spec<_, "y", _, _, _, _>>>(mesh, {2, 3, 2, 2, 1, 2}, 2);
    Dense const expected = dense_einsum("abcdef,efghij->abcdghij", {{left.extents(), dense_values_of(left, 1)},
                                                                    {right.extents(), dense_values_of(right, 2)}});
    CHECK(difference(eval(einsum<"abcdef,efghij->abcdghij">(left, right)), expected.values) == "");
    expect_refusal<ExtentError>(
        "einsum: extents of the tenth letter differ",
        [&] {
          eval(einsum<"abcdef,efghij->abcdghij">(left,
                                                 filled<Of<Spec<_, "y", _, _, _, _>>>(mesh, {2, 4, 2, 2, 1, 2}, 2)));
        },
        "letter 'f' has extent 3", "dimension 1 of operand 1 (2, 4, 2, 2, 1, 2) has 4");
  });
}

TEST_CASE("a chain of 8 matrices has 9 letters") {
  on_every_mesh([](TwoAxes const& mesh) {
    using Matrix = Of<Spec<_, _>>;
    std::vector<Matrix> matrices;
    std::vector<Dense> dense;
    for (std::int64_t i = 0; i < 8; ++i) {
      matrices.push_back(filled<Matrix>(mesh, {2 + i % 2, 3 - i % 2}, i));
      dense.push_back({matrices.back().extents(), dense_values_of(matrices.back(), i)});
    }
    auto const& m = matrices;
    Of<Spec<"x", _>> const product =
        einsum<"ab,bc,cd,de,ef,fg,gh,hi->ai">(m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]);
    CHECK(difference(product, dense_einsum("ab,bc,cd,de,ef,fg,gh,hi->ai", dense).values) == "");
  });
}

TEST_CASE("a convolution of three dimensions has 9 letters") {
  on_every_mesh([](TwoAxes const& mesh) {
    // Windows of one element: a product of matrices at each place.
    auto const x = filled<Of<Spec<_, "x", _, _, _>>>(mesh, {2, 3, 2, 2, 3}, 1);
    auto const w = filled<Of<Spec<_, _, _, _, "y">>>(mesh, {1, 1, 1, 3, 2}, 2);
    Dense const expected =
        dense_einsum("nxyzi,io->nxyzo", {{x.extents(), dense_values_of(x, 1)}, {{3, 2}, dense_values_of(w, 2)}});
    CHECK(difference(eval(convolution(x, w)), expected.values) == "");
  });
}

TEST_CASE("lists of dimensions, letters and axes have bounds at run time") {
  expect_refusal<ExtentError>(
      "StaticVector: push_back on a full one",
      [] {
        Labels letters;
        for (char letter = 'a'; letter < 'z'; ++letter) letters.push_back(letter);
      },
      "at most 8");
  expect_refusal<ExtentError>(
      "StaticVector: nine numbers", [] { Extents const nine{1, 2, 3, 4, 5, 6, 7, 8, 9}; }, "at most 8");
  Extents two{1, 2};
  for (int const index : {-1, 2, 8})
    expect_refusal<IndexError>(
        "StaticVector: index", [&] { two[index] = 0; }, detail::concat("index ", index, " is outside a list of 2"));
  expect_refusal<IndexError>("StaticVector: back of an empty one", [] { (void)Extents{}.back(); }, "a list of 0");
  expect_refusal<IndexError>("StaticVector: pop_back of an empty one", [] { Extents{}.pop_back(); }, "a list of 0");
  expect_refusal<ExtentError>(
      "LoopNest: ninth loop",
      [] {
        detail::LoopNest<1> loops;
        for (int i = 0; i < 9; ++i) loops.push_inner(2, {1});
      },
      "at most 8");
}

}  // namespace
