// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <gshard/core/memory_pool.hpp>
#include <gshard/nn/kernels/routes.hpp>

// The routes of a gate in the order of their experts: a stable counting sort, in chunks that count and place theirs by
// themselves.

namespace gshard::nn::detail {

/// The routes to ragged rows, as tables.
struct TabledRoutes {
  std::int64_t const* rows;    ///< of each route; -1 where it was dropped or is none
  std::int64_t const* routes;  ///< of each row
  std::int64_t choices;        ///< K

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t row_of(std::int64_t route) const { return rows[route]; }
  KOKKOS_FORCEINLINE_FUNCTION std::int64_t route_of(std::int64_t row) const { return routes[row]; }
};

struct RouteChunks {
  int const* expert;  ///< of each route
  int const* slot;    ///< negative where there is no route
  std::int64_t routes;
  std::int64_t experts;
  std::int64_t length;   ///< routes of a chunk
  std::int64_t* counts;  ///< (chunks, E)

  std::int64_t chunks() const { return (routes + length - 1) / length; }
  KOKKOS_FORCEINLINE_FUNCTION bool is_kept(std::int64_t route) const {
    return slot[route] >= 0 && is_index(expert[route], experts);
  }
  KOKKOS_FORCEINLINE_FUNCTION std::int64_t end(std::int64_t chunk) const {
    return (chunk + 1) * length < routes ? (chunk + 1) * length : routes;
  }
};

struct CountRoutes {
  RouteChunks sort;

  KOKKOS_FUNCTION void operator()(std::int64_t chunk) const {
    std::int64_t* const counts = sort.counts + chunk * sort.experts;
    for (std::int64_t e = 0; e < sort.experts; ++e) counts[e] = 0;
    for (std::int64_t route = chunk * sort.length; route < sort.end(chunk); ++route)
      if (sort.is_kept(route)) ++counts[sort.expert[route]];
  }
};

/// For one expert: the routes of the chunks before each, and of all.
struct CountsBefore {
  RouteChunks sort;
  std::int64_t chunks;
  std::int64_t* totals;

  KOKKOS_FUNCTION void operator()(std::int64_t expert) const {
    std::int64_t before = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      std::int64_t& count = sort.counts[chunk * sort.experts + expert];
      std::int64_t const own = count;
      count = before;
      before += own;
    }
    totals[expert] = before;
  }
};

struct PlaceRoutes {
  RouteChunks sort;
  std::int64_t const* first;  ///< row of each expert
  std::int64_t* rows;
  std::int64_t* routes;

  KOKKOS_FUNCTION void operator()(std::int64_t chunk) const {
    std::int64_t* const counts = sort.counts + chunk * sort.experts;
    for (std::int64_t route = chunk * sort.length; route < sort.end(chunk); ++route) {
      if (!sort.is_kept(route)) {
        rows[route] = -1;
        continue;
      }
      std::int64_t const expert = sort.expert[route];
      std::int64_t const row = first[expert] + counts[expert]++;
      rows[route] = row;
      routes[row] = route;
    }
  }
};

/// Sorts routes by expert, within an expert by number: sets the row of each route and the route of each row, tables of
/// as many entries as routes. Returns the rows of each expert. Waits for them.
template <class MemorySpace>
std::vector<std::int64_t> sort_routes(MemoryPool& pool, int const* expert, int const* slot, std::int64_t routes,
                                      std::int64_t experts, std::int64_t* rows, std::int64_t* routes_of_rows) {
  Scratch<MemorySpace> scratch(pool);
  RouteChunks sort{expert, slot, routes, experts, std::max<std::int64_t>(256, experts), nullptr};
  std::int64_t const chunks = sort.chunks();
  sort.counts = scratch.template get<std::int64_t>(chunks * experts);
  std::int64_t* const totals = scratch.template get<std::int64_t>(experts);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(experts));
  launch<MemorySpace>("gshard::count_routes", chunks, CountRoutes{sort});
  launch<MemorySpace>("gshard::counts_before", experts, chunks * experts <= gshard::detail::small_row,
                      CountsBefore{sort, chunks, totals});
  gshard::detail::copy_to_host<MemorySpace>(counts.data(), static_cast<std::int64_t const*>(totals), experts);
  std::vector<std::int64_t> first;
  std::int64_t sum = 0;
  for (std::int64_t count : counts) {
    first.push_back(sum);
    sum += count;
  }
  gshard::detail::copy_from_host<MemorySpace>(totals, static_cast<std::int64_t const*>(first.data()), experts);
  launch<MemorySpace>("gshard::place_routes", chunks, PlaceRoutes{sort, totals, rows, routes_of_rows});
  return counts;
}

}  // namespace gshard::nn::detail
