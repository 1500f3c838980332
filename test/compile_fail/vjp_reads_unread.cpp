// SPDX-License-Identifier: Apache-2.0
// A vjp that reads the elements of an operand that was not saved.
// expect-error: a vjp reads elements that were not saved
// expect-error: ElementsNotRead<
#include <gshard/autodiff.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Vector = ShardedTensor<Grid, Spec<"data">>;

struct Scaled {
  template <int>
  static constexpr Reads reads = Reads::nothing();
  auto forward(AnyTensor auto const& x) const { return eval(2 * x); }
#ifdef GSHARD_EXPECT_ERROR
  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    (void)std::get<0>(saved.operands).data();
#else
  void vjp(auto const&, auto const& gradient, auto const& gradients) const {
#endif
    std::get<0>(gradients).add(eval(2 * gradient));
  }
};

auto scaled(Var<Vector> const& x) { return Differentiable<Scaled>{}(x); }
