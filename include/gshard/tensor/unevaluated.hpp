// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <gshard/tensor/sharded_tensor.hpp>

// What the compiler says where something that is no tensor yet is used as one.

namespace gshard {

namespace error {

template <class Used>
struct NotEvaluatedYet {
  static_assert(
      always_false<Used>,
      "gshard: an operation that has not run yet is used as a tensor; write eval(...) around it, or declare the "
      "tensor that it becomes");
};

template <class Used>
struct RecordedUsedAsPlain {
  static_assert(
      always_false<Used>,
      "gshard: a recorded tensor is used as a plain one, which has no history; take x.value() where no gradient is "
      "wanted, else declare a Var<...>");
};

}  // namespace error

namespace detail {

/// What the members below return.
struct NoMember {
  template <class... Indices>
  NoMember operator()(Indices const&...) const {
    return {};
  }
};

/// Has members of ShardedTensor whose use does not compile, with the sentence of `Mistake`: a base of classes that
/// users take for tensors.
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

/// A base of what becomes a tensor by `eval`: pointwise expressions, and einsums and reductions that wait for their
/// result spec.
class UnevaluatedOperation : public WithoutTensorMembers<error::NotEvaluatedYet> {};

/// Stands in for an operation that the compiler has refused, and keeps it from saying more: becomes any tensor.
template <class Tensor>
struct RefusedOperation : UnevaluatedOperation {
  static constexpr bool is_deferred = true;
  Tensor eval() const { return {}; }
  template <AnyTensor Result>
  operator Result() const {
    return {};
  }
};

}  // namespace detail

/// An operation that becomes a tensor, recorded or not, by `eval`.
template <class Type>
concept Unevaluated = std::is_base_of_v<detail::UnevaluatedOperation, std::remove_cvref_t<Type>>;

namespace detail {

/// Says that an operation has not run yet, and stands in for its result. For overloads of functions of tensors.
template <Unevaluated Operation>
auto refuse_unevaluated(Operation const& operation) {
  using Refused [[maybe_unused]] = decltype(error::NotEvaluatedYet<Operation>{});
  return eval(operation);
}

}  // namespace detail
}  // namespace gshard
