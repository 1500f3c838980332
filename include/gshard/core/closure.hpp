// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

namespace gshard::detail {

/// Returns an owner of `object`, which was made by `new`.
/// Passes the deleter as a plain function pointer: one type of control block is compiled for all types.
template <class Type>
std::shared_ptr<void> owned(Type* object) {
  void (*const destroy)(void*) = [](void* address) { delete static_cast<Type*>(address); };
  return {static_cast<void*>(object), destroy};
}

/// Type-erased function of one pointer. Copies share the captured values.
/// Replaces std::function, which stores the type name of each function, with the types of all captured tensors.
class Closure {
 public:
  Closure() = default;

  /// Wraps a function `void(void*)`.
  template <class Function>
  static Closure of(Function function) {
    Closure closure;
    closure.captured_ = owned(new Function(std::move(function)));
    closure.call_ = [](void const* captured, void* argument) { (*static_cast<Function const*>(captured))(argument); };
    return closure;
  }

  void operator()(void* argument) const { call_(captured_.get(), argument); }

 private:
  std::shared_ptr<void> captured_;
  void (*call_)(void const* captured, void* argument) = nullptr;
};

}  // namespace gshard::detail
