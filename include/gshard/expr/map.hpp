// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

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

template <class Type>
inline constexpr bool is_constant = false;
template <class T>
inline constexpr bool is_constant<Constant<T>> = true;

}  // namespace detail

/// What pointwise functions take: a tensor, a deferred tensor, or another pointwise expression.
template <class Type>
concept Expression = AnyTensor<Type> || Deferred<Type> || detail::is_map<std::remove_cvref_t<Type>>;

/// The tensor itself.
template <AnyTensor Tensor>
Tensor const& eval(Tensor const& tensor) {
  return tensor;
}

/// The deferred tensor with the spec that its plan propagates.
template <Deferred Operation>
auto eval(Operation const& operation) {
  return operation.eval();
}

/// `function` applied element by element to tensors of one layout and to numbers. Nothing is computed before `eval`,
/// which runs a whole tree of maps as one kernel, over the deferred tensors in it; made by the functions and operators
/// of expr/functions.hpp.
template <class Function, class... Operands>
class Map : public detail::UnevaluatedOperation {
 public:
  Function function;
  std::tuple<Operands...> operands;

  explicit Map(Function const& applied, Operands const&... to) : function(applied), operands(to...) {}

  /// `eval(*this)`, which has the spec of the operands.
  template <AnyTensor Result>
  operator Result() const {
    return eval(*this);
  }
};

namespace detail {

/// An expression whose deferred tensors are computed.
template <class Operand>
auto materialized(Operand const& operand) {
  if constexpr (Deferred<Operand>) {
    return eval(operand);
  } else if constexpr (is_map<Operand>) {
    return std::apply([&](auto const&... parts) { return Map(operand.function, materialized(parts)...); },
                      operand.operands);
  } else {
    return operand;
  }
}

/// Calls `visit` with every tensor of an expression without deferred tensors.
template <class Operand, class Visit>
void for_each_tensor(Operand const& operand, Visit const& visit) {
  if constexpr (AnyTensor<Operand>) visit(operand);
  else if constexpr (is_map<Operand>)
    std::apply([&](auto const&... parts) { (for_each_tensor(parts, visit), ...); }, operand.operands);
}

template <class Operand>
constexpr auto tensor_types() {
  if constexpr (AnyTensor<Operand>) return std::tuple<std::type_identity<Operand>>{};
  else return std::tuple<>{};
}
template <class Operand>
  requires is_map<Operand>
constexpr auto tensor_types() {
  return []<class F, class... Parts>(std::type_identity<Map<F, Parts...>>) {
    return std::tuple_cat(tensor_types<Parts>()...);
  }(std::type_identity<Operand>{});
}

template <class... Tensors>
struct LeadingTensor;
template <class First>
struct LeadingTensor<First> {
  using type = First;
};
template <class First, class... Rest>
struct LeadingTensor<First, Rest...> {
  using Later = typename LeadingTensor<Rest...>::type;
  using type = std::conditional_t<First::layout.partial.empty() && !Later::layout.partial.empty(), Later, First>;
};
template <class... Tensors>
struct LeadingTensor<std::tuple<std::type_identity<Tensors>...>> : LeadingTensor<Tensors...> {};

/// The type of tensor whose placement the value of an expression without deferred tensors has: the first unreduced sum,
/// or where there is none the first tensor.
template <class Operand>
using FirstTensor = typename LeadingTensor<decltype(tensor_types<Operand>())>::type;

template <class Operand>
auto kernel_of(Operand const& operand) {
  if constexpr (AnyTensor<Operand>) {
    return LeafKernel<typename Operand::value_type>{operand.data()};
  } else if constexpr (is_constant<Operand>) {
    return ConstantKernel<decltype(operand.value)>{operand.value};
  } else {
    return std::apply(
        [&](auto const&... parts) {
          auto const pack = kernel_pack(kernel_of(parts)...);
          return ApplyKernel<decltype(operand.function), std::remove_const_t<decltype(pack)>>{operand.function, pack};
        },
        operand.operands);
  }
}

template <class Ready>
using ValueOf = std::remove_cvref_t<decltype(kernel_of(std::declval<Ready const&>())(0))>;
template <class Expression>
auto const& first_tensor(Expression const& expression) {
  if constexpr (AnyTensor<Expression>) {
    return expression;
  } else {
    FirstTensor<Expression> const* first = nullptr;
    for_each_tensor(expression, [&](auto const& tensor) {
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(tensor)>, FirstTensor<Expression>>)
        if (first == nullptr) first = &tensor;
    });
    return *first;
  }
}

}  // namespace detail
}  // namespace gshard
