// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <mpi.h>

#include <gshard/core/abstract_runtime.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/core/communication_check.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/ledger.hpp>
#include <gshard/core/mpi.hpp>
#include <gshard/core/runtime.hpp>
#include <gshard/mesh/axis.hpp>
#include <gshard/mesh/rank_order.hpp>

namespace gshard {

namespace detail {
class MeshState;
}

/// Group of the ranks that differ only in their coordinates along some axes of a mesh.
/// Members are in row-major order of these coordinates. A group lives as long as its mesh.
struct Group {
  int rank = 0;              ///< index of this rank in the group, not in the job
  int size = 1;              ///< number of members
  std::string axes{};        ///< names of the axes, as "data,expert"
  Ledger* ledger = nullptr;  ///< ledger of the runtime
  /// Check that compares collectives before they start; null unless Runtime::check_communication was called.
  detail::CommunicationCheck* check = nullptr;

  /// Constructs the group of this rank along `of_axes`. Precondition: `mesh` outlives the group.
  Group(detail::MeshState const& mesh, AxisSet of_axes);

  /// Returns the communicator of the group.
  /// Communication: the first call is collective over the group (MPI_Comm_create_group), later calls are local.
  /// Throws StateError on an abstract mesh. Throws CommunicationError if MPI fails.
  MPI_Comm communicator() const;

  /// Returns whether the mesh is of an AbstractRuntime, where collectives are counted but not carried out.
  bool is_abstract() const;

 private:
  detail::MeshState const* mesh_;
  AxisSet set_;
};

namespace detail {

/// Throws StateError for an unset mesh.
[[noreturn, gnu::cold]] inline void refuse_unset_mesh() {
  throw StateError(
      "a mesh is unset (default-constructed or moved from); make it from a Runtime first, as Grid grid(runtime, {2, 4})");
}

/// Run-time state of a mesh, shared by all copies.
/// Not a template: code that needs no names at compile time is compiled once for all types of meshes.
class MeshState {
 public:
  MeshState(Runtime& runtime, std::vector<std::string> names, std::vector<int> sizes,
            std::optional<RankOrder> const& order)
      : names_(std::move(names)),
        sizes_(std::move(sizes)),
        rank_(runtime.rank()),
        ranks_(runtime.size()),
        job_(runtime.shared_communicator()),
        memory_(runtime.memory()),
        check_(runtime.communication_check()) {
    std::int64_t const needed = product_of_sizes();
    if (needed != ranks_)
      throw MeshError("mesh (" + text() + ") needs " + std::to_string(needed) + " ranks, but the job has " +
                      std::to_string(ranks_) + "; start it with mpirun -n " + std::to_string(needed) +
                      ", or choose sizes whose product is " + std::to_string(ranks_));
    place_ranks(order);
    coordinates_ = coordinates_of(rank_);
    if (check_) {
      check_same_mesh(runtime);
      // Made here, where all ranks are known to agree. MPI_Comm_create_group at first use has no time limit: it would
      // hang when ranks disagree about the collective that needs the communicator.
      for (std::uint32_t axes = 0; axes < std::uint32_t{1} << sizes_.size(); ++axes) communicator(AxisSet{axes});
    }
  }

  MeshState(AbstractRuntime& runtime, std::vector<std::string> names, std::vector<int> sizes,
            std::optional<RankOrder> const& order)
      : names_(std::move(names)), sizes_(std::move(sizes)), rank_(runtime.rank()), memory_(runtime.memory()) {
    std::int64_t const ranks = product_of_sizes();
    if (ranks > std::numeric_limits<int>::max())
      throw MeshError("mesh (" + text() + ") has " + std::to_string(ranks) +
                      " ranks; they are numbered by int, so give at most 2147483647");
    ranks_ = static_cast<int>(ranks);
    if (rank_ >= ranks_)
      throw MeshError("mesh (" + text() + ") has no rank " + std::to_string(rank_) +
                      ", as which the abstract runtime is to see it");
    place_ranks(order);
    coordinates_ = coordinates_of(rank_);
  }

