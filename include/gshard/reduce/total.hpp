// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/local/rules.hpp>

namespace gshard {

namespace error {

template <class Tensor>
struct ItemOfMany {
  static_assert(
      always_false<Tensor>,
      "gshard: item reads a scalar; reduce the tensor first, as item(shard<Spec<>>(sum<0, 1>(x))) does, or read one element by x.at(...)");
};

}  // namespace error

namespace detail {

/// Reduces all elements that this rank holds of an expression to one number on the host.
template <class Operation, class Ready>
auto local_total(Ready const& ready) {
  using Space = typename FirstTensor<Ready>::memory_space;
  using Rule = RuleOf<Operation, ValueOf<Ready>>;
  using Accumulator = typename Rule::accumulator;
  auto const& first = first_tensor(ready);
  Accumulator total = Rule::identity();
  if (first.local_size() == 0) return total;
  first.memory().ledger().add_work("reduce", 0, bytes_read(ready));
  auto const kernel = kernel_of(ready);
  Scratch<Space> scratch(first.memory());
  Accumulator* const result = scratch.template get<Accumulator>(1);
  fold<Space, Rule>("gshard::total", first.memory(), fold_loops({first.local_size()}, {true}),
                    ElementTerm<Operation, Accumulator, std::remove_const_t<decltype(kernel)>>{kernel},
                    StoreInRow<Accumulator>{result});
  copy_to_host<Space>(&total, result, 1);
  return total;
}

/// Reduces all elements of an expression to one number, the same on every rank: one all-reduce of it over the axes that
/// split the tensor, or over which it is an unreduced sum.
template <class Operation, class Ready>
auto total(Ready const& ready) {
  using First = FirstTensor<Ready>;
  if constexpr (!Operation::is_linear) refuse_partial<Ready>();
  auto result = local_total<Operation>(ready);
  comm::all_reduce(first_tensor(ready).mesh_state().group(First::layout.split() | First::layout.partial), &result, 1,
                   Operation::kind);
  return result;
}

/// A scalar tensor of this value, like the tensors of an expression otherwise.
template <AnyTensor Like, class Value>
auto scalar_like(Like const& like, Value value) {
  ShardedTensor<typename Like::mesh_type, Spec<>, typename Like::value_type, typename Like::memory_space> scalar(
      uninitialized, like.mesh(), Extents{});
  fill_elements<typename Like::memory_space>(scalar.data(), 1, static_cast<typename Like::value_type>(value));
  return scalar;
}

}  // namespace detail

/// The sum of all elements, as a number on the host: a double, or of integers a std::int64_t; of an unreduced sum too.
/// Communicates one number over the axes that split the tensor, as do the functions below.
template <Expression Operand>
auto sum(Operand&& x) {
  return detail::total<detail::Summing>(detail::prepared(std::forward<Operand>(x), "sum"));
}

/// The largest element; of none, minus infinity, or the lowest integer. NaN where an element is.
template <Expression Operand>
auto maximum(Operand&& x) {
  return detail::total<detail::Choosing<comm::Reduction::maximum>>(
      detail::prepared(std::forward<Operand>(x), "maximum"));
}

/// The smallest element; of none, infinity, or the highest integer. NaN where an element is.
template <Expression Operand>
auto minimum(Operand&& x) {
  return detail::total<detail::Choosing<comm::Reduction::minimum>>(
      detail::prepared(std::forward<Operand>(x), "minimum"));
}

/// The mean over the global number of elements, however unevenly the ranks hold them; NaN of none.
template <Expression Operand>
double mean(Operand&& x) {
  auto const& ready = detail::prepared(std::forward<Operand>(x), "mean");
  return detail::total<detail::Averaging>(ready) / static_cast<double>(detail::first_tensor(ready).size());
}

/// The Euclidean norm of all elements. Squares are added up in double: elements up to 1e154 will do.
template <Expression Operand>
double norm(Operand&& x) {
  return Kokkos::sqrt(detail::total<detail::Norming>(detail::prepared(std::forward<Operand>(x), "norm")));
}

// Dimensions in brackets: compile errors that say where they go. maximum(x, 0) and minimum(x, 0) are elementwise
// (expr/arithmetic.hpp).
template <Expression Operand, std::integral Dimension>
auto sum(Operand&& x, Dimension) {
  using Refused [[maybe_unused]] = decltype(error::DimensionIsAnArgument<Dimension>{});
  return sum(std::forward<Operand>(x));
}
template <Expression Operand, std::integral Dimension>
auto mean(Operand&& x, Dimension) {
  using Refused [[maybe_unused]] = decltype(error::DimensionIsAnArgument<Dimension>{});
  return mean(std::forward<Operand>(x));
}
template <Expression Operand, std::integral Dimension>
auto norm(Operand&& x, Dimension) {
  using Refused [[maybe_unused]] = decltype(error::DimensionIsAnArgument<Dimension>{});
  return norm(std::forward<Operand>(x));
}

/// Returns the element of a scalar (rank 0) on the host: a float for BFloat16. Also of a recorded tensor. Fences the
/// kernels on the memory space; 0 in AbstractSpace. Communication: none.
/// Does not compile for an unreduced sum. Throws StateError if x is unset.
template <TensorOrVar X>
auto item(X const& x) {
  using Tensor = detail::ValueTensor<X>;
  if constexpr (Tensor::rank != 0) {
    using Refused [[maybe_unused]] = decltype(error::ItemOfMany<Tensor>{});
    return detail::Computed<typename Tensor::value_type>{};
  } else {
    return static_cast<detail::Computed<typename Tensor::value_type>>(detail::value_of(x).at());
  }
}

}  // namespace gshard
