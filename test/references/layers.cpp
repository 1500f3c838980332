// SPDX-License-Identifier: Apache-2.0
#include "layers.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace gshard::test {

void softmax_row(double const* in, double* out, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += std::exp(in[i]);
  for (std::int64_t i = 0; i < count; ++i) out[i] = std::exp(in[i]) / sum;
}

std::vector<int> token_ids(std::int64_t count, int vocabulary) {
  std::vector<int> ids;
  for (std::int64_t i = 0; i < count; ++i) ids.push_back(token_id(i, vocabulary));
  return ids;
}

Values attention_weights_of(Dense const& scores, std::vector<int> const& lengths, double scale, bool causal) {
  std::int64_t const heads = scores.extents[2], queries = scores.extents[3], keys = scores.extents[4];
  Values result(scores.values.size(), 0);
  for (std::int64_t row = 0; row * keys < static_cast<std::int64_t>(result.size()); ++row) {
    std::int64_t seen = lengths[static_cast<std::size_t>(row / (heads * queries))];
    if (causal) seen = std::min(seen, row % queries + 1);
    double sum = 0;
    for (std::int64_t k = 0; k < seen; ++k)
      sum += std::exp(scale * scores.values[static_cast<std::size_t>(row * keys + k)]);
    for (std::int64_t k = 0; k < seen; ++k)
      result[static_cast<std::size_t>(row * keys + k)] =
          std::exp(scale * scores.values[static_cast<std::size_t>(row * keys + k)]) / sum;
  }
  return result;
}

std::vector<int> some_lengths(std::int64_t sentences, int longest) {
  std::vector<int> lengths;
  for (std::int64_t i = 0; i < sentences; ++i) lengths.push_back(static_cast<int>((i * 2 + 3) % (longest + 1)));
  return lengths;
}

Values attention_of(std::vector<Dense> const& in, std::vector<int> const& lengths, std::int64_t sentences,
                    bool causal) {
  auto const cut = [&](Dense tokens) {
    Extents const& e = tokens.extents;
    tokens.extents = {e[0], sentences, e[1] / sentences, e[2]};
    return tokens;
  };
  Dense const queries = cut(in[0]), keys = cut(in[1]);
  Dense const q = dense_einsum("gnlm,mhd->gnlhd", {queries, in[2]});
  Dense const k = dense_einsum("gnkm,mhd->gnkhd", {keys, in[3]});
  Dense const v = dense_einsum("gnkm,mhd->gnkhd", {keys, in[4]});
  Dense weights = dense_einsum("gnlhd,gnkhd->gnhlk", {q, k});
  weights.values = attention_weights_of(weights, lengths, 1 / std::sqrt(static_cast<double>(in[2].extents[2])), causal);
  return dense_einsum("gnlhd,hdm->gnlm", {dense_einsum("gnhlk,gnkhd->gnlhd", {weights, v}), in[5]}).values;
}

Values embedding_of(Dense const& table, std::vector<int> const& ids, double scale) {
  std::int64_t const width = table.extents[1];
  Values result;
  for (int id : ids)
    for (std::int64_t m = 0; m < width; ++m)
      result.push_back(id < 0 ? 0 : scale * table.values[static_cast<std::size_t>(width * id + m)]);
  return result;
}

Values feed_forward_of(std::vector<Dense> const& in) {
  Dense hidden = dense_einsum("gsm,mh->gsh", {in[0], in[1]});
  for (double& element : hidden.values) element = std::max(element, 0.);
  return dense_einsum("gsh,hm->gsm", {hidden, in[2]}).values;
}

double cross_entropy_of(Values const& logits, std::vector<int> const& targets, int vocabulary, double smoothing,
                        double z_loss) {
  double sum = 0;
  int tokens = 0;
  for (std::size_t token = 0; token < targets.size(); ++token) {
    if (targets[token] < 0) continue;
    ++tokens;
    double const* const row = logits.data() + token * static_cast<std::size_t>(vocabulary);
    Values p(static_cast<std::size_t>(vocabulary));
    softmax_row(row, p.data(), vocabulary);
    double const log_sum = row[0] - std::log(p[0]);
    sum += z_loss * log_sum * log_sum;
    for (int v = 0; v < vocabulary; ++v)
      sum -= (smoothing / vocabulary + (v == targets[token] ? 1 - smoothing : 0)) *
             std::log(p[static_cast<std::size_t>(v)]);
  }
  return sum / tokens;
}

}  // namespace gshard::test