  MeshState(MeshState const&) = delete;
  MeshState& operator=(MeshState const&) = delete;

  ~MeshState() {
    // MPI_Comm_free is collective; during stack unwinding the other ranks may not reach it.
    if (std::uncaught_exceptions() > 0) return;
    for (auto& [axes, communicator] : communicators_) free_communicator(communicator);
  }

  int axis_count() const { return static_cast<int>(sizes_.size()); }
  /// Returns the size of an axis. Throws IndexError if there is no such axis.
  int size(int axis) const { return sizes_[checked(axis)]; }
  std::string const& name(int axis) const { return names_[static_cast<std::size_t>(axis)]; }
  /// Returns the coordinate of this rank along an axis. Throws IndexError if there is no such axis.
  int coordinate(int axis) const { return coordinates_[checked(axis)]; }
  std::vector<int> const& coordinates() const { return coordinates_; }
  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  MemoryPool& memory() const { return *memory_; }
  CommunicationCheck* communication_check() const { return check_.get(); }

  bool is_abstract() const { return job_ == nullptr; }

  /// Returns the communicator of this rank's group along `axes`.
  /// Communication: the first call for `axes` is collective over the group.
  /// Throws StateError on an abstract mesh. Throws CommunicationError if MPI fails.
  MPI_Comm communicator(AxisSet axes) const {
    if (is_abstract()) throw StateError("the mesh (" + text() + ") of an AbstractRuntime has no communicators");
    auto const found = communicators_.find(axes.bits);
    if (found != communicators_.end()) return found->second;
    std::vector<int> members;
    for (int member = 0; member < size(axes); ++member) members.push_back(rank_at(member_coordinates(axes, member)));
    return communicators_[axes.bits] = communicator_of(job_->get(), members, static_cast<int>(axes.bits));
  }

  /// Returns this rank's group along `axes`. References stay valid as long as the mesh. Local.
  Group const& group(AxisSet axes) const {
    // std::map: unlike a vector, it does not move its elements when it grows.
    auto const found = groups_.find(axes.bits);
    return found != groups_.end() ? found->second : groups_.try_emplace(axes.bits, *this, axes).first->second;
  }

  /// Returns the size of a group along `axes`: the product of their sizes.
  int size(AxisSet axes) const {
    int result = 1;
    for (int axis = 0; axis < axis_count(); ++axis)
      if (axes.contains(axis)) result *= size(axis);
    return result;
  }

  /// Returns the coordinates of a rank of the job.
  std::vector<int> coordinates_of(int rank) const {
    std::vector<int> result(sizes_.size());
    int position = position_of_rank_.empty() ? rank : position_of_rank_[static_cast<std::size_t>(rank)];
    for (std::size_t axis = sizes_.size(); axis-- > 0;) {
      result[axis] = position % sizes_[axis];
      position /= sizes_[axis];
    }
    return result;
  }

  /// Returns the rank of the job at `coordinates`.
  template <class Coordinates>
  int rank_at(Coordinates const& coordinates) const {
    int const position = member_index(all_axes(axis_count()), coordinates);
    return rank_at_position_.empty() ? position : rank_at_position_[static_cast<std::size_t>(position)];
  }

  /// Returns the coordinates of member `index` of this rank's group along `axes`.
  std::vector<int> member_coordinates(AxisSet axes, int index) const {
    std::vector<int> result = coordinates_;
    for (int axis = axis_count() - 1; axis >= 0; --axis) {
      if (!axes.contains(axis)) continue;
      result[static_cast<std::size_t>(axis)] = index % size(axis);
      index /= size(axis);
    }
    return result;
  }

  /// Returns the index that the rank at `coordinates` has in its group along `axes`.
  template <class Coordinates>
  int member_index(AxisSet axes, Coordinates const& coordinates) const {
    int index = 0;
    for (int axis = 0; axis < axis_count(); ++axis)
      if (axes.contains(axis)) index = index * size(axis) + coordinates[static_cast<std::size_t>(axis)];
    return index;
  }

