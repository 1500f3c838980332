// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <gshard/core/launch.hpp>
#include <gshard/core/memory_pool.hpp>

namespace gshard::detail {

/// Run of `count` elements that is contiguous in the source and in the destination of a copy. Offsets are in elements.
struct Segment {
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t count = 0;
};

/// Copies one segment per work item.
template <class T>
struct CopySegments {
  T const* from;
  T* to;
  Segment const* segments;

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    Segment const segment = segments[i];
    for (std::int64_t j = 0; j < segment.count; ++j) to[segment.to + j] = from[segment.from + j];
  }
};

/// Copies all segments by one kernel launch. The list of segments is copied to `scratch` first.
template <class MemorySpace, class T>
void copy_segments(T const* from, T* to, std::vector<Segment> const& segments, Scratch<MemorySpace>& scratch) {
  std::int64_t const size = static_cast<std::int64_t>(segments.size());
  Segment* const list = scratch.template get<Segment>(size);
  copy_from_host<MemorySpace>(list, segments.data(), size);
  launch<MemorySpace>("gshard::copy_segments", size, CopySegments<T>{from, to, list});
}

}  // namespace gshard::detail
