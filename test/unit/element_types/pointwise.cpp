// SPDX-License-Identifier: Apache-2.0
// Pointwise functions, reshards and einsums.
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

#include "element_types.hpp"

using namespace gshard;
using namespace gshard::test;

TEST_CASE("pointwise functions") {
  check_all_types("`+ - *`, `-x`, `+= -= *=`, `square`, `relu`, `copy`, `assign`, `cast`",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    using X = Of<T, "x", "y">;
                    auto const a = numbers<X>(mesh, {3, 4}), b = positive_numbers<X>(mesh, {3, 4});
                    results(eval(relu(a * b - square(a)) + -b));
                    auto c = copy(a);
                    c += b * 2;
                    c -= a + 1;
                    c *= 3;
                    results(c);
                    results(eval(cast<float>(c)));
                  });
  check_all_types("`abs`, `sign`, `clamp`, `where`, `maximum` and `minimum` of two operands",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    using X = Of<T, "x", "y">;
                    auto const a = numbers<X>(mesh, {3, 4}), b = positive_numbers<X>(mesh, {3, 4});
                    results(eval(abs(a) * 2 + sign(a)));
                    results(eval(maximum(a, 1) - minimum(a * 2, b)));
                    results(eval(where(a, clamp(a, -1, 2), b)));
                  });
  check_all_types(
      "`<`, `<=`, `>`, `>=`, `equal`, `not_equal`, `logical_and`, `logical_or`, `logical_not`, `isnan`, "
      "`isfinite` (all give int)",
      []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
        using X = Of<T, "x", "y">;
        auto const a = numbers<X>(mesh, {3, 4}), b = positive_numbers<X>(mesh, {3, 4});
        results(eval((a < 1) + (a <= 1) * 2 + (a * 2 > b) * 4 + (a * 2 >= b) * 8));
        results(eval(equal(a, 1) + not_equal(a, b) * 2 + isnan(a) * 4 + isfinite(b) * 8));
        results(eval(logical_and(a, logical_or(a > 2, logical_not(a < -2)))));
      });
  check_fractional_types("`exp`, `expm1`, `log`, `log1p`, `sqrt`, `rsqrt`, `pow`, `sin`, `cos`, `tanh`, `erf`",
                         []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                           auto const x = positive_numbers<Of<T, "x", "y">>(mesh, {3, 4});
                           results(eval(log(x) + tanh(x) + log1p(x)));
                           results(eval(exp(-x) + expm1(-x) + sqrt(x) + rsqrt(x)));
                           results(eval(sin(x) + cos(x) + erf(x / 4)));
                           results(eval(pow(x, 1.5) + pow(0.5, x) + pow(x, 1 / x)));
                         });
  check_fractional_types("`sigmoid`, `silu`, `gelu`, `gelu_tanh`, `softplus`, `leaky_relu`",
                         []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                           auto const x = numbers<Of<T, "x", "y">>(mesh, {3, 4});
                           results(eval(sigmoid(x) + silu(x) + softplus(x)));
                           results(eval(gelu(x) + gelu_tanh(x / 2) + leaky_relu(x, 0.25)));
                         });
  check_all_types("`/` (of integers: towards 0)",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const x = positive_numbers<Of<T, "x", "y">>(mesh, {3, 4});
                    results(eval(x * 6 / x));
                    results(eval(x * 8 / 2));
                  });
}

TEST_CASE("reshards") {
  check_all_types("`reshard` between specs and meshes, of unreduced sums too; `replicate`, `split`, `shard`",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const x = numbers<Of<T, "x", _>>(mesh, {3, 4});
                    results(reshard<Spec<_, "y,x">>(x));
                    results(replicate(x));
                    results(reshard<Spec<_, "x">>(x, mesh));
                    Of<T, _, _, partial("x,y")> const parts(mesh, {3, 4});
                    fill(parts, [](auto const& index) { return static_cast<double>(index[0] + 2 * index[1]); });
                    results(reshard<Spec<_, _>>(parts));
                    results(reshard<Spec<"x,y", _>>(parts));
                  });
}

TEST_CASE("einsums") {
  check_all_types("`einsum` of one, two and more operands",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const a = numbers<Of<T, "x", "y">>(mesh, {3, 4});
                    auto const b = numbers<Of<T, "y", _>>(mesh, {4, 2});
                    auto const c = numbers<Of<T, _, _>>(mesh, {2, 2});
                    results(eval(einsum<"ab->ba">(a)));
                    results(shard<Spec<_>>(einsum<"ab->b">(a)));
                    results(shard<Spec<_, _>>(einsum<"ab,bc->ac">(a, b)));
                    results(shard<Spec<_, _>>(einsum<"ab,bc,cd->ad">(a, b, c)));
                  });
}