  /// Returns the axes and sizes as "data=2, expert=4".
  std::string text() const {
    std::string result;
    for (int axis = 0; axis < axis_count(); ++axis)
      result += (axis == 0 ? "" : ", ") + name(axis) + "=" + std::to_string(size(axis));
    return result;
  }

 private:
  /// Returns `axis`. Throws IndexError unless it is in [0, axis_count()).
  std::size_t checked(int axis) const {
    if (axis < 0 || axis >= axis_count())
      throw IndexError("mesh (" + text() + ") has " + std::to_string(axis_count()) + " axes, no axis " +
                       std::to_string(axis) + "; axes count from 0");
    return static_cast<std::size_t>(axis);
  }

  /// Returns the number of ranks. Throws MeshError if a size is less than 1 or the product exceeds 64 bits.
  std::int64_t product_of_sizes() const {
    std::int64_t product = 1;
    for (int axis = 0; axis < axis_count(); ++axis) {
      if (size(axis) < 1)
        throw MeshError(text() + ": axis '" + name(axis) + "' has size " + std::to_string(size(axis)) +
                        "; give at least 1");
      product = checked_product<MeshError>(product, size(axis), "mesh (" + text() + ")");
    }
    return product;
  }

  /// Stores a rank order and its inverse. Throws MeshError if it is not a permutation of the ranks.
  void place_ranks(std::optional<RankOrder> const& order) {
    if (!order) return;
    order->check(text(), ranks_);
    rank_at_position_ = order->ranks;
    position_of_rank_.resize(rank_at_position_.size());
    for (std::size_t i = 0; i < rank_at_position_.size(); ++i)
      position_of_rank_[static_cast<std::size_t>(rank_at_position_[i])] = static_cast<int>(i);
  }

  /// Throws CommunicationError unless all ranks construct the same mesh.
  /// Communication: one message to every other rank.
  void check_same_mesh(Runtime const& runtime) const {
    CollectiveCall own("Mesh (" + text() + ")", "", "");
    for (int size : sizes_) own.counts = fingerprint({size}, own.counts);
    for (int rank : rank_at_position_) own.counts = fingerprint({rank}, own.counts);
    std::vector<CollectiveCall> const calls = check_->meet(own);
    for (std::size_t rank = 1; rank < calls.size(); ++rank)
      if (!calls[rank].is_like(calls[0]) || calls[rank].counts != calls[0].counts)
        throw CommunicationError("check_communication: the ranks do different things: rank 0 " + calls[0].text() +
                                 ", rank " + std::to_string(rank) + " " + calls[rank].text() + "; all of the " +
                                 std::to_string(runtime.size()) +
                                 " ranks have to make the same meshes, with the same rank order");
  }

  std::vector<std::string> names_;
  std::vector<int> sizes_;
  int rank_;
  int ranks_ = 1;
  std::vector<int> rank_at_position_;  // position: index in row-major order; empty: identity
  std::vector<int> position_of_rank_;
  std::vector<int> coordinates_;
  std::shared_ptr<Communicator const> job_;  // null on an abstract mesh
  std::shared_ptr<MemoryPool> memory_;
  std::shared_ptr<CommunicationCheck> check_;
  mutable std::map<std::uint32_t, Group> groups_;            // by AxisSet::bits
  mutable std::map<std::uint32_t, MPI_Comm> communicators_;  // by AxisSet::bits
};

}  // namespace detail

inline Group::Group(detail::MeshState const& mesh, AxisSet of_axes)
    : rank(mesh.member_index(of_axes, mesh.coordinates())),
      size(mesh.size(of_axes)),
      ledger(&mesh.memory().ledger()),
      check(mesh.communication_check()),
      mesh_(&mesh),
      set_(of_axes) {
  for (int axis = 0; axis < mesh.axis_count(); ++axis)
    if (of_axes.contains(axis)) axes += (axes.empty() ? "" : ",") + mesh.name(axis);
}

inline bool Group::is_abstract() const { return mesh_->is_abstract(); }

inline MPI_Comm Group::communicator() const { return mesh_->communicator(set_); }

}  // namespace gshard
