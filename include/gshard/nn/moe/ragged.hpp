// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/comm/all_reduce.hpp>
#include <gshard/comm/all_to_all.hpp>
#include <gshard/nn/axes.hpp>
#include <gshard/nn/kernels/arrange_rows.hpp>
#include <gshard/nn/kernels/expert_bias.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::error {

template <class RowAxes>
struct RaggedTokensSplit {
  static_assert(
      always_false<RowAxes>,
      "gshard: ragged rows are of tokens, weights and routings whose groups G are split over the axes named here; reshard them so, with all other dimensions whole and no partial sum");
};

template <class RowAxes>
struct RaggedRowsHeld {
  static_assert(
      always_false<RowAxes>,
      "gshard: ragged rows (R, N), as dispatch_ragged gives them, have R split over the axes named here; experts' weights (E, K, N) and biases (E, N), of the same elements, have E split over the axes of the experts, a bias N as the rows");
};

}  // namespace gshard::error

namespace gshard::nn {

/// Numbers on the device, from the pool of the mesh.
template <class T, class MemorySpace>
class DeviceTable {
 public:
  DeviceTable(MemoryPool& pool, std::int64_t count)
      : storage_(pool.template allocate<MemorySpace>(static_cast<std::size_t>(count) * sizeof(T))) {}
  DeviceTable(MemoryPool& pool, std::vector<T> const& values)
      : DeviceTable(pool, static_cast<std::int64_t>(values.size())) {
    gshard::detail::copy_from_host<MemorySpace>(data(), values.data(), static_cast<std::int64_t>(values.size()));
  }
  T* data() const { return static_cast<T*>(storage_.get()); }

 private:
  std::shared_ptr<void> storage_;
};

/// The exchange of ragged rows between tokens and experts: how many rows each rank has for each expert is known when it
/// is made, by one all-to-all of the counts over the expert axes, and one all-reduce of one number over all ranks that
/// have rows: the largest block, for which every rank makes room. Rows lie sorted by expert, first those of the first
/// rank. `Parallelism` names the axes of tokens and experts; rows are split over both.
template <class Mesh, class Parallelism, class MemorySpace>
class RaggedExchange {
 public:
  static constexpr AxisNames row_axes = detail::names_of_both(Parallelism::tokens, Parallelism::experts);
  static constexpr AxisSet rows_over = set_of(layout_of<Mesh, Spec<row_axes>>.dimensions[0]);
  static constexpr AxisList expert_axes = layout_of<Mesh, Spec<Parallelism::experts>>.dimensions[0];
  static constexpr AxisSet experts_over = set_of(expert_axes);
  /// (R, N), R whole blocks, of which each rank uses the first rows.
  template <class T>
  using Rows = ShardedTensor<Mesh, Spec<row_axes, _>, T, MemorySpace>;

  /// Does not compile unless `Tokens` (G, S, N) has G split over the axes of the rows, and the rest whole.
  template <AnyTensor Tokens>
  static consteval bool check_tokens() {
    if constexpr (!(Tokens::layout == Layout{{row_list, {}, {}}, {}}) || !is_here<Tokens>)
      using Refused [[maybe_unused]] = decltype(error::RaggedTokensSplit<RowNames>{});
    return true;
  }

  /// Does not compile unless `Given` (R, N) has R split over the axes of the rows, and N `whole` where that is asked.
  template <AnyTensor Given, bool Whole = false>
  static consteval bool check_rows() {
    constexpr Layout layout = Given::layout;
    if constexpr (layout.rank() != 2 || !layout.partial.empty() || !is_here<Given>)
      using Refused [[maybe_unused]] = decltype(error::RaggedRowsHeld<RowNames>{});
    else if constexpr (!(layout.dimensions[0] == row_list) || (Whole && !layout.dimensions[1].empty()))
      using Refused [[maybe_unused]] = decltype(error::RaggedRowsHeld<RowNames>{});
    return true;
  }

  /// Does not compile unless `Given` (E, ...) of `Rank` dimensions has E split over the axes of the experts, and a bias
  /// (E, N) has N as `Rows` (R, N).
  template <AnyTensor Given, int Rank, AnyTensor Rows>
  static consteval bool check_weights() {
    constexpr Layout layout = Given::layout;
    if constexpr (layout.rank() != Rank || !layout.partial.empty() || !is_here<Given> ||
                  !std::is_same_v<typename Given::value_type, typename Rows::value_type>)
      using Refused [[maybe_unused]] = decltype(error::RaggedRowsHeld<RowNames>{});
    else if constexpr (!(layout.dimensions[0] == expert_axes) ||
                       (Rank == 2 && !(layout.dimensions[1] == Rows::layout.dimensions[1])))
      using Refused [[maybe_unused]] = decltype(error::RaggedRowsHeld<RowNames>{});
    return true;
  }

