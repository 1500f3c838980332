// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/embedding.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

/// Rows of a replicated table (V, M) by number, times `scale`: ids (G, S) of a split spec give (G, S, M) of the same one. An id that is negative, as for
/// padding, or not below V gives zeros. Local; the gradient of the table is summed by one all-reduce over the axes that split the ids.
template <class Table, AnyTensor Ids>
auto embedding(Table const& table, Ids const& ids, double scale = 1) {
  using Value = detail::ValueTensor<Table>;
  using T = typename Value::value_type;
  using Space = typename Value::memory_space;
  static_assert(Value::rank == 2 && Value::layout.replicated(), "gshard: an embedding table is a replicated matrix (V, M)");
  static constexpr Layout layout = [] {
    Layout result = Ids::layout;
    result.dimensions.push_back({});
    return result;
  }();
  Value const& rows = detail::value_of(table);
  Extents extents = ids.extents();
  extents.push_back(rows.extent(1));
  with_layout<Value, layout> output(uninitialized, rows.mesh(), extents);
  detail::record_kernel("embedding", output, output, ids);  // a row of the table for each row of the output
  detail::embedding<T, Space>(rows.local(), detail::row_of(ids), detail::rows_of(output), static_cast<T>(scale));
  return detail::recorded_beside(table, output, [slot = detail::slot_of(table), ids, shape = rows.extents(), scale](auto const& gradient) {
    detail::GradientPart<Value, Ids> part(gradient.mesh(), shape);
    detail::record_kernel("embedding gradient", part, gradient, ids);
    detail::embedding_backward<T, Space>(detail::row_of(ids), detail::rows_of(gradient), detail::rows_of(part), static_cast<T>(scale));
    detail::add_parts<Value>(slot, std::move(part));
  });
}

}  // namespace gshard::nn
