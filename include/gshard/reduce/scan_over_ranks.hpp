// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/comm/permute.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/mesh/mesh.hpp>

// The exclusive scan of what ranks have, in the order in which their blocks follow one another: that of the axes as a
// spec lists them, not that of the ranks in a communicator, which is all that a scan of MPI knows.

namespace gshard::detail {

/// Places of the ranks along a dimension that some axes split.
class RankLine {
 public:
  RankLine(MeshState const& mesh, AxisList const& axes, bool reversed)
      : mesh_(mesh), axes_(axes), size_(mesh.size(set_of(axes))), reversed_(reversed) {}

  int size() const { return size_; }

  /// This rank's place.
  int place() const {
    int place = 0;
    for (int axis : axes_) place = place * mesh_.size(axis) + mesh_.coordinate(axis);
    return turned(place);
  }

  /// The member of the axes' group at a place; comm::no_rank before the first and behind the last.
  int member(int place) const {
    if (place < 0 || place >= size_) return comm::no_rank;
    place = turned(place);
    std::int64_t coordinates[max_axes]{};
    for (int i = axes_.size() - 1; i >= 0; --i) {
      coordinates[axes_[i]] = place % mesh_.size(axes_[i]);
      place /= mesh_.size(axes_[i]);
    }
    std::int64_t member = 0;
    for (int axis = 0; axis < mesh_.axis_count(); ++axis)
      if (axes_.contains(axis)) member = member * mesh_.size(axis) + coordinates[axis];
    return static_cast<int>(member);
  }

 private:
  int turned(int place) const { return reversed_ ? size_ - 1 - place : place; }

  MeshState const& mesh_;
  AxisList axes_;
  int size_;
  bool reversed_;
};

/// What came from before is added to what is known.
template <class T>
struct AddFromBefore {
  T* before;
  T* window;
  T const* received;
  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    before[i] = received[i] + before[i];
    window[i] = received[i] + window[i];
  }
};

/// Replaces `count` elements by the sums of those of the ranks that come before in the line; zeros on the first one.
/// The window that a rank knows the sum of doubles in each of ceil(log2 p) steps, one message each.
template <class MemorySpace, class T>
void exclusive_scan(RankLine const& line, Group const& group, T* data, std::int64_t count, MemoryPool& memory) {
  Kokkos::Profiling::ScopedRegion const region("gshard::exclusive_scan");
  Scratch<MemorySpace> scratch(memory);
  T* const window = scratch.template get<T>(count);
  T* const received = scratch.template get<T>(count);
  copy_elements<MemorySpace>(window, static_cast<T const*>(data), count);
  fill_elements<MemorySpace>(data, count, T(0));
  int const place = line.place();
  for (int distance = 1; distance < line.size(); distance *= 2) {
    fence<MemorySpace>("gshard::exclusive_scan: what is sent is computed");
    int const source = line.member(place - distance);
    comm::permute(group, window, count, line.member(place + distance), received, source == comm::no_rank ? 0 : count,
                  source);
    if (source != comm::no_rank)
      launch<MemorySpace>("gshard::exclusive_scan", count, count <= small_row,
                          AddFromBefore<T>{data, window, received});
  }
}

}  // namespace gshard::detail