  /// `counts` are this rank's rows for each of all experts.
  /// Throws StateError where the mesh is unset; CommunicationError where a count is negative or they do not add up to
  /// `rows`, before anything is sent.
  RaggedExchange(Mesh const& mesh, std::vector<std::int64_t> const& counts, std::int64_t rows)
      : mesh_(checked(mesh, counts, rows)),
        group_(mesh.state().group(experts_over)),
        sent_(parts_for_ranks(counts)),
        sent_rows_(rows),
        received_(exchanged(counts, rows)),
        capacity_(largest_block()) {}

  Mesh const& mesh() const { return mesh_; }
  /// The ends of the rows of each of this rank's experts.
  std::vector<std::int64_t> const& ends() const { return ends_; }
  std::int64_t sent_rows() const { return sent_rows_; }
  std::int64_t received_rows() const { return ends_.empty() ? 0 : ends_.back(); }
  /// The rows of every rank's block.
  std::int64_t capacity() const { return capacity_; }
  detail::ExpertOfRow expert_of_row() const {
    return {1, device_ends_->data(), static_cast<std::int64_t>(ends_.size())};
  }

  template <class T>
  Rows<T> unset_rows(std::int64_t columns) const {
    return Rows<T>(uninitialized, mesh_, {capacity_ * mesh_.state().size(rows_over), columns});
  }

  /// Throws StateError, MeshError or ExtentError unless the rows are of this exchange: capacity() for each rank.
  template <AnyTensor Given>
  void require_rows(std::string_view operation, Given const& rows) const {
    gshard::detail::require_on_mesh(operation, {"rows", rows}, mesh_);
    gshard::detail::require_extent(operation, {"rows", rows}, 0, capacity_ * mesh_.state().size(rows_over),
                                   "the blocks of the exchange, as unset_rows and dispatch_ragged make them");
  }

  /// Rows for all experts, sorted by expert, to their experts: one all-to-all over the expert axes.
  /// Throws as require_rows.
  template <class T>
  Rows<T> to_experts(Rows<T> const& rows) const {
    require_rows("ragged exchange", rows);
    if (group_.size == 1) return rows;
    std::int64_t const columns = rows.extent(1);
    Scratch<MemorySpace> scratch(mesh_.memory());
    T* const arrived = scratch.template get<T>(received_rows() * columns);
    Rows<T> const result = unset_rows<T>(columns);
    exchange(rows.data(), sent_, arrived, received_, columns);
    arrange(static_cast<T const*>(arrived), result.data(), columns, false);
    return result;
  }

  /// Rows of the experts back to where they came from. Throws as require_rows.
  template <class T>
  Rows<T> to_tokens(Rows<T> const& rows) const {
    require_rows("ragged exchange", rows);
    if (group_.size == 1) return rows;
    std::int64_t const columns = rows.extent(1);
    Scratch<MemorySpace> scratch(mesh_.memory());
    T* const leaving = scratch.template get<T>(received_rows() * columns);
    Rows<T> const result = unset_rows<T>(columns);
    arrange(static_cast<T const*>(rows.data()), leaving, columns, true);
    exchange(static_cast<T const*>(leaving), received_, result.data(), sent_, columns);
    return result;
  }

 private:
  static constexpr AxisList row_list = layout_of<Mesh, Spec<row_axes>>.dimensions[0];
  using RowNames = gshard::detail::NameOf<row_axes>;
  template <AnyTensor Given>
  static constexpr bool is_here =
      std::is_same_v<typename Given::mesh_type, Mesh> && std::is_same_v<typename Given::memory_space, MemorySpace>;

  static Mesh const& checked(Mesh const& mesh, std::vector<std::int64_t> const& counts, std::int64_t rows) {
    if (!mesh.is_set()) throw StateError("ragged exchange: the mesh is unset; give one made from a runtime");
    bool const is_negative = std::any_of(counts.begin(), counts.end(), [](std::int64_t count) { return count < 0; });
    std::int64_t const sum = comm::detail::total(counts);
    if (is_negative || sum != rows)
      throw CommunicationError(gshard::detail::concat(
          "ragged exchange: the counts for ", counts.size(), " experts add up to ", sum, " rows, but there are ", rows,
          is_negative ? ", and a count is negative" : "", "; rank ", mesh.rank(), " of mesh (", mesh.text(), ")"));
    return mesh;
  }

  Range experts_of(int member, std::int64_t experts) const {
    auto const& state = mesh_.state();
    return gshard::detail::dimension_range(experts, expert_axes, state, state.member_coordinates(experts_over, member));
  }

