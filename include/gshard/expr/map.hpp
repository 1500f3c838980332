// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/core/call_with.hpp>
#include <gshard/expr/kernels.hpp>
#include <gshard/tensor/sharded_tensor.hpp>
#include <gshard/tensor/unevaluated.hpp>

namespace gshard {

template <class Function, class... Operands>
class Map;

/// A number among the operands of a pointwise expression.
template <class T>
struct Constant {
  T value;
};

/// Something that computes a tensor when asked, such as an einsum whose result spec is still open.
template <class Type>
concept Deferred = requires { requires std::remove_cvref_t<Type>::is_deferred; };

namespace detail {

template <class Type>
inline constexpr bool is_map = false;
template <class Function, class... Operands>
inline constexpr bool is_map<Map<Function, Operands...>> = true;

/// Whether an expression contains a deferred tensor.
template <class Operand>
inline constexpr bool has_deferred = Deferred<Operand>;
template <class Function, class... Parts>
inline constexpr bool has_deferred<Map<Function, Parts...>> = (has_deferred<Parts> || ...);

template <class Type>
inline constexpr bool is_constant = false;
template <class T>
inline constexpr bool is_constant<Constant<T>> = true;

}  // namespace detail

/// What pointwise functions take: a tensor, a deferred tensor, or another pointwise expression.
template <class Type>
concept Expression = AnyTensor<Type> || Deferred<Type> || detail::is_map<std::remove_cvref_t<Type>>;

/// Returns the tensor itself: a reference to one that has a name.
template <AnyTensor Tensor>
Tensor const& eval(Tensor const& tensor) {
  return tensor;
}
template <AnyTensor Tensor>
  requires(!std::is_reference_v<Tensor>)
Tensor eval(Tensor&& tensor) {
  return std::move(tensor);
}

/// Returns the deferred tensor with the spec that its plan propagates. Does not compile if the operation is given by
/// its name.
template <Deferred Operation>
auto eval(Operation&& operation) {
  detail::refuse_named<Operation>();
  return std::move(operation).eval();
}

/// `function` applied element by element to tensors of one layout and to numbers. Nothing is computed before `eval`,
/// which runs a whole tree of maps as one kernel, over the deferred tensors in it; made by the functions and operators
/// of expr/functions.hpp.
template <class Function, class... Operands>
class [[nodiscard]] Map : public detail::UnevaluatedOperation {
 public:
  /// Whether the expression is of tensors and numbers alone.
  static constexpr bool may_be_used_by_name = !(detail::has_deferred<Operands> || ...);

  Function function;
  std::tuple<Operands...> operands;

  explicit Map(Function const& applied, Operands const&... to) : function(applied), operands(to...) {}

