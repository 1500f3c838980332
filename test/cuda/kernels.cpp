// SPDX-License-Identifier: Apache-2.0
// The forms of kernel that gshard relies on: a named function object, templates on a string, a type and a memory space,
// in place of lambdas.
#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/fixed_string.hpp>
#include <gshard/core/static_vector.hpp>

namespace {

static_assert(std::is_same_v<Kokkos::DefaultExecutionSpace, Kokkos::Cuda>);

struct Plan {
  gshard::Labels left;
  gshard::Labels right;
  bool operator==(Plan const&) const = default;
};

template <gshard::FixedString Subscripts>
consteval Plan parse() {
  Plan plan;
  bool second = false;
  for (char letter : Subscripts.view()) {
    if (letter == ',') second = true;
    else (second ? plan.right : plan.left).push_back(letter);
  }
  return plan;
}

template <class T, class MemorySpace>
struct Scale {
  Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> values;
  gshard::Extents strides;
  T factor;

  KOKKOS_FUNCTION void operator()(std::int64_t i, std::int64_t j) const {
    values(i, j) *= factor + static_cast<T>(strides[0] + gshard::product(strides));
  }
};

template <class T, class MemorySpace>
struct Sum {
  Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> values;

  KOKKOS_FUNCTION void operator()(std::int64_t i, T& sum) const {
    for (std::int64_t j = 0; j < values.extent_int(1); ++j) sum += values(i, j);
  }
};

/// A plan as template argument stays on the host: the kernels know the element type and the memory space alone.
template <gshard::FixedString Subscripts, class T, class MemorySpace>
T scale_and_sum(Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> values) {
  using Space = typename MemorySpace::execution_space;
  constexpr Plan plan = parse<Subscripts>();
  static_assert(plan.left.size() == 2);
  gshard::Extents const extents{static_cast<std::int64_t>(values.extent(0)),
                                static_cast<std::int64_t>(values.extent(1))};
  Kokkos::parallel_for(
      "scale",
      Kokkos::MDRangePolicy<Space, Kokkos::Rank<2>, Kokkos::IndexType<std::int64_t>>({0, 0}, {extents[0], extents[1]}),
      Scale<T, MemorySpace>{values, gshard::packed_strides(extents), T{2}});
  T sum{};
  Kokkos::parallel_reduce("sum", Kokkos::RangePolicy<Space, Kokkos::IndexType<std::int64_t>>(0, extents[0]),
                          Sum<T, MemorySpace>{values}, sum);
  return sum;
}

}  // namespace

/// Instantiates the kernels.
double instantiate() {
  using Space = Kokkos::DefaultExecutionSpace::memory_space;
  return scale_and_sum<"ab,bc", float, Space>(Kokkos::View<float**, Kokkos::LayoutRight, Space>("f", 3, 4)) +
         scale_and_sum<"xy,yz", double, Space>(Kokkos::View<double**, Kokkos::LayoutRight, Space>("d", 3, 4));
}