  /// What goes to each rank of the group: the rows of its experts.
  comm::Parts parts_for_ranks(std::vector<std::int64_t> const& counts) const {
    std::vector<std::int64_t> first{0};
    for (std::int64_t count : counts) first.push_back(first.back() + count);
    comm::Parts parts;
    for (int member = 0; member < group_.size; ++member) {
      Range const own = experts_of(member, static_cast<std::int64_t>(counts.size()));
      parts.offsets.push_back(first[static_cast<std::size_t>(own.begin)]);
      parts.counts.push_back(first[static_cast<std::size_t>(own.end)] - parts.offsets.back());
    }
    return parts;
  }

  /// Exchanges the counts, and notes how the rows that come are sorted.
  comm::Parts exchanged(std::vector<std::int64_t> const& counts, std::int64_t rows) {
    auto const experts = static_cast<std::int64_t>(counts.size());
    std::int64_t const own = experts_of(group_.rank, experts).size();
    comm::Parts outgoing;
    for (int member = 0; member < group_.size; ++member) {
      Range const range = experts_of(member, experts);
      outgoing.offsets.push_back(range.begin);
      outgoing.counts.push_back(range.size());
    }
    comm::Parts const incoming(std::vector<std::int64_t>(static_cast<std::size_t>(group_.size), own));
    // Of a rank that nobody plays, the rows of others are as many as its own.
    std::vector<std::int64_t> arriving(static_cast<std::size_t>(own * group_.size), experts > 0 ? rows / experts : 0);
    comm::all_to_all(group_, counts.data(), outgoing, arriving.data(), incoming, experts * group_.size);
    note_segments(arriving, own);
    std::vector<std::int64_t> by_rank;
    for (std::size_t member = 0; member < static_cast<std::size_t>(group_.size); ++member) {
      by_rank.push_back(0);
      for (std::size_t e = 0; e < static_cast<std::size_t>(own); ++e)
        by_rank.back() += arriving[member * static_cast<std::size_t>(own) + e];
    }
    return comm::Parts(std::move(by_rank));
  }

  /// `arriving` are the rows of each rank for each of this rank's experts.
  void note_segments(std::vector<std::int64_t> const& arriving, std::int64_t own) {
    auto const ranks = static_cast<std::size_t>(group_.size);
    std::vector<std::int64_t> arrival(arriving.size());
    std::int64_t next = 0;
    for (std::size_t i = 0; i < arriving.size(); ++i) {
      arrival[i] = next;
      next += arriving[i];
    }
    std::vector<std::int64_t> sorted;
    std::vector<std::int64_t> arrived;
    next = 0;
    for (std::size_t e = 0; e < static_cast<std::size_t>(own); ++e) {
      for (std::size_t member = 0; member < ranks; ++member) {
        std::size_t const i = member * static_cast<std::size_t>(own) + e;
        sorted.push_back(next);
        arrived.push_back(arrival[i]);
        next += arriving[i];
      }
      ends_.push_back(next);
    }
    segments_ = static_cast<std::int64_t>(sorted.size());
    sorted_.emplace(mesh_.memory(), sorted);
    arrived_.emplace(mesh_.memory(), arrived);
    device_ends_.emplace(mesh_.memory(), ends_);
  }

  std::int64_t largest_block() const {
    std::int64_t rows = std::max(sent_rows_, received_rows());
    comm::all_reduce(mesh_.state().group(rows_over), &rows, 1, comm::Reduction::maximum);
    return rows;
  }

  template <class T>
  void exchange(T const* from, comm::Parts const& sent, T* to, comm::Parts const& received,
                std::int64_t columns) const {
    gshard::detail::fence<MemorySpace>("gshard: local work before communication");
    comm::all_to_all(group_, from, times(sent, columns), to, times(received, columns), capacity_ * columns);
  }

  static comm::Parts times(comm::Parts parts, std::int64_t columns) {
    for (std::int64_t& count : parts.counts) count *= columns;
    for (std::int64_t& offset : parts.offsets) offset *= columns;
    return parts;
  }

  template <class T>
  void arrange(T const* from, T* to, std::int64_t columns, bool back) const {
    detail::for_each_row<MemorySpace>(
        "gshard::arrange_rows", columns == 0 ? 0 : received_rows(),
        detail::ArrangeRows<T>{{sorted_->data(), arrived_->data(), segments_}, from, to, columns, back});
  }

  using Table = DeviceTable<std::int64_t, MemorySpace>;
  Mesh mesh_;
  Group const& group_;
  std::vector<std::int64_t> ends_;
  std::optional<Table> sorted_;
  std::optional<Table> arrived_;
  std::optional<Table> device_ends_;
  std::int64_t segments_ = 0;
  comm::Parts sent_;
  std::int64_t sent_rows_;
  comm::Parts received_;
  std::int64_t capacity_;
};

}  // namespace gshard::nn
