// SPDX-License-Identifier: Apache-2.0
// The operations of layers.
#include <gshard/nn/attention_weights.hpp>
#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/embedding.hpp>
#include <gshard/nn/layer_norm.hpp>
#include <gshard/nn/rms_norm.hpp>

#include "element_types.hpp"

using namespace gshard;
using namespace gshard::test;

TEST_CASE("layers") {
  check_fractional_types(
      "`nn::embedding`, `nn::rms_norm`, `nn::layer_norm`, `nn::attention_weights`, `nn::cross_entropy`",
      []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
        auto const x = positive_numbers<Of<T, "x", _>>(mesh, {3, 4});
        auto const gain = positive_numbers<Of<T, _>>(mesh, {4});
        results(nn::rms_norm(x, gain));
        results(nn::layer_norm(x, gain, gain));
        auto const ids = from_vector<Of<int, "x", _>>(mesh, {2, 2}, std::vector<int>{1, 0, 3, 1});
        results(nn::embedding(numbers<Of<T, _, _>>(mesh, {5, 4}), ids));
        auto const lengths = from_vector<Of<int, "x", _>>(mesh, {2, 1}, std::vector<int>{3, 2});
        results(nn::attention_weights(numbers<Of<T, "x", _, _, _, _>>(mesh, {2, 1, 1, 2, 3}), lengths, 0.5,
                                      nn::Masking::none));
        results(nn::cross_entropy(numbers<Of<T, "x", _, "y">>(mesh, {2, 2, 4}), ids, 4));
      });
}
