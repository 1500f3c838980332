// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/tensor/sharded_tensor.hpp>

// Compile errors of operations and recorded tensors that are used as plain tensors.

namespace gshard {

namespace error {

/// Compile error of an operation used as a tensor before `eval`.
template <class Used>
struct NotEvaluatedYet {
  static_assert(
      always_false<Used>,
      "gshard: an operation that has not run yet is used as a tensor; write eval(...) around it, or declare the "
      "tensor that it becomes");
};

/// Compile error of an operation that would run at each use of its name.
template <class Used>
struct OperationUsedByName {
  static_assert(
      always_false<Used>,
      "gshard: an operation that has not run yet is used by its name, and would run and communicate at each use; keep "
      "its result instead, by auto y = eval(...) or by declaring the tensor type of y, or give std::move(y) to its only "
      "use");
};

/// Compile error of a recorded tensor (Var) used as a plain tensor.
template <class Used>
struct RecordedUsedAsPlain {
  static_assert(
      always_false<Used>,
      "gshard: a recorded tensor is used as a plain one, which has no history; take x.value() where no gradient is "
      "wanted, else declare a Var<...>");
};

}  // namespace error

namespace detail {

/// Result of the members of WithoutTensorMembers. Callable, so that `x.local()(i, j)` gives one error only.
struct NoMember {
  template <class... Indices>
  NoMember operator()(Indices const&...) const {
    return {};
  }
};

/// Base of classes that users take for tensors. Declares members of ShardedTensor whose use does not compile, with the
/// message of `Mistake`.
template <template <class> class Mistake>
class WithoutTensorMembers {
 public:
  template <class Used = void>
  NoMember local() const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember data() const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember mesh() const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember extents() const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember extent(int) const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember size() const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember local_extents() const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember local_extent(int) const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember local_size() const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
  template <class Used = void>
  NoMember range(int) const {
    using Refused [[maybe_unused]] = decltype(Mistake<Used>{});
    return {};
  }
};

/// Base of operations that become tensors by `eval`: pointwise expressions, and einsums and reductions that wait for
/// their result spec.
class UnevaluatedOperation : public WithoutTensorMembers<error::NotEvaluatedYet> {};

/// Stand-in for an operation that a compile error has rejected.
/// Converts to every tensor type, so that no further errors follow.
template <class Tensor>
struct RefusedOperation : UnevaluatedOperation {
  static constexpr bool is_deferred = true;
  static constexpr bool may_be_used_by_name = true;
  Tensor eval() const { return {}; }
  template <AnyTensor Result>
  operator Result() const {
    return {};
  }
};

}  // namespace detail

/// Satisfied by operations that become tensors, recorded or not, by `eval`.
template <class Type>
concept Unevaluated = std::is_base_of_v<detail::UnevaluatedOperation, std::remove_cvref_t<Type>>;

namespace detail {

/// Rejects an operation that is given by its name, which can be used again. Operations run at each use, apart from
/// pointwise expressions of tensors alone: these are part of the kernel that reads them.
/// `Operand` is the type of a forwarding reference to an argument.
template <class Operand>
constexpr void refuse_named() {
  if constexpr (std::is_lvalue_reference_v<Operand> && Unevaluated<Operand>) {
    if constexpr (!requires { requires std::remove_cvref_t<Operand>::may_be_used_by_name; })
      using Refused [[maybe_unused]] = decltype(error::OperationUsedByName<std::remove_cvref_t<Operand>>{});
  }
}

/// Rejects an operation that is not evaluated, in overloads of functions of tensors.
/// Returns `eval(operation)`, so that no further errors follow.
template <Unevaluated Operation>
auto refuse_unevaluated(Operation&& operation) {
  using Refused [[maybe_unused]] = decltype(error::NotEvaluatedYet<std::remove_cvref_t<Operation>>{});
  return eval(std::move(operation));
}

}  // namespace detail
}  // namespace gshard
