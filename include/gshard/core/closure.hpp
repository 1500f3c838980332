// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

namespace gshard::detail {

/// Owns an object of which only the address is known from here on. One kind of control block for all types.
template <class Type>
std::shared_ptr<void> owned(Type* object) {
  void (*const destroy)(void*) = [](void* address) { delete static_cast<Type*>(address); };
  return {static_cast<void*>(object), destroy};
}

/// Some function of one pointer, shared by copies. std::function keeps, for each function, the name of its type, which
/// is as long as the types of the tensors in it.
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
