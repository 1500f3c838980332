// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/comm/all_reduce.hpp>
#include <gshard/expr/expression.hpp>
#include <gshard/expr/functions.hpp>

namespace gshard {

namespace detail {

/// Adds, or takes the larger or smaller; sums of float are kept in double.
template <comm::Reduction Kind, class T>
struct Reducing {
  using accumulator = std::conditional_t<Kind == comm::Reduction::sum && std::is_floating_point_v<T>, double, T>;

  KOKKOS_FUNCTION static void combine(accumulator& into, accumulator value) {
    if constexpr (Kind == comm::Reduction::sum) into += value;
    else if constexpr (Kind == comm::Reduction::maximum) into = value > into ? value : into;
    else into = value < into ? value : into;
  }

  KOKKOS_FUNCTION static constexpr accumulator identity() {
    if constexpr (Kind == comm::Reduction::sum) return 0;
    else if constexpr (Kind == comm::Reduction::maximum) return lowest();
    else return highest();
  }

 private:
  KOKKOS_FUNCTION static constexpr accumulator lowest() {
    if constexpr (std::is_floating_point_v<T>) return -Kokkos::Experimental::infinity_v<T>;
    else return Kokkos::Experimental::finite_min_v<T>;
  }
  KOKKOS_FUNCTION static constexpr accumulator highest() {
    if constexpr (std::is_floating_point_v<T>) return Kokkos::Experimental::infinity_v<T>;
    else return Kokkos::Experimental::finite_max_v<T>;
  }
};

template <class Rule, class Kernel>
struct ReduceKernel {
  using value_type = typename Rule::accumulator;
  Kernel kernel;

  KOKKOS_FUNCTION void operator()(std::int64_t position, value_type& partial) const {
    Rule::combine(partial, static_cast<value_type>(kernel(position)));
  }
  KOKKOS_FUNCTION void join(value_type& into, value_type const& other) const { Rule::combine(into, other); }
  KOKKOS_FUNCTION void init(value_type& partial) const { partial = Rule::identity(); }
};

/// What distributes the elements of a tensor over ranks, once each: the split axes, and for sums the partial ones.
template <class Tensor>
constexpr AxisSet summed_axes() {
  return Tensor::layout.split() | Tensor::layout.partial;
}

/// Reduces all elements of an expression to one number, the same on every rank. One kernel, one all-reduce of one number over the axes that
/// split the tensor.
template <comm::Reduction Kind, class Expression>
auto reduce_all(Expression const& expression) {
  auto const ready = prepared(expression);
  using Ready = std::remove_const_t<decltype(ready)>;
  using First = FirstTensor<Ready>;
  if constexpr (Kind != comm::Reduction::sum && !First::layout.partial.empty()) (void)sizeof(error::NonlinearOfPartialSum<Ready, First>);
  using Rule = Reducing<Kind, ValueOf<Ready>>;
  auto const& first = first_tensor(ready);
  auto const kernel = kernel_of(ready);
  auto result = launch_reduce<typename First::memory_space>("gshard::reduce", first.local_size(),
                                                            ReduceKernel<Rule, std::remove_const_t<decltype(kernel)>>{kernel});
  comm::all_reduce(first.mesh().state().group(summed_axes<First>()), &result, 1, Kind);
  return result;
}

template <class Expression>
using ReadyOf = std::remove_cvref_t<decltype(prepared(std::declval<Expression const&>()))>;

/// A scalar tensor of this value, like the tensors of an expression otherwise.
template <AnyTensor Like, class Value>
auto scalar_like(Like const& like, Value value) {
  ShardedTensor<typename Like::mesh_type, Spec<>, typename Like::value_type, typename Like::memory_space> scalar(uninitialized, like.mesh(), Extents{});
  fill_elements<typename Like::memory_space>(scalar.data(), 1, static_cast<typename Like::value_type>(value));
  return scalar;
}

}  // namespace detail

/// The sum of all elements. Of an unreduced sum too. Communicates one number over the axes that split the tensor.
template <Expression Operand>
auto sum(Operand const& x) { return detail::reduce_all<comm::Reduction::sum>(x); }

/// The largest element; minus infinity of none.
template <Expression Operand>
auto maximum(Operand const& x) { return detail::reduce_all<comm::Reduction::maximum>(x); }

/// The smallest element; infinity of none.
template <Expression Operand>
auto minimum(Operand const& x) { return detail::reduce_all<comm::Reduction::minimum>(x); }

/// The mean over the global number of elements, however unevenly the ranks hold them.
template <Expression Operand>
auto mean(Operand const& x) {
  auto const ready = detail::materialized(x);
  return detail::reduce_all<comm::Reduction::sum>(ready) / static_cast<double>(detail::first_tensor(ready).size());
}

/// The Euclidean norm of all elements.
template <Expression Operand>
auto norm(Operand const& x) { return Kokkos::sqrt(detail::reduce_all<comm::Reduction::sum>(square(x))); }

}  // namespace gshard
