// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gshard/tensor/device_assignment.hpp>

// Blocks of a tensor and the ranks that hold them, for pictures and tables. Computed on every rank, no communication.

namespace gshard::detail {

/// Returns ranks as "0-3" or "0,4,8".
/// Three or more consecutive ranks form a range. Of more than 6 entries, the first 3 and the last are shown.
inline std::string text_of_ranks(std::vector<int> const& ranks, std::string const& separator) {
  std::vector<std::string> runs;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t end = i + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
    if (end - i < 3) end = i + 1;
    runs.push_back(end - i == 1 ? std::to_string(ranks[i])
                                : std::to_string(ranks[i]) + "-" + std::to_string(ranks[end - 1]));
    i = end;
  }
  if (runs.size() > 6) {
    runs.erase(runs.begin() + 3, runs.end() - 1);
    runs.insert(runs.begin() + 3, "...");
  }
  std::string result;
  for (std::string const& run : runs) result += (result.empty() ? "" : separator) + run;
  return result;
}

/// Puts "rank " before a single number, "ranks " before any other text.
inline std::string text_of_holders(std::string const& ranks) {
  return (ranks.find_first_not_of("0123456789") == std::string::npos ? "rank " : "ranks ") + ranks;
}

/// Placement of a tensor, as pictures and tables show it.
/// Precondition: the mesh outlives the object.
class HeldTensor {
 public:
  HeldTensor(std::string title, Layout const& layout, Extents const& extents, MeshState const& mesh)
      : title_(std::move(title)),
        layout_(layout),
        extents_(extents),
        mesh_(mesh),
        assignment_(assignment_of(layout, mesh)) {}

  std::string const& title() const { return title_; }
  int rank() const { return layout_.rank(); }
  bool is_empty() const { return product(extents_) == 0; }
  bool is_split(int dimension) const { return !layout_.dimensions[dimension].empty(); }
  /// Returns the number of blocks of a dimension, empty ones included.
  std::int64_t parts(int dimension) const { return assignment_.parts[dimension]; }
  std::int64_t block_count() const { return product(assignment_.parts); }

  /// Returns the global indices of part `index` of a dimension.
  Range range(int dimension, std::int64_t index) const {
    std::vector<int> coordinates(static_cast<std::size_t>(mesh_.axis_count()), 0);
    AxisList const& axes = layout_.dimensions[dimension];
    for (int i = axes.size() - 1; i >= 0; --i) {
      coordinates[static_cast<std::size_t>(axes[i])] = static_cast<int>(index % mesh_.size(axes[i]));
      index /= mesh_.size(axes[i]);
    }
    return dimension_range(extents_[dimension], axes, mesh_, coordinates);
  }

  /// Returns the parts of a dimension that are not empty.
  std::vector<std::int64_t> filled_parts(int dimension) const {
    std::vector<std::int64_t> result;
    for (std::int64_t part = 0; part < parts(dimension); ++part)
      if (range(dimension, part).size() > 0) result.push_back(part);
    return result;
  }

  /// Returns the part of each dimension for block `number`; blocks count in row-major order.
  Extents position(std::int64_t number) const {
    Extents result = assignment_.parts;
    for (int d = rank() - 1; d >= 0; --d) {
      result[d] = number % assignment_.parts[d];
      number /= assignment_.parts[d];
    }
    return result;
  }

  Block block(std::int64_t number) const {
    Extents const parts = position(number);
    Block result;
    for (int d = 0; d < rank(); ++d) {
      result.offsets.push_back(range(d, parts[d]).begin);
      result.extents.push_back(range(d, parts[d]).size());
    }
    return result;
  }

  /// Returns the numbers of the blocks that are not empty.
  std::vector<std::int64_t> filled_blocks() const {
    std::vector<std::int64_t> result;
    for (std::int64_t number = 0; number < block_count(); ++number)
      if (product(block(number).extents) > 0) result.push_back(number);
    return result;
  }

  /// Returns the ranks whose blocks are empty, sorted.
  std::vector<int> idle_ranks() const {
    std::vector<int> result;
    for (std::int64_t number = 0; number < block_count(); ++number)
      if (product(block(number).extents) == 0)
        for (int replica = 0; replica < assignment_.replicas; ++replica)
          result.push_back(assignment_.ranks[static_cast<std::size_t>(number * assignment_.replicas + replica)]);
    std::ranges::sort(result);
    return result;
  }

  /// Returns the ranks that hold the block at `position`, as "0,2+1,3".
  /// `comma` separates replicas, `plus` the addends of an unreduced sum. Of more than 4 addends, the first 2 and the
  /// last are shown.
  std::string holders(Extents const& position, std::string const& comma = ",", std::string const& plus = "+") const {
    std::int64_t number = 0;
    for (int d = 0; d < rank(); ++d) number = number * assignment_.parts[d] + position[d];
    std::vector<std::vector<int>> addends(static_cast<std::size_t>(mesh_.size(layout_.partial)));
    for (int replica = 0; replica < assignment_.replicas; ++replica) {
      int const rank = assignment_.ranks[static_cast<std::size_t>(number * assignment_.replicas + replica)];
      addends[static_cast<std::size_t>(mesh_.member_index(layout_.partial, mesh_.coordinates_of(rank)))].push_back(
          rank);
    }
    if (addends.size() > 4) {
      addends.erase(addends.begin() + 2, addends.end() - 1);
      addends.insert(addends.begin() + 2, std::vector<int>{});
    }
    std::string result;
    for (std::vector<int> const& ranks : addends)
      result += (result.empty() ? "" : plus) + (ranks.empty() ? "..." : text_of_ranks(ranks, comma));
    return result;
  }

 private:
  std::string title_;
  Layout layout_;
  Extents extents_;
  MeshState const& mesh_;
  DeviceAssignment assignment_;
};

}  // namespace gshard::detail
