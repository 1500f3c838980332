// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

// How an optimizer holds its state, said by marks in its type: `AdamW<SplitOver<"data">, MasterWeights>`. Without marks
// the state lies as its parameter does.

namespace gshard::optim {

namespace detail {

struct HoldingMark {
  static constexpr AxisNames split{""};
  static constexpr bool has_master = false;
};

}  // namespace detail

/// State split over these axes as well, where they do not split the parameter yet: over the first dimension that no
/// axis splits, else behind the axes of the last one; a scalar stays whole. Each rank updates its piece and the
/// parameter is gathered from the pieces (Rajbhandari et al., arXiv 1910.02054): per step and parameter one all-gather
/// over the axes, (p - 1) / p of the parameter's bytes per rank.
template <AxisNames Names>
struct SplitOver : detail::HoldingMark {
  static constexpr AxisNames split = Names;
};

/// Parameters in BFloat16 have a copy in float that the updates are added to, and are its rounded values: updates
/// smaller than a step of a BFloat16 are not lost. The copy is made at the first step; parameters that are held in what
/// they are computed with have none.
struct MasterWeights : detail::HoldingMark {
  static constexpr bool has_master = true;
};

namespace detail {

/// `parameter` split further over the axes that do not split it yet.
constexpr Layout split_further(Layout parameter, AxisList const& axes) {
  AxisSet const before = parameter.split();
  int dimension = parameter.rank() - 1;
  for (int d = parameter.rank() - 1; d >= 0; --d)
    if (parameter.dimensions[d].empty()) dimension = d;
  if (dimension < 0) return parameter;
  for (int axis : axes)
    if (!before.contains(axis)) parameter.dimensions[dimension].push_back(axis);
  return parameter;
}

/// What the marks say together.
template <class... Marks>
struct Holding {
  static constexpr bool has_master = (Marks::has_master || ... || false);

  /// The layout of a parameter's state.
  template <AnyTensor Value>
  static constexpr Layout layout() {
    Layout result = Value::layout;
    // A spec of the names alone, which says so where the mesh lacks one.
    ((result = split_further(result, layout_of<typename Value::mesh_type, Spec<Marks::split>>.dimensions[0])), ...);
    return result;
  }
};

/// The elements of a parameter in a kernel: read as they are known best, written wherever they are held.
template <class T, bool HasMaster>
struct WeightElements {
  using Number = gshard::detail::Computed<T>;
  T* stored;
  Number* master;

  KOKKOS_FORCEINLINE_FUNCTION Number get(std::int64_t i) const {
    if constexpr (HasMaster) return master[i];
    else return static_cast<Number>(stored[i]);
  }
  KOKKOS_FORCEINLINE_FUNCTION void set(std::int64_t i, Number value) const {
    if constexpr (HasMaster) master[i] = value;
    stored[i] = static_cast<T>(value);
  }
};

}  // namespace detail
}  // namespace gshard::optim
