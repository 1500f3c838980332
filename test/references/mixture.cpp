// SPDX-License-Identifier: Apache-2.0
#include "mixture.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace gshard::test {

Gating::Gating(Dense const& gates, std::vector<int> const& real, std::int64_t capacity)
    : weights(gates.values.size(), 0) {
  auto const groups = static_cast<std::size_t>(gates.extents[0]), tokens = static_cast<std::size_t>(gates.extents[1]);
  auto const experts = static_cast<std::size_t>(gates.extents[2]);
  double groups_with_tokens = 0;
  for (std::size_t group = 0; group < groups; ++group) {
    std::vector<std::int64_t> count(experts, 0);
    Values mean(experts, 0);
    double real_tokens = 0;
    for (int choice = 0; choice < 2; ++choice) {
      for (std::size_t token = group * tokens; token < (group + 1) * tokens; ++token) {
        if (real[token] == 0) continue;
        double const* const g = gates.values.data() + token * experts;
        std::size_t const first = static_cast<std::size_t>(std::max_element(g, g + experts) - g);
        std::size_t second = first == 0 ? 1 : 0;
        for (std::size_t e = 0; e < experts; ++e)
          if (e != first && g[e] > g[second]) second = e;
        std::size_t const chosen = choice == 0 ? first : second;
        if (count[chosen]++ < capacity) weights[token * experts + chosen] = g[chosen] / (g[first] + g[second]);
        if (choice == 1) continue;
        real_tokens += 1;
        for (std::size_t e = 0; e < experts; ++e) mean[e] += g[e];
      }
      if (choice == 1 || real_tokens == 0) continue;
      groups_with_tokens += 1;
      for (std::size_t e = 0; e < experts; ++e)
        balance +=
            static_cast<double>(experts) * (static_cast<double>(count[e]) / real_tokens) * (mean[e] / real_tokens);
    }
  }
  balance /= std::max(groups_with_tokens, 1.);
}

Values mixture_of(std::vector<Dense> const& in, std::vector<int> const& real, std::int64_t capacity) {
  auto const model = static_cast<std::size_t>(in[1].extents[0]), experts = static_cast<std::size_t>(in[1].extents[1]);
  auto const hidden = static_cast<std::size_t>(in[2].extents[2]);
  Values const &x = in[0].values, &wi = in[2].values, &wo = in[3].values;
  Dense gates{{in[0].extents[0], in[0].extents[1], in[1].extents[1]}, {}};
  for (std::size_t token = 0; token < real.size(); ++token) {
    Values row(experts, 0);
    double sum = 0;
    for (std::size_t e = 0; e < experts; ++e) {
      for (std::size_t m = 0; m < model; ++m) row[e] += x[token * model + m] * in[1].values[m * experts + e];
      sum += row[e] = std::exp(row[e]);
    }
    for (double gate : row) gates.values.push_back(gate / sum);
  }
  Gating const gating(gates, real, capacity);
  Values result(x.size(), 0);
  for (std::size_t token = 0; token < real.size(); ++token)
    for (std::size_t e = 0; e < experts; ++e) {
      double const weight = gating.weights[token * experts + e];
      if (weight == 0) continue;
      for (std::size_t h = 0; h < hidden; ++h) {
        double sum = 0;
        for (std::size_t m = 0; m < model; ++m) sum += x[token * model + m] * wi[(e * model + m) * hidden + h];
        for (std::size_t m = 0; m < model; ++m)
          result[token * model + m] += weight * std::max(sum, 0.) * wo[(e * hidden + h) * model + m];
      }
    }
  result.push_back(gating.balance);
  return result;
}

}  // namespace gshard::test
