// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <gshard/core/checked.hpp>
#include <gshard/core/ledger.hpp>
#include <gshard/einsum/subscripts.hpp>

namespace gshard::detail {

/// Returns the subscripts as text, such as "gsm,me->gse".
inline std::string text_of(Subscripts const& subscripts) {
  std::string text;
  for (int i = 0; i < subscripts.operands.size(); ++i) {
    if (i > 0) text += ',';
    text.append(subscripts.operands[i].begin(), subscripts.operands[i].end());
  }
  return text.append("->").append(subscripts.result.begin(), subscripts.result.end());
}

/// Records a local contraction in the ledger, if the ledger is open.
/// flops = f * product of the local extents of all distinct letters of the operands; f = 2 for two operands (multiply
/// and add), 1 for one. bytes = each tensor once.
/// `produced` and `blocks` are the local extents of the result and of the operands.
inline void record_contraction(Ledger& ledger, Subscripts const& subscripts, Extents const& produced,
                               StaticVector<Extents, 2> const& blocks, std::size_t element_bytes) {
  if (!ledger.is_open()) return;
  StaticVector<char, 2 * max_rank> counted;
  std::int64_t products = 1;
  std::int64_t elements = product(produced);
  for (int operand = 0; operand < blocks.size(); ++operand) {
    Labels const& labels = subscripts.operands[operand];
    elements = saturated_sum(elements, product(blocks[operand]));
    for (int d = 0; d < labels.size(); ++d) {
      if (counted.contains(labels[d])) continue;
      counted.push_back(labels[d]);
      products = saturated_product(products, blocks[operand][d]);
    }
  }
  ledger.add_work("einsum " + text_of(subscripts), saturated_product(blocks.size() == 2 ? 2 : 1, products),
                  saturated_product(elements, static_cast<std::int64_t>(element_bytes)));
}

}  // namespace gshard::detail
