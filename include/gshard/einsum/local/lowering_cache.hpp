// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include <gshard/einsum/local/lowering.hpp>
#include <gshard/einsum/local/units.hpp>

namespace gshard::detail {

/// Keeps the lowerings of contractions, whose shapes repeat from step to step. `lower` takes 0.3 us for a matrix
/// product and 3 us for the scores of attention ("nlhd,nkhd->nhlk"), whose permutations it compares; a lookup takes
/// 0.03 us.
class LoweringCache {
 public:
  /// Returns `lower(units, true)`. The reference is valid until the next call.
  /// Preconditions: as of `lower`.
  Lowering const& lowering_of(Units const& units) {
    auto const known = lowerings_.find(units);
    if (known != lowerings_.end()) return known->second;
    // Steps of varying shapes: starts anew, instead of keeping an order of last uses.
    if (lowerings_.size() == max_size) lowerings_.clear();
    return lowerings_.emplace(units, lower(units, true)).first->second;
  }

  /// Returns the cache of the calling thread.
  static LoweringCache& of_thread() {
    static thread_local LoweringCache cache;
    return cache;
  }

 private:
  struct Hash {
    std::size_t operator()(Units const& units) const {
      std::uint64_t hash = 0;
      auto const add = [&](std::int64_t value) {
        hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
      };
      for (Unit const& unit : units) {
        add(unit.extent);
        for (std::int64_t stride : unit.strides) add(stride);
      }
      return static_cast<std::size_t>(hash);
    }
  };

  /// A step has some dozens of shapes. An entry takes 3.3 KB.
  static constexpr std::size_t max_size = 512;

  std::unordered_map<Units, Lowering, Hash> lowerings_;
};

}  // namespace gshard::detail
