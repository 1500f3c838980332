// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace gshard::detail {

/// Host memory for small objects of about equal lifetime: hands out pieces of large chunks, and frees all of them in
/// its destructor. Does not call destructors of the objects.
class Arena {
 public:
  Arena() = default;
  Arena(Arena const&) = delete;
  Arena& operator=(Arena const&) = delete;

  /// Returns `bytes` uninitialized bytes, valid as long as the arena. Precondition: `alignment` is a power of 2.
  void* take(std::size_t bytes, std::size_t alignment) {
    void* taken = std::align(alignment, bytes, next_, left_);
    if (taken == nullptr) {
      std::size_t const size = std::max(chunk_bytes, bytes + alignment);
      chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
      next_ = chunks_.back().get();
      left_ = size;
      taken = std::align(alignment, bytes, next_, left_);
    }
    next_ = static_cast<std::byte*>(next_) + bytes;
    left_ -= bytes;
    return taken;
  }

 private:
  static constexpr std::size_t chunk_bytes = std::size_t{1} << 14;

  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  void* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace gshard::detail
