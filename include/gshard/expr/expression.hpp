// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <gshard/core/checked.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/expr/broadcast.hpp>
#include <gshard/expr/map.hpp>
#include <gshard/expr/mistakes.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/record_kernel.hpp>

namespace gshard {

namespace detail {

/// Checks that the tensors of an expression are set, on one mesh, and of equal extents. `operation` names the caller in
/// messages. Throws StateError, MeshError or ExtentError.
inline void check_tensors(std::string_view operation, HandleList tensors) {
  TensorHandle const& first = *tensors[0];
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    TensorHandle const& tensor = *tensors[i];
    if (tensor && first && tensor->mesh == first->mesh && tensor->extents == first->extents) continue;
    require_same_shape(operation, {{role_of_operand(0), first}, {role_of_operand(static_cast<int>(i)), tensor}});
  }
}

/// Returns the tensors of an expression without deferred tensors, with the extents that their types fix.
template <class Ready>
std::array<BroadcastOperand, tensor_count<Ready>> broadcast_operands_of(Ready const& ready) {
  std::array<BroadcastOperand, tensor_count<Ready>> list;
  BroadcastOperand* next = list.data();
  for_each_tensor(ready,
                  [&]<class Tensor>(Tensor const& tensor) { *next++ = {&tensor.handle(), &Tensor::static_extents}; });
  return list;
}

/// Checks that the tensors of an expression without deferred tensors belong together.
template <class Ready>
void check_ready(std::string_view operation, Ready const& ready) {
  if constexpr (has_broadcast<Ready>)
    check_broadcast(operation, first_tensor(ready).handle(), broadcast_operands_of(ready));
  else check_tensors(operation, tensors_of(ready));
}

/// Computes the deferred tensors of an expression, checks meshes and extents, and returns the expression; without
/// deferred tensors, a reference to the operand itself.
template <class Operand>
decltype(auto) prepared_map(Operand const& operand, std::string_view operation) {
  if constexpr (has_deferred<Operand>) {
    auto ready = materialized(operand);
    check_ready(operation, ready);
    return ready;
  } else {
    check_ready(operation, operand);
    return operand;
  }
}

/// Does the same for an operation that reads the expression at positions of its packed block: an expression with
/// broadcast tensors is computed.
template <class Operand>
decltype(auto) prepared(Operand&& operand, std::string_view operation = "pointwise function") {
  if constexpr (has_broadcast<decltype(materialized(operand))>) {
    return eval(std::forward<Operand>(operand));
  } else {
    refuse_named<Operand>();
    return prepared_map(operand, operation);
  }
}

template <class Function, class Otherwise>
struct NamedStoredType {
  using type = Otherwise;
};
template <class Function, class Otherwise>
  requires requires { typename Function::stored_type; }
struct NamedStoredType<Function, Otherwise> {
  using type = typename Function::stored_type;
};

/// The element type of an expression's value: what its function gives, or names as `stored_type`; but BFloat16 where a
/// float comes from BFloat16, beside numbers and integers alone.
template <class Part>
struct StoredType {
  using type = typename Part::value_type;
};
template <class T>
struct StoredType<Constant<T>> {
  using type = T;
};
template <class Function, class... Parts>
struct StoredType<Map<Function, Parts...>> {
  using Value = ValueOf<Map<Function, Parts...>>;
  template <class Part>
  static constexpr bool is_bfloat16 = std::is_same_v<typename StoredType<Part>::type, BFloat16>;
  template <class Part>
  static constexpr bool has_no_precision = is_constant<Part> || std::is_integral_v<typename StoredType<Part>::type>;
  static constexpr bool comes_from_bfloat16 = std::is_same_v<Value, float> && (is_bfloat16<Parts> || ...) &&
                                              ((is_bfloat16<Parts> || has_no_precision<Parts>) && ...);
  using type = typename NamedStoredType<Function, std::conditional_t<comes_from_bfloat16, BFloat16, Value>>::type;
};

/// Returns the bytes that one pass over an expression reads.
template <class Ready>
std::int64_t bytes_read(Ready const& ready) {
  std::int64_t bytes = 0;
  for (TensorHandle const* tensor : tensors_of(ready)) bytes = saturated_sum(bytes, (*tensor)->local_bytes());
  return bytes;
}

/// Kernels of the tensors of a broadcasting expression whose value is placed as `Leading`.
template <AnyTensor Leading>
struct LeafOfRuns {
  TensorState const& to;
  BroadcastLoops const& loops;

