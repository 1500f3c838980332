// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/routes.hpp>

// The paper's form of the routes (Algorithm 2): tensors (G, S, E, C) for the einsums GSEC,GSM->EGCM and GSEC,GECM->GSM.

namespace gshard::nn::detail {

template <class T, class MemorySpace>
struct OneHotKernel {
  Rank3<int const, MemorySpace> expert;
  Rank3<int const, MemorySpace> slot;
  Rank3<T const, MemorySpace> weight;
  Rank4<T, MemorySpace> weights;
  Rank4<T, MemorySpace> mask;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const capacity = extent(weights, 3);
    std::int64_t const places = extent(weights, 2) * capacity;
    T* const w = weights.data() + token * places;
    T* const m = mask.data() + token * places;
    lanes.each(places, [=](std::int64_t j) {
      w[j] = T(0);
      m[j] = T(0);
    });
    lanes.barrier();
    lanes.once([&] {
      for (std::int64_t route = token * extent(expert, 2); route < (token + 1) * extent(expert, 2); ++route) {
        if (!is_index(slot.data()[route], capacity) || !is_index(expert.data()[route], extent(weights, 2))) continue;
        std::int64_t const place = expert.data()[route] * capacity + slot.data()[route];
        w[place] = weight.data()[route];
        m[place] = T(1);
      }
    });
  }
};

template <class T, class MemorySpace>
struct OneHotBackwardKernel {
  Rank3<int const, MemorySpace> expert;
  Rank3<int const, MemorySpace> slot;
  Rank4<T const, MemorySpace> upstream;
  Rank3<T, MemorySpace> gradient;

  KOKKOS_FUNCTION void operator()(std::int64_t route) const {
    std::int64_t const capacity = extent(upstream, 3);
    std::int64_t const experts = extent(upstream, 2);
    std::int64_t const c = slot.data()[route];
    std::int64_t const e = expert.data()[route];
    gradient.data()[route] = is_index(c, capacity) && is_index(e, experts)
                                 ? upstream.data()[(route / extent(expert, 2) * experts + e) * capacity + c]
                                 : T(0);
  }
};

/// The combine tensor, weights(g, s, e, c), and the dispatch mask, 1 at the same places: (G, S, E, C) both, zeros
/// elsewhere.
template <class MemorySpace, class T>
void one_hot_routes(Rank3<int const, MemorySpace> expert, Rank3<int const, MemorySpace> slot,
                    Rank3<T const, MemorySpace> weight, Rank4<T, MemorySpace> weights, Rank4<T, MemorySpace> mask) {
  for_each_row<MemorySpace>("gshard::one_hot_routes", extent(expert, 0) * extent(expert, 1),
                            OneHotKernel<T, MemorySpace>{expert, slot, weight, weights, mask});
}
GSHARD_COMPILED_FLOATS(one_hot_routes)

/// The gradient of one_hot_routes with respect to the weights (G, S, K), from that of the combine tensor (G, S, E, C);
/// the mask is a constant.
template <class MemorySpace, class T>
void one_hot_routes_backward(Rank3<int const, MemorySpace> expert, Rank3<int const, MemorySpace> slot,
                             Rank4<T const, MemorySpace> upstream, Rank3<T, MemorySpace> gradient) {
  launch<MemorySpace>("gshard::one_hot_routes_backward", extent(expert, 0) * extent(expert, 1) * extent(expert, 2),
                      OneHotBackwardKernel<T, MemorySpace>{expert, slot, upstream, gradient});
}
GSHARD_COMPILED_FLOATS(one_hot_routes_backward)

}  // namespace gshard::nn::detail
