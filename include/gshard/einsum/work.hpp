// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <gshard/core/ledger.hpp>
#include <gshard/einsum/subscripts.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard::detail {

/// Subscripts as "gsm,me->gse".
inline std::string text_of(Subscripts const& subscripts) {
  std::string text;
  for (int i = 0; i < subscripts.operands.size(); ++i) {
    if (i > 0) text += ',';
    text.append(subscripts.operands[i].begin(), subscripts.operands[i].end());
  }
  return text.append("->").append(subscripts.result.begin(), subscripts.result.end());
}

/// Enters one rank's contraction into the ledger, if that is open: two flops for each product, one for each sum of a single operand, and each tensor's
/// bytes once.
template <AnyTensor Produced, AnyTensor... Held>
void record_contraction(Subscripts const& subscripts, Produced const& produced, Held const&... held) {
  Ledger& ledger = produced.mesh().memory().ledger();
  if (!ledger.is_open()) return;
  StaticVector<char, 2 * max_rank> counted;
  std::int64_t products = 1;
  int operand = 0;
  auto count = [&](auto const& tensor) {
    Labels const& labels = subscripts.operands[operand++];
    for (int d = 0; d < labels.size(); ++d) {
      if (counted.contains(labels[d])) continue;
      counted.push_back(labels[d]);
      products *= tensor.local_extent(d);
    }
  };
  (count(held), ...);
  std::int64_t const elements = (produced.local_size() + ... + held.local_size());
  ledger.add_work("einsum " + text_of(subscripts), (sizeof...(Held) == 2 ? 2 : 1) * products,
                  elements * static_cast<std::int64_t>(sizeof(typename Produced::value_type)));
}

}  // namespace gshard::detail
