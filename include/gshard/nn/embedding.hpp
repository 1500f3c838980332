// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/options.hpp>
#include <gshard/einsum/operand.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/index/check_ids.hpp>
#include <gshard/nn/kernels/embedding.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::nn {

namespace detail {

constexpr Layout with_whole_rows(Layout table) {
  table.dimensions[1] = {};
  return table;
}

/// Layout of the rows that ids look up: an unreduced sum over the axes that split V, since a rank gives zeros for rows
/// that other ranks hold.
constexpr Layout layout_of_rows(Layout const& ids, Layout const& table) {
  Layout result = ids;
  result.dimensions.push_back({});
  result.partial = set_of(table.dimensions[0]);
  return result;
}

/// Rows of a table (V, M) by number, times `scale`, as an operation with a gradient.
struct EmbeddingLookup {
  double scale;
  bool ids_are_checked = false;  ///< the caller has checked that they are below V

  template <int>
  static constexpr Reads reads = Reads::operand(1);

  template <AnyTensor Table, AnyTensor Ids>
  auto forward(Table const& table, Ids const& ids) const {
    static_assert(Table::rank == 2 && Table::layout.partial.empty(),
                  "gshard: an embedding table is a matrix (V, M) that is no unreduced sum; reshard it");
    static_assert(
        std::is_same_v<typename Ids::value_type, int> && Ids::layout.partial.empty() &&
            std::is_same_v<typename Ids::mesh_type, typename Table::mesh_type>,
        "gshard: embedding looks up ids of int that are no unreduced sum, on a mesh of the type of the table's; make them so");
    static_assert(
        (set_of(Table::layout.dimensions[0]) & Ids::layout.split()).empty(),
        "gshard: an axis splits the ids and the entries of their embedding table; let it split the rows of the table instead, as Spec<_, \"data\">");
    using T = typename Table::value_type;
    require_floating_point<Table>();
    gshard::detail::require_one_mesh("embedding", {{"table", table}, {"ids", ids}});
    gshard::detail::require_option(std::isfinite(scale), "scale", scale, "a finite number");
    if (!ids_are_checked)
      gshard::detail::require_ids("embedding", "ids", ids, table.extent(0), gshard::detail::NegativeIds::padding);
    using Whole = with_layout<Table, with_whole_rows(Table::layout)>;
    Whole const rows = reshard<typename Whole::spec_type>(table);
    Extents extents = ids.extents();
    extents.push_back(rows.extent(1));
    with_layout<Table, layout_of_rows(Ids::layout, Table::layout)> const result(uninitialized, rows.mesh(), extents);
    record_kernel("embedding", result, result, ids);  // a row of the table for each row of the result
    embedding<typename Table::memory_space, T>(rows.local(), row_of(ids), rows_of(result),
                                               static_cast<gshard::detail::Computed<T>>(scale), rows.range(0).begin);
    return result;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [table, ids] = saved.operands;
    auto const& dtable = std::get<0>(gradients);
    using Table = typename std::remove_cvref_t<decltype(dtable)>::tensor_type;
    using T = typename Table::value_type;
    using Whole = with_layout<Table, with_whole_rows(Table::layout)>;
    // Adds up in the type of the computation, and rounds once.
    gshard::detail::Widened<GradientPart<Whole, std::remove_cvref_t<decltype(ids)>>> part(gradient.mesh(),
                                                                                          table.extents());
    record_kernel("embedding gradient", part, gradient, ids);
    embedding_backward<typename Table::memory_space, T>(row_of(ids), rows_of(gradient), rows_of(part),
                                                        static_cast<gshard::detail::Computed<T>>(scale),
                                                        part.range(0).begin);
    if constexpr (gshard::detail::is_rounded<T>) dtable.add_part(eval(cast<T>(part)));
    else dtable.add_part(std::move(part));
  }
};

/// Returns `embedding` of ids that the caller has checked: below V.
template <TensorOperand Table, TensorOperand Ids>
auto embedding_of_checked(Table&& table, Ids&& ids, double scale) {
  return Differentiable(EmbeddingLookup{scale, true})(std::forward<Table>(table), std::forward<Ids>(ids));
}

}  // namespace detail

/// Returns the rows of a table (V, M) by number, times `scale`: ids (G, S) of int, or of any other rank, of a split
/// spec give (G, S, M) of the same one; if axes split V, an unreduced sum over them, of which all parts but one are
/// zeros. A negative id is padding: its row is 0, and the gradient of that row is not read.
/// Communication: an all-reduce of one number over the axes that split the ids, for their check; an all-gather of a
/// table with split rows. Backward: one all-reduce over the axes that split the ids, or a reduce-scatter if they split
/// the rows of the table as well.
/// Throws IndexError for an id of V or more, OptionError unless `scale` is finite.
template <class Table, TensorOperand Ids>
auto embedding(Movable<Table> const& table, Ids&& ids, double scale = 1) {
  return Differentiable(detail::EmbeddingLookup{scale})(table.operand, std::forward<Ids>(ids));
}

template <class Table, TensorOperand Ids>
auto embedding(Movable<Table>&& table, Ids&& ids, double scale = 1) {
  return Differentiable(detail::EmbeddingLookup{scale})(std::move(table).operand, std::forward<Ids>(ids));
}

/// Returns `embedding` of a table whose rows are whole: the lookup is local.
template <TensorOperand Table, TensorOperand Ids>
auto embedding(Table&& table, Ids&& ids, double scale = 1) {
  static_assert(
      detail::ValueTensor<Table>::layout.dimensions.back().empty(),
      "gshard: the rows of an embedding table are whole; write embedding(movable(table), ids), and split rows are gathered");
  return Differentiable(detail::EmbeddingLookup{scale})(std::forward<Table>(table), std::forward<Ids>(ids));
}

}  // namespace gshard::nn
