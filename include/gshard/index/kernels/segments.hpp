// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/launch.hpp>

namespace gshard::detail {

/// Some elements that follow one another on both sides of a copy.
struct Segment {
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t count = 0;
};

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

}  // namespace gshard::detail
