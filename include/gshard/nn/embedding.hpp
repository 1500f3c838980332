// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/einsum/operand.hpp>
#include <gshard/nn/kernels/embedding.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

namespace detail {

constexpr Layout with_whole_rows(Layout table) {
  table.dimensions[1] = {};
  return table;
}

/// The layout of rows found by ids: of those that other ranks hold a rank adds zeros.
constexpr Layout layout_of_rows(Layout const& ids, Layout const& table) {
  Layout result = ids;
  result.dimensions.push_back({});
  result.partial = set_of(table.dimensions[0]);
  return result;
}

}  // namespace detail

/// Rows of a table (V, M) by number, times `scale`: ids (G, S) of a split spec give (G, S, M) of the same one, and
/// where axes split V an unreduced sum over them, of which all parts but one are zeros. An id that is negative, as for
/// padding, or not below V gives zeros. Split rows of a table are gathered for use, and its gradient is one all-reduce
/// over the axes that split the ids, or a reduce-scatter over those that split its rows as well.
template <class Table, AnyTensor Ids>
auto embedding(Movable<Table> const& table, Ids const& ids, double scale = 1) {
  using Value = detail::ValueTensor<Table>;
  using T = typename Value::value_type;
  using Number = gshard::detail::Computed<T>;
  using Space = typename Value::memory_space;
  static_assert(Value::rank == 2 && Value::layout.partial.empty(),
                "gshard: an embedding table is a matrix (V, M) that is no unreduced sum; reshard it");
  static_assert(
      (set_of(Value::layout.dimensions[0]) & Ids::layout.split()).empty(),
      "gshard: an axis splits the ids and the entries of their embedding table; let it split the rows of the table instead, as Spec<_, \"data\">");
  using Whole = with_layout<Value, detail::with_whole_rows(Value::layout)>;
  Whole const rows = reshard<typename Whole::spec_type>(detail::value_of(table.operand));
  Extents extents = ids.extents();
  extents.push_back(rows.extent(1));
  with_layout<Value, detail::layout_of_rows(Ids::layout, Value::layout)> output(uninitialized, rows.mesh(), extents);
  std::int64_t const first = rows.range(0).begin;
  detail::record_kernel("embedding", output, output, ids);  // a row of the table for each row of the output
  detail::embedding<T, Space>(rows.local(), detail::row_of(ids), detail::rows_of(output), static_cast<Number>(scale),
                              first);
  return detail::recorded_beside(
      table.operand, output,
      [slot = detail::slot_of(table.operand), ids, shape = rows.extents(), scale, first](auto const& gradient) {
        using Part = detail::GradientPart<Whole, Ids>;
        // Added up as it is computed with, whatever it is stored as in the end.
        ShardedTensor<typename Part::mesh_type, typename Part::spec_type, Number, Space> part(gradient.mesh(), shape);
        detail::record_kernel("embedding gradient", part, gradient, ids);
        detail::embedding_backward<T, Space>(detail::row_of(ids), detail::rows_of(gradient), detail::rows_of(part),
                                             static_cast<Number>(scale), first);
        if constexpr (gshard::detail::is_rounded<T>) slot.add_part(eval(convert<T>(part)));
        else slot.add_part(std::move(part));
      });
}

/// The same of a table whose rows are whole: the lookup is local.
template <class Table, AnyTensor Ids>
  requires(AnyTensor<Table> || AnyVar<Table>)
auto embedding(Table const& table, Ids const& ids, double scale = 1) {
  static_assert(
      detail::ValueTensor<Table>::layout.dimensions.back().empty(),
      "gshard: the rows of an embedding table are whole; write embedding(movable(table), ids), and split rows are gathered");
  return embedding(movable(table), ids, scale);
}

}  // namespace gshard::nn
