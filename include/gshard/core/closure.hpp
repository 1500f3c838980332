// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include <gshard/core/arena.hpp>

namespace gshard::detail {

/// Type-erased function of one pointer; owns the captured values, in the memory of an Arena.
/// Replaces std::function, which stores the type name of each function, with the types of all captured tensors, and
/// takes memory for each function from the heap.
class Closure {
 public:
  Closure() = default;
  Closure(Closure&& other) noexcept
      : captured_(std::exchange(other.captured_, nullptr)), call_(other.call_), destroy_(other.destroy_) {}
  Closure& operator=(Closure&& other) noexcept {
    std::swap(captured_, other.captured_);
    std::swap(call_, other.call_);
    std::swap(destroy_, other.destroy_);
    return *this;
  }
  ~Closure() { reset(); }

  /// Moves a function `void(void*)` into `arena`. Precondition: `arena` outlives the closure.
  template <class Function>
  static Closure in(Arena& arena, Function&& function) {
    using Captured = std::remove_cvref_t<Function>;
    Closure closure;
    closure.captured_ =
        new (arena.take(sizeof(Captured), alignof(Captured))) Captured(std::forward<Function>(function));
    closure.call_ = [](void* captured, void* argument) { (*static_cast<Captured const*>(captured))(argument); };
    closure.destroy_ = [](void* captured) { static_cast<Captured*>(captured)->~Captured(); };
    return closure;
  }

  /// Calls the function. Precondition: there is one.
  void operator()(void* argument) const { call_(captured_, argument); }

  /// Destroys the captured values; there is no function afterwards.
  void reset() {
    if (captured_ != nullptr) destroy_(std::exchange(captured_, nullptr));
  }

 private:
  void* captured_ = nullptr;
  void (*call_)(void* captured, void* argument) = nullptr;
  void (*destroy_)(void* captured) = nullptr;
};

}  // namespace gshard::detail
