// SPDX-License-Identifier: Apache-2.0
// Pointwise functions, reshards and einsums.
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

#include "element_types.hpp"

using namespace gshard;
using namespace gshard::test;

TEST_CASE("pointwise functions") {
  check_all_types("`+ - *`, `-x`, `+= -= *=`, `square`, `relu`, `copy`, `assign`, `convert`",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    using X = Of<T, "x", "y">;
                    auto const a = numbers<X>(mesh, {3, 4}), b = positive_numbers<X>(mesh, {3, 4});
                    results(eval(relu(a * b - square(a)) + -b));
                    auto const c = copy(a);
                    c += b * 2;
                    c -= a + 1;
                    c *= 3;
                    results(c);
                    results(eval(convert<float>(c)));
                  });
  check_fractional_types("`exp`, `log`, `tanh`, `sigmoid`, `sqrt`",
                         []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                           auto const x = positive_numbers<Of<T, "x", "y">>(mesh, {3, 4});
                           results(eval(log(x) + tanh(x) + sigmoid(x)));
                           results(eval(exp(-x) + sqrt(x)));
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
