// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>

#include <gshard/core/launch.hpp>
#include <gshard/expr/map.hpp>
#include <gshard/expr/mistakes.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/record_kernel.hpp>

namespace gshard {

namespace detail {

/// An expression ready to run: without deferred tensors, its meshes and extents checked. `operation` is what it is an
/// operand of.
template <class Operand>
auto prepared(Operand const& operand, std::string_view operation = "pointwise function") {
  auto ready = materialized(operand);
  std::optional<detail::Operand> first;
  int position = 0;
  for_each_tensor(ready, [&](auto const& tensor) {
    detail::Operand const next(role_of_operand(position++), tensor);
    if (!first) first = next;
    require_same_shape(operation, {*first, next});
  });
  return ready;
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

/// What one pass over an expression reads.
template <class Ready>
std::int64_t bytes_read(Ready const& ready) {
  std::int64_t bytes = 0;
  for_each_tensor(ready, [&](auto const& tensor) { bytes += block_bytes(tensor); });
  return bytes;
}

template <AnyTensor Result, class Ready>
void run_into(Result const& result, Ready const& ready) {
  auto const kernel = kernel_of(ready);
  result.memory().ledger().add_work("map", 0, block_bytes(result) + bytes_read(ready));
  launch<typename Result::memory_space>(
      "gshard::map", result.local_size(),
      AssignKernel<typename Result::value_type, std::remove_const_t<decltype(kernel)>>{result.data(), kernel});
}

}  // namespace detail

/// Runs a pointwise expression as one kernel. The memory of a deferred tensor in it is reused for the result where its
/// type allows. Throws StateError where a tensor is unset, MeshError and ExtentError where the tensors do not belong
/// together. No communication but that of the deferred tensors.
template <class Function, class... Operands>
auto eval(Map<Function, Operands...> const& expression) {
  auto const ready = detail::prepared(expression);
  using First = detail::FirstTensor<std::remove_const_t<decltype(ready)>>;
  using Value = typename detail::StoredType<std::remove_const_t<decltype(ready)>>::type;
  using Result =
      ShardedTensor<typename First::mesh_type, typename First::spec_type, Value, typename First::memory_space>;
  auto const& first = detail::first_tensor(ready);
  Result result;
  detail::for_each_tensor(ready, [&](auto const& tensor) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(tensor)>, Result>)
      if (!result.is_set() && tensor.is_sole_owner()) result = tensor;
  });
  if (!result.is_set()) result = Result(uninitialized, first.mesh(), first.extents());
  detail::run_into(result, ready);
  return result;
}

/// Computes an expression into a tensor that exists, of the same layout and extents: no memory is allocated for the
/// result.
template <AnyTensor Result, Expression Operand>
void assign(Result const& result, Operand const& expression) {
  auto const ready = detail::prepared(expression);
  using Mistake = detail::AssignMistake<Result, detail::FirstTensor<std::remove_const_t<decltype(ready)>>>;
  if constexpr (std::is_void_v<Mistake>) {
    detail::require_same_shape("assign", {{"result", result}, {"operand 0", detail::first_tensor(ready)}});
    detail::run_into(result, ready);
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
