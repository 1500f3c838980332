// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

namespace gshard::detail {

/// Takes ownership of an object whose type the caller knows. All types share one kind of control block.
template <class Type>
std::shared_ptr<void> owned(Type* object) {
  void (*const destroy)(void*) = [](void* address) { delete static_cast<Type*>(address); };
  return {static_cast<void*>(object), destroy};
}

/// A type-erased function of one pointer. Copies share the captured values. std::function would store the type name of
/// every function, which contains the types of all captured tensors.
class Closure {
 public:
  Closure() = default;

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