  template <AnyTensor Tensor>
  auto operator()(Tensor const& tensor) const {
    if constexpr (is_broadcast<Leading, Tensor>())
      return broadcast_kernel<typename Tensor::value_type>(to, *tensor.handle(), loops);
    else return LeafKernel<typename Tensor::value_type>{tensor.data()};
  }
};

/// Sets the elements of `result` to the values of `kernel`, which reads `bytes` bytes.
template <class MemorySpace, class T, class Kernel>
void run_map(TensorState const& result, Kernel const& kernel, std::int64_t bytes) {
  result.mesh->memory().ledger().add_work("map", 0, saturated_sum(result.local_bytes(), bytes));
  // A function may cost some 5 ns an element, as exp does: less than the launch of a kernel on small blocks alone.
  launch<MemorySpace>("gshard::map", result.local_size, result.local_size <= small_row / 8,
                      AssignKernel<T, Kernel>{result.elements<T>(), kernel});
}

/// Sets the elements of `result` to the values of an expression without deferred tensors.
template <class T, AnyTensor Result, class Ready>
void run_expression(Result const& result, Ready const& ready) {
  using Space = typename Result::memory_space;
  if constexpr (has_broadcast_in<Result, Ready>) {
    TensorState const& to = *result.handle();
    to.mesh->memory().ledger().add_work("map", 0, saturated_sum(to.local_bytes(), bytes_read(ready)));
    if (to.local_size == 0) return;
    BroadcastLoops const loops(to, broadcast_operands_of(ready));
    run_broadcast<Space, T>(to.elements<T>(), to.local_size, loops.width(),
                            kernel_with(ready, LeafOfRuns<Result>{to, loops}));
  } else {
    run_map<Space, T>(*result.handle(), kernel_of(ready), bytes_read(ready));
  }
}

/// Checks that a tensor takes the value of an expression placed as `first`. Throws StateError, MeshError or
/// ExtentError.
template <AnyTensor Result, AnyTensor First>
void check_assigned(Result const& result, First const& first) {
  if constexpr (is_broadcast<Result, First>()) {
    require_set("assign", {{"result", result}, {"operand 0", first}});
    check_broadcast("assign", result.handle(), std::array{BroadcastOperand{&first.handle(), &First::static_extents}});
  } else {
    require_same_shape("assign", {{"result", result}, {"operand 0", first}});
  }
}

}  // namespace detail

/// Runs a pointwise expression as one kernel. The memory of a deferred tensor in it is reused for the result where its
/// type allows. Throws StateError where a tensor is unset, MeshError and ExtentError where the tensors do not belong
/// together. No communication but that of the deferred tensors. Does not compile if an expression with deferred tensors
/// is given by its name.
template <class Expression>
  requires detail::is_map<std::remove_cvref_t<Expression>>
auto eval(Expression&& expression) {
  detail::refuse_named<Expression>();
  auto const& ready = detail::prepared_map(expression, "pointwise function");
  using Ready = std::remove_cvref_t<decltype(ready)>;
  using First = detail::FirstTensor<Ready>;
  using Value = typename detail::StoredType<Ready>::type;
  using Result =
      ShardedTensor<typename First::mesh_type, typename First::spec_type, Value, typename First::memory_space>;
  auto const& first = detail::first_tensor(ready);
  Result const* spare = nullptr;
  if constexpr (detail::has_deferred<std::remove_cvref_t<Expression>>)
    spare = detail::find_tensor<Result>(ready, [](Result const& tensor) { return tensor.is_sole_owner(); });
  Result const result = spare != nullptr ? *spare : Result(uninitialized, first.mesh(), first.extents());
  detail::run_expression<Value>(result, ready);
  return result;
}

/// Computes an expression into a tensor that exists, of the same layout and extents, or to which it is broadcast: no
/// memory is allocated for the result.
template <AnyTensor Result, Expression Operand>
void assign(Result const& result, Operand&& expression) {
  detail::refuse_named<Operand>();
  auto const& ready = detail::prepared_map(expression, "pointwise function");
  using Mistake = detail::AssignMistake<Result, detail::FirstTensor<std::remove_cvref_t<decltype(ready)>>>;
  if constexpr (std::is_void_v<Mistake>) {
    detail::check_assigned(result, detail::first_tensor(ready));
    detail::run_expression<typename Result::value_type>(result, ready);
  } else {
    using Refused [[maybe_unused]] = decltype(Mistake{});
  }
}

/// A tensor of its own with the same elements.
template <AnyTensor Tensor>
Tensor copy(Tensor const& tensor) {
  detail::require_set("copy", {{"tensor", tensor}});
  Tensor result(uninitialized, tensor.mesh(), tensor.extents(), tensor.name());
  detail::record_kernel("copy", result, tensor);
  detail::copy_elements<typename Tensor::memory_space>(result.data(), tensor.data(), tensor.local_size());
  return result;
}

}  // namespace gshard
