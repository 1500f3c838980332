// SPDX-License-Identifier: Apache-2.0
// Three operands of which every two have a product of 10 dimensions.
// expect-error: in every order of contraction of this einsum the product of two operands has more than 8 dimensions
// expect-error: EinsumProductTooLarge<gshard::error::Name<.a., .b., .p., .q., .r., .u., .v., .w., .,.
#include <gshard/einsum.hpp>

using namespace gshard;
using T = ShardedTensor<Mesh<Axis<"data">>, Spec<_, _, _, _, _, _, _, _>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T const& a, T const& b, T const& c) {
  return einsum<"abpqruvw,cdxyzuvw,efpqrxyz->abcdef">(a, b, c).eval();
}
#else
auto product(T const& a, T const& b, T const& c) { return einsum<"abpqruvw,abxyzuvw,abpqrxyz->ab">(a, b, c).eval(); }
#endif
