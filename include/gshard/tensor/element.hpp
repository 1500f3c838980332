// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <gshard/core/error.hpp>
#include <gshard/tensor/layout.hpp>

// Location of single elements by global index: the position in a block, and the rank that holds them.

namespace gshard::detail {

/// Returns the position of the element at global `index` in a packed block, or -1 if the block does not contain it.
inline std::int64_t local_position(Block const& block, Extents const& index) {
  std::int64_t position = 0;
  for (int d = 0; d < index.size(); ++d) {
    std::int64_t const local = index[d] - block.offsets[d];
    if (local < 0 || local >= block.extents[d]) return -1;
    position = position * block.extents[d] + local;
  }
  return position;
}

/// Returns the indices of the element at a row-major position.
/// Precondition: 0 <= position < product(extents).
inline Extents index_of(std::int64_t position, Extents const& extents) {
  Extents index = extents;
  for (int d = extents.size() - 1; d >= 0; --d) {
    index[d] = position % extents[d];
    position /= extents[d];
  }
  return index;
}

/// Returns the coordinates of the rank that holds an element; this rank's own along axes that split no dimension.
/// Precondition: the tensor has an element at `index`.
inline std::vector<int> holder_of(Layout const& layout, Extents const& extents, MeshState const& mesh,
                                  Extents const& index) {
  std::vector<int> coordinates = mesh.coordinates();
  for (int d = 0; d < layout.rank(); ++d) {
    Range range{0, extents[d]};
    for (int axis : layout.dimensions[d]) {
      std::int64_t const part = (index[d] - range.begin) / shard_range(range.size(), mesh.size(axis), 0).size();
      Range const held = shard_range(range.size(), mesh.size(axis), part);
      range = {range.begin + held.begin, range.begin + held.end};
      coordinates[static_cast<std::size_t>(axis)] = static_cast<int>(part);
    }
  }
  return coordinates;
}

/// Throws IndexError, on all ranks, if a tensor of these extents has no element at `index`.
inline void require_element(std::string_view name, Extents const& extents, Extents const& index,
                            MeshState const& mesh) {
  for (int d = 0; d < index.size(); ++d)
    if (index[d] < 0 || index[d] >= extents[d])
      throw IndexError(concat("tensor '", name, "' ", text_of(extents), " has no element ", text_of(index),
                              "; indices of dimension ", d, " are in the range [0, ", extents[d], "); rank ",
                              mesh.rank(), " of mesh (", mesh.text(), ")"));
}

/// Throws IndexError about an element that another rank holds; names that rank.
[[noreturn]] inline void refuse_element(std::string_view name, Layout const& layout, Extents const& extents,
                                        Extents const& index, MeshState const& mesh) {
  throw IndexError(concat("element ", text_of(index), " of tensor '", name, "' ", text_of(extents), " is held by rank ",
                          mesh.rank_at(holder_of(layout, extents, mesh, index)), " of mesh (", mesh.text(),
                          "), not by rank ", mesh.rank(), "; read it there, or replicate the tensor"));
}

}  // namespace gshard::detail
