// SPDX-License-Identifier: Apache-2.0
// Attention without a matrix of scores, and what encodes the positions of its queries and keys.
#include <gshard/nn/dot_product_attention.hpp>
#include <gshard/nn/rotary_embedding.hpp>

#include "element_types.hpp"

using namespace gshard;
using namespace gshard::test;

TEST_CASE("attention") {
  check_fractional_types("`nn::rotary_embedding`, `nn::dot_product_attention`",
                         []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                           using X = Of<T, _, _, "x", "y", _>;
                           auto const x = positive_numbers<X>(mesh, {1, 2, 3, 2, 4});
                           results(nn::rotary_embedding(x));
                           auto const lengths = from_vector<Of<int, _, _>>(mesh, {1, 2}, std::vector<int>{3, 2});
                           results(nn::dot_product_attention(x, x, x, lengths, {.masking = nn::Masking::causal}));
                         });
}
