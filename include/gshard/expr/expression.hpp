// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <gshard/core/checked.hpp>
#include <gshard/core/launch.hpp>
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

/// Computes the deferred tensors of an expression, checks meshes and extents, and returns the expression; without
/// deferred tensors, a reference to the operand itself.
template <class Operand>
decltype(auto) prepared(Operand const& operand, std::string_view operation = "pointwise function") {
  if constexpr (has_deferred<Operand>) {
    auto ready = materialized(operand);
    check_tensors(operation, tensors_of(ready));
    return ready;
  } else {
    check_tensors(operation, tensors_of(operand));
    return operand;
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
/// float comes from BFloat16 alone.
template <class Part>
struct StoredType {
  using type = typename Part::value_type;
};
template <class T>
struct StoredType<Constant<T>> {
  using type = BFloat16;
};
template <class Function, class... Parts>
struct StoredType<Map<Function, Parts...>> {
  using Value = ValueOf<Map<Function, Parts...>>;
  static constexpr bool comes_from_bfloat16 =
      std::is_same_v<Value, float> && (std::is_same_v<typename StoredType<Parts>::type, BFloat16> && ...);
  using type = typename NamedStoredType<Function, std::conditional_t<comes_from_bfloat16, BFloat16, Value>>::type;
};

/// Returns the bytes that one pass over an expression reads.
template <class Ready>
std::int64_t bytes_read(Ready const& ready) {
  std::int64_t bytes = 0;
  for (TensorHandle const* tensor : tensors_of(ready)) bytes = saturated_sum(bytes, (*tensor)->local_bytes());
  return bytes;
}

/// Sets the elements of `result` to the values of `kernel`, which reads `bytes` bytes.
template <class MemorySpace, class T, class Kernel>
void run_map(TensorState const& result, Kernel const& kernel, std::int64_t bytes) {
  result.mesh->memory().ledger().add_work("map", 0, saturated_sum(result.local_bytes(), bytes));
  launch<MemorySpace>("gshard::map", result.local_size, AssignKernel<T, Kernel>{result.elements<T>(), kernel});
}

}  // namespace detail

/// Runs a pointwise expression as one kernel. The memory of a deferred tensor in it is reused for the result where its
/// type allows. Throws StateError where a tensor is unset, MeshError and ExtentError where the tensors do not belong
/// together. No communication but that of the deferred tensors.
template <class Function, class... Operands>
auto eval(Map<Function, Operands...> const& expression) {
  auto const& ready = detail::prepared(expression);
  using Ready = std::remove_cvref_t<decltype(ready)>;
  using First = detail::FirstTensor<Ready>;
  using Value = typename detail::StoredType<Ready>::type;
  using Result =
      ShardedTensor<typename First::mesh_type, typename First::spec_type, Value, typename First::memory_space>;
  auto const& first = detail::first_tensor(ready);
  Result const* spare = nullptr;
  if constexpr (detail::has_deferred<Map<Function, Operands...>>)
    spare = detail::find_tensor<Result>(ready, [](Result const& tensor) { return tensor.is_sole_owner(); });
  Result const result = spare != nullptr ? *spare : Result(uninitialized, first.mesh(), first.extents());
  detail::run_map<typename First::memory_space, Value>(*result.handle(), detail::kernel_of(ready),
                                                       detail::bytes_read(ready));
  return result;
}

/// Computes an expression into a tensor that exists, of the same layout and extents: no memory is allocated for the
/// result.
template <AnyTensor Result, Expression Operand>
void assign(Result const& result, Operand const& expression) {
  auto const& ready = detail::prepared(expression);
  using Mistake = detail::AssignMistake<Result, detail::FirstTensor<std::remove_cvref_t<decltype(ready)>>>;
  if constexpr (std::is_void_v<Mistake>) {
    detail::require_same_shape("assign", {{"result", result}, {"operand 0", detail::first_tensor(ready)}});
    detail::run_map<typename Result::memory_space, typename Result::value_type>(
        *result.handle(), detail::kernel_of(ready), detail::bytes_read(ready));
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