  /// Returns `eval` of the expression, which has the spec of the operands.
  template <AnyTensor Result>
  operator Result() const& {
    return eval(*this);
  }
  template <AnyTensor Result>
  operator Result() && {
    return eval(std::move(*this));
  }
};

namespace detail {

/// An expression whose deferred tensors are computed.
template <class Operand>
auto materialized(Operand const& operand) {
  if constexpr (Deferred<Operand>) {
    return std::move(operand).eval();
  } else if constexpr (is_map<Operand>) {
    return call_with(operand.operands,
                     [&](auto const&... parts) { return Map(operand.function, materialized(parts)...); });
  } else {
    return operand;
  }
}

/// The number of tensors of an expression without deferred tensors.
template <class Operand>
inline constexpr std::size_t tensor_count = AnyTensor<Operand> ? 1 : 0;
template <class Function, class... Parts>
inline constexpr std::size_t tensor_count<Map<Function, Parts...>> = (tensor_count<Parts> + ...);

/// Calls `action` with the tensors of an expression without deferred tensors, from left to right.
template <class Operand, class Action>
void for_each_tensor(Operand const& operand, Action const& action) {
  if constexpr (AnyTensor<Operand>) action(operand);
  else if constexpr (is_map<Operand>)
    call_with(operand.operands, [&](auto const&... parts) { (for_each_tensor(parts, action), ...); });
}

/// Returns the tensors of an expression without deferred tensors, from left to right.
template <class Ready>
std::array<TensorHandle const*, tensor_count<Ready>> tensors_of(Ready const& ready) {
  std::array<TensorHandle const*, tensor_count<Ready>> list;
  TensorHandle const** next = list.data();
  for_each_tensor(ready, [&](auto const& tensor) { *next++ = &tensor.handle(); });
  return list;
}

/// The number of dimensions whose extent the type of a tensor does not fix to 1.
template <AnyTensor Tensor>
constexpr int wide_dimensions() {
  int count = 0;
  for (std::int64_t extent : Tensor::static_extents) count += extent == 1 ? 0 : 1;
  return count;
}

/// Whether `Later` rather than `First` has the placement of an expression of both: it has more dimensions, or fewer
/// that are fixed to 1; of two that are alike, it is an unreduced sum and the first one is not.
template <AnyTensor First, AnyTensor Later>
constexpr bool later_leads() {
  if (First::rank != Later::rank) return First::rank < Later::rank;
  if (wide_dimensions<First>() != wide_dimensions<Later>()) return wide_dimensions<First>() < wide_dimensions<Later>();
  return First::layout.partial.empty() && !Later::layout.partial.empty();
}

/// Selects the one of two tensor types (void: no tensor) whose placement an expression of both has.
template <class First, class Later>
struct LeadingOfTwo {
  using type = std::conditional_t<later_leads<First, Later>(), Later, First>;
};
template <class First>
struct LeadingOfTwo<First, void> {
  using type = First;
};
template <class Later>
struct LeadingOfTwo<void, Later> {
  using type = Later;
};
template <>
struct LeadingOfTwo<void, void> {
  using type = void;
};

template <class Operand, class... Rest>
struct Leading {
  using type = typename LeadingOfTwo<typename Leading<Operand>::type, typename Leading<Rest...>::type>::type;
};
template <class Operand>
struct Leading<Operand> {
  using type = std::conditional_t<AnyTensor<Operand>, Operand, void>;
};
template <class Function, class... Parts>
struct Leading<Map<Function, Parts...>> : Leading<Parts...> {};

/// The type of tensor whose placement the value of an expression without deferred tensors has: of the tensors that are
/// not broadcast, the first unreduced sum, or where there is none the first.
template <class Operand>
using FirstTensor = typename Leading<Operand>::type;

/// Whether a tensor is broadcast in an expression whose value is placed as `Leading`.
template <AnyTensor Leading, AnyTensor Tensor>
constexpr bool is_broadcast() {
  if constexpr (Tensor::rank != Leading::rank) {
    return true;
  } else {
    for (int d = 0; d < Tensor::rank; ++d)
      if (Tensor::static_extents[d] == 1 && Leading::static_extents[d] != 1) return true;
    return false;
  }
}

/// Whether a tensor of an expression without deferred tensors is broadcast.
template <class Leading, class Operand>
inline constexpr bool has_broadcast_in = false;
template <class Leading, AnyTensor Tensor>
inline constexpr bool has_broadcast_in<Leading, Tensor> = is_broadcast<Leading, Tensor>();
template <class Leading, class Function, class... Parts>
inline constexpr bool has_broadcast_in<Leading, Map<Function, Parts...>> = (has_broadcast_in<Leading, Parts> || ...);
template <class Ready>
inline constexpr bool has_broadcast = has_broadcast_in<FirstTensor<Ready>, Ready>;

/// Returns the kernel of an expression; `leaf(tensor)` returns that of a tensor.
template <class Operand, class Leaf>
auto kernel_with(Operand const& operand, Leaf const& leaf) {
  if constexpr (AnyTensor<Operand>) {
    return leaf(operand);
  } else if constexpr (is_constant<Operand>) {
    return ConstantKernel<decltype(operand.value)>{operand.value};
  } else {
    return call_with(operand.operands, [&](auto const&... parts) {
      auto const pack = kernel_pack(kernel_with(parts, leaf)...);
      return ApplyKernel<decltype(operand.function), std::remove_const_t<decltype(pack)>>{operand.function, pack};
    });
  }
}

struct LeafAtPosition {
  template <AnyTensor Tensor>
  LeafKernel<typename Tensor::value_type> operator()(Tensor const& tensor) const {
    return {tensor.data()};
  }
};

/// Returns the kernel of an expression without broadcast tensors, evaluated at a position of the packed blocks.
template <class Operand>
auto kernel_of(Operand const& operand) {
  return kernel_with(operand, LeafAtPosition{});
}

template <class Ready>
using ValueOf = std::remove_cvref_t<decltype(kernel_of(std::declval<Ready const&>())(0))>;

/// Returns the first tensor of type `Tensor` in an expression for which `accept` is true, or null.
template <class Tensor, class Operand>
Tensor const* find_tensor(Operand const& operand, bool (*accept)(Tensor const&)) {
  if constexpr (std::is_same_v<Operand, Tensor>) {
    return accept(operand) ? &operand : nullptr;
  } else if constexpr (is_map<Operand>) {
    return call_with(operand.operands, [&](auto const&... parts) {
      Tensor const* found = nullptr;
      ((found = found != nullptr ? found : find_tensor<Tensor>(parts, accept)), ...);
      return found;
    });
  } else {
    return nullptr;
  }
}

template <class Expression>
auto const& first_tensor(Expression const& expression) {
  using First = FirstTensor<Expression>;
  return *find_tensor<First>(expression, [](First const&) { return true; });
}

}  // namespace detail
}  // namespace gshard
