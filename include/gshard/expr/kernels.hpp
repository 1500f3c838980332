// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>

// What a pointwise expression becomes for the device: a tree of function objects that know pointers and numbers only,
// evaluated at a position of the packed blocks. Types name elements and functions, not meshes, which keeps symbols
// short. `at(run, position)` gives the tree that is evaluated at positions of one run of a broadcasting expression
// (broadcast.hpp); `position` is that of the first element of the run.

namespace gshard::detail {

template <class T>
struct LeafKernel {
  T const* data;
  KOKKOS_FUNCTION Computed<T> operator()(std::int64_t position) const { return data[position]; }
  KOKKOS_FUNCTION LeafKernel at(std::int64_t, std::int64_t position) const { return {data + position}; }
};

template <class T>
struct ConstantKernel {
  T value;
  KOKKOS_FUNCTION T operator()(std::int64_t) const { return value; }
  KOKKOS_FUNCTION ConstantKernel at(std::int64_t, std::int64_t) const { return *this; }
};

/// Evaluates its parts at a position, one after the other, and hands the values to a function.
template <class... Parts>
struct KernelPack {
  template <class Function, class... Values>
  KOKKOS_FUNCTION auto call(Function const& function, std::int64_t, Values const&... values) const {
    return function(values...);
  }
  KOKKOS_FUNCTION KernelPack at(std::int64_t, std::int64_t) const { return {}; }
};

template <class Head, class... Tail>
struct KernelPack<Head, Tail...> {
  Head head;
  KernelPack<Tail...> tail;

  template <class Function, class... Values>
  KOKKOS_FUNCTION auto call(Function const& function, std::int64_t position, Values const&... values) const {
    return tail.call(function, position, values..., head(position));
  }
  KOKKOS_FUNCTION auto at(std::int64_t run, std::int64_t position) const {
    auto const first = head.at(run, position);
    auto const rest = tail.at(run, position);
    return joined_pack(first, rest);
  }
};

template <class Head, class... Tail>
KOKKOS_FUNCTION KernelPack<Head, Tail...> joined_pack(Head const& head, KernelPack<Tail...> const& tail) {
  return {head, tail};
}

inline KernelPack<> kernel_pack() { return {}; }
template <class Head, class... Tail>
KernelPack<Head, Tail...> kernel_pack(Head const& head, Tail const&... tail) {
  return {head, kernel_pack(tail...)};
}

template <class Function, class Pack>
struct ApplyKernel {
  Function function;
  Pack pack;
  KOKKOS_FUNCTION auto operator()(std::int64_t position) const { return pack.call(function, position); }
  KOKKOS_FUNCTION auto at(std::int64_t run, std::int64_t position) const {
    auto const parts = pack.at(run, position);
    return ApplyKernel<Function, std::remove_const_t<decltype(parts)>>{function, parts};
  }
};

template <class T, class Kernel>
struct AssignKernel {
  T* result;
  Kernel kernel;
  KOKKOS_FUNCTION void operator()(std::int64_t position) const { result[position] = static_cast<T>(kernel(position)); }
};

}  // namespace gshard::detail
