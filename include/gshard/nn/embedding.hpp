// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <gshard/core/options.hpp>
#include <gshard/einsum/operand.hpp>
#include <gshard/index/check_ids.hpp>
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

/// embedding of ids that are known to be below V.
template <class Table, AnyTensor Ids>
auto rows_by_id(Movable<Table> const& table, Ids const& ids, double scale) {
  using Value = ValueTensor<Table>;
  using T = typename Value::value_type;
  using Number = gshard::detail::Computed<T>;
  using Space = typename Value::memory_space;
  using Whole = with_layout<Value, with_whole_rows(Value::layout)>;
  Whole const rows = reshard<typename Whole::spec_type>(value_of(table.operand));
  Extents extents = ids.extents();
  extents.push_back(rows.extent(1));
  with_layout<Value, layout_of_rows(Ids::layout, Value::layout)> output(uninitialized, rows.mesh(), extents);
  std::int64_t const first = rows.range(0).begin;
  record_kernel("embedding", output, output, ids);  // a row of the table for each row of the output
  embedding<Space, T>(rows.local(), row_of(ids), rows_of(output), static_cast<Number>(scale), first);
  return recorded_beside(
      table.operand, output,
      [slot = slot_of(table.operand), ids, shape = rows.extents(), scale, first](auto const& gradient) {
        using Part = GradientPart<Whole, Ids>;
        // Added up as it is computed with, whatever it is stored as in the end.
        ShardedTensor<typename Part::mesh_type, typename Part::spec_type, Number, Space> part(gradient.mesh(), shape);
        record_kernel("embedding gradient", part, gradient, ids);
        embedding_backward<Space, T>(row_of(ids), rows_of(gradient), rows_of(part), static_cast<Number>(scale), first);
        if constexpr (gshard::detail::is_rounded<T>) slot.add_part(eval(convert<T>(part)));
        else slot.add_part(std::move(part));
      });
}

}  // namespace detail

/// Returns the rows of a table (V, M) by number, times `scale`: ids (G, S) of int, or of any other rank, of a split
/// spec give (G, S, M) of the same one, and where axes split V an unreduced sum over them, of which all parts but one
/// are zeros. A negative id is padding: its row is 0, and the gradient of that row is not read. Communication: an
/// all-reduce of one number over the axes that split the ids, for their check. Split rows of a table are gathered for
/// use, and its gradient is one all-reduce over the axes that split the ids, or a reduce-scatter over those that split
/// its rows as well. Throws IndexError for an id of V or more, OptionError unless `scale` is finite.
template <class Table, AnyTensor Ids>
auto embedding(Movable<Table> const& table, Ids const& ids, double scale = 1) {
  using Value = detail::ValueTensor<Table>;
  static_assert(Value::rank == 2 && Value::layout.partial.empty(),
                "gshard: an embedding table is a matrix (V, M) that is no unreduced sum; reshard it");
  static_assert(
      std::is_same_v<typename Ids::value_type, int> && Ids::layout.partial.empty() &&
          std::is_same_v<typename Ids::mesh_type, typename Value::mesh_type>,
      "gshard: embedding looks up ids of int that are no unreduced sum, on a mesh of the type of the table's; make them so");
  static_assert(
      (set_of(Value::layout.dimensions[0]) & Ids::layout.split()).empty(),
      "gshard: an axis splits the ids and the entries of their embedding table; let it split the rows of the table instead, as Spec<_, \"data\">");
  Value const& entries = detail::value_of(table.operand);
  gshard::detail::require_one_mesh("embedding", {{"table", entries}, {"ids", ids}});
  gshard::detail::require_option(std::isfinite(scale), "scale", scale, "a finite number");
  gshard::detail::require_ids("embedding", "ids", ids, entries.extent(0), gshard::detail::NegativeIds::padding);
  return detail::rows_by_id(table, ids, scale);
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
