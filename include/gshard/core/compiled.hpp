// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>

// Macros for function templates that depend on the element type and the memory space alone. The library
// gshard::compiled holds their instances for Kokkos' default memory space. A program that links it defines
// GSHARD_USE_COMPILED; the macros then declare the instances `extern template`, and the program does not compile them
// again. Without it the macros are empty.
//
// A macro follows the definition of a function template `name<MemorySpace, T, ...>`, in the same namespace:
//   GSHARD_COMPILED(name, ...)         T is float, double, BFloat16, std::int32_t or std::int64_t
//   GSHARD_COMPILED_FLOATS(name, ...)  T is float, double or BFloat16
//   GSHARD_COMPILED_WIDE(name, ...)    T is float or double; for templates over the computed type, float for BFloat16
// Further arguments are the template arguments after T. The function must not be `inline`: compilers instantiate inline
// functions in spite of the declaration. `decltype` gives the type of the function without repeating its parameters.

#if defined(GSHARD_COMPILED_ELEMENT)  // in gshard::compiled, whose source files define the instances of one T each

#define GSHARD_COMPILED(name, ...)                                                                             \
  template decltype(name<::gshard::detail::CompiledSpace, GSHARD_COMPILED_ELEMENT __VA_OPT__(, ) __VA_ARGS__>) \
      name<::gshard::detail::CompiledSpace, GSHARD_COMPILED_ELEMENT __VA_OPT__(, ) __VA_ARGS__>;
#if defined(GSHARD_COMPILED_ELEMENT_IS_FLOAT)
#define GSHARD_COMPILED_FLOATS(name, ...) GSHARD_COMPILED(name __VA_OPT__(, ) __VA_ARGS__)
#else
#define GSHARD_COMPILED_FLOATS(name, ...)
#endif
#if defined(GSHARD_COMPILED_ELEMENT_IS_WIDE)
#define GSHARD_COMPILED_WIDE(name, ...) GSHARD_COMPILED(name __VA_OPT__(, ) __VA_ARGS__)
#else
#define GSHARD_COMPILED_WIDE(name, ...)
#endif

#elif defined(GSHARD_USE_COMPILED)

#define GSHARD_COMPILED_INSTANCE(name, T, ...)                                                  \
  extern template decltype(name<::gshard::detail::CompiledSpace, T __VA_OPT__(, ) __VA_ARGS__>) \
      name<::gshard::detail::CompiledSpace, T __VA_OPT__(, ) __VA_ARGS__>;
#define GSHARD_COMPILED_WIDE(name, ...)                            \
  GSHARD_COMPILED_INSTANCE(name, float __VA_OPT__(, ) __VA_ARGS__) \
  GSHARD_COMPILED_INSTANCE(name, double __VA_OPT__(, ) __VA_ARGS__)
#define GSHARD_COMPILED_FLOATS(name, ...)               \
  GSHARD_COMPILED_WIDE(name __VA_OPT__(, ) __VA_ARGS__) \
  GSHARD_COMPILED_INSTANCE(name, ::gshard::BFloat16 __VA_OPT__(, ) __VA_ARGS__)
#define GSHARD_COMPILED(name, ...)                                          \
  GSHARD_COMPILED_FLOATS(name __VA_OPT__(, ) __VA_ARGS__)                   \
  GSHARD_COMPILED_INSTANCE(name, ::std::int32_t __VA_OPT__(, ) __VA_ARGS__) \
  GSHARD_COMPILED_INSTANCE(name, ::std::int64_t __VA_OPT__(, ) __VA_ARGS__)

#else

#define GSHARD_COMPILED(name, ...)
#define GSHARD_COMPILED_FLOATS(name, ...)
#define GSHARD_COMPILED_WIDE(name, ...)

#endif

namespace gshard::detail {

/// Memory space of the instances in the library gshard::compiled.
using CompiledSpace = Kokkos::DefaultExecutionSpace::memory_space;

}  // namespace gshard::detail
