// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/spatial/convolution.hpp>
#include <gshard/spatial/kernels/pool.hpp>

namespace gshard {

/// Window of a pooling, one number for each spatial dimension, in elements (see Window). The default `stride` is the
/// window size: without dilation, windows do not overlap.
template <int Rank>
struct PoolOptions {
  using Sizes = std::array<std::int64_t, static_cast<std::size_t>(Rank)>;
  Sizes window;
  std::optional<Sizes> stride = {};
  Sizes low = detail::all_of<Rank>(0);
  Sizes high = detail::all_of<Rank>(0);
  Sizes dilation = detail::all_of<Rank>(1);
};

/// Divisor of an average.
/// elements: the number of elements of the tensor under the window (count_include_pad = False in PyTorch).
/// window: the size of the window; positions outside the tensor count as 0 (count_include_pad = True).
enum class AverageOver { elements, window };

namespace error {

template <class Tensor>
struct PoolRank {
  static_assert(
      always_false<Tensor>,
      "gshard: pooling takes x (N, space..., C) with one, two or three spatial dimensions; give x three to five dimensions");
};

template <class Tensor>
struct PoolOfPartial {
  static_assert(
      always_false<Tensor>,
      "gshard: max_pool of an unreduced sum is not the sum of the maxima; reduce x first, by reshard to a spec without partial");
};

template <class Tensor>
struct AveragePoolOfIntegers {
  static_assert(
      always_false<Tensor>,
      "gshard: average_pool is of floating point, since averages of integers are fractions; cast<float>(x) first");
};

}  // namespace error

namespace detail {

/// Requires one, two or three spatial dimensions at compile time.
template <AnyTensor X>
consteval bool check_pool() {
  if constexpr (X::rank < 3 || X::rank > 5) using Refused [[maybe_unused]] = decltype(error::PoolRank<X>{});
  return X::rank >= 3 && X::rank <= 5;
}

/// Windows and result extents of a pooling of x; the result has the layout of x.
template <AnyTensor X>
struct Pooling {
  static constexpr int rank = spatial_rank<X>;
  using T = typename X::value_type;
  using Space = typename X::memory_space;
  using Geometry = PoolGeometry<rank>;
  /// Positions in a window are stored as int.
  static constexpr std::int64_t largest_window = std::numeric_limits<int>::max();

  std::array<Window, static_cast<std::size_t>(rank)> windows;
  Extents outputs;

  /// Throws StateError if x is unset, ExtentError if the options are invalid.
  Pooling(std::string_view operation, X const& x, PoolOptions<rank> const& options) : outputs(x.extents()) {
    require_set(operation, {{"x", x}});
    Extents sizes;
    for (std::int64_t size : options.window) sizes.push_back(size);
    if (std::ranges::all_of(sizes, [](std::int64_t size) { return size >= 0; }) && !fits(sizes, largest_window))
      throw ExtentError(concat("pooling of '", x.name(), "': a window of extents ", text_of(sizes), " has more than ",
                               largest_window, " places"));
    windows = windows_of<rank>({.stride = options.stride.value_or(options.window),
                                .low = options.low,
                                .high = options.high,
                                .window_dilation = options.dilation},
                               sizes);
    for (int d = 0; d < rank; ++d) {
      std::size_t const i = static_cast<std::size_t>(d);
      outputs[d + 1] = checked_outputs(operation, windows[i], i, x.extent(d + 1));
    }
  }

  /// Returns the halo plan under which each rank computes its block of the result; `x` has the shape of the operand.
  template <class Shape>
  auto halo(Shape const& x) const {
    return window_halo<X::layout, X, rank>(x, outputs, windows);
  }
  Geometry geometry(Extents const& extents, Block const& seen, Block const& own) const {
    return {windows, extents, seen, own};
  }

  /// Returns the gradient of x, whose shape is `x`. The kernel returned by `kernel(geometry, data)` fills the gradient
  /// of the box that this rank's outputs see, `own`; scatter_sum adds the boxes of all ranks.
  template <class Shape, class Kernel>
  Cotangent<X> input_gradient(Shape const& x, Block const& own, Kernel const& kernel) const {
    auto const plan = halo(x);
    auto const seen = plan.unset_sums();
    x.mesh().memory().ledger().add_work(
        "pool gradient", 0,
        saturated_product(saturated_sum(product(plan.own().extents), product(own.extents)), sizeof(T)));
    launch<Space>("gshard::pool_gradient", seen.size(), kernel(geometry(x.extents(), seen.box(), own), seen.data()));
    auto const sum = plan.scatter_sum(seen.data());
    return sum.template reinterpreted<typename Cotangent<X>::spec_type>(sum.extents());
  }
};

/// Makes the kernel of max_pool's gradient.
template <class T, int Rank>
struct MaxPoolGradientOf {
  T const* y_gradient;
  int const* chosen;
  MaxPoolGradient<T, Rank> operator()(PoolGeometry<Rank> const& geometry, Computed<T>* x_gradient) const {
    return {geometry, y_gradient, chosen, x_gradient};
  }
};

/// Makes the kernel of average_pool's gradient.
template <class T, int Rank>
struct AveragePoolGradientOf {
  bool count_padding;
  T const* y_gradient;
  AveragePoolGradient<T, Rank> operator()(PoolGeometry<Rank> const& geometry, Computed<T>* x_gradient) const {
    return {geometry, count_padding, y_gradient, x_gradient};
  }
};

/// Maximum under each window, as an operation with a gradient.
template <int Rank>
struct MaxPooling {
  PoolOptions<Rank> options;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    [[maybe_unused]] constexpr bool is_fine = check_pool<Tensor>();
    if constexpr (!Tensor::layout.partial.empty())
      using Refused [[maybe_unused]] = decltype(error::PoolOfPartial<Tensor>{});
    using T = typename Tensor::value_type;
    using Space = typename Tensor::memory_space;
    Pooling<Tensor> const pooling("max_pool", x, options);
    with_layout<Tensor, Tensor::layout> const y(uninitialized, x.mesh(), pooling.outputs);
    ShardedTensor<typename Tensor::mesh_type, typename Cotangent<Tensor>::spec_type, int, Space> const chosen(
        uninitialized, x.mesh(), pooling.outputs);
    record_kernel("max_pool", y, chosen, x);
    // The border value is never read: the kernels skip positions outside the tensor.
    auto const seen = pooling.halo(x).gather(x, T(0));
    launch<Space>(
        "gshard::max_pool", y.local_size(),
        MaxPool<T, Rank>{pooling.geometry(x.extents(), seen.box(), y.block()), seen.data(), y.data(), chosen.data()});
    return WithResiduals{y, std::tuple{pooling, chosen}};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    using T = typename std::remove_cvref_t<decltype(gradient)>::value_type;
    auto const& [x] = saved.operands;
    auto const& [pooling, chosen] = saved.residuals;
    auto const& [dx] = gradients;
    dx.add(pooling.input_gradient(x, gradient.block(), MaxPoolGradientOf<T, Rank>{gradient.data(), chosen.data()}));
  }
};

/// Mean under each window, as an operation with a gradient.
template <int Rank>
struct AveragePooling {
  PoolOptions<Rank> options;
  AverageOver over;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    [[maybe_unused]] constexpr bool is_fine = check_pool<Tensor>();
    using T = typename Tensor::value_type;
    if constexpr (std::is_integral_v<T>)
      using Refused [[maybe_unused]] = decltype(error::AveragePoolOfIntegers<Tensor>{});
    Pooling<Tensor> const pooling("average_pool", x, options);
    with_layout<Tensor, Tensor::layout> const y(uninitialized, x.mesh(), pooling.outputs);
    record_kernel("average_pool", y, x);
    auto const seen = pooling.halo(x).gather(x, T(0));
    launch<typename Tensor::memory_space>("gshard::average_pool", y.local_size(),
                                          AveragePool<T, Rank>{pooling.geometry(x.extents(), seen.box(), y.block()),
                                                               over == AverageOver::window, seen.data(), y.data()});
    return WithResiduals{y, pooling};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    using T = typename std::remove_cvref_t<decltype(gradient)>::value_type;
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    dx.add(saved.residuals.input_gradient(
        x, gradient.block(), AveragePoolGradientOf<T, Rank>{over == AverageOver::window, gradient.data()}));
  }
};

}  // namespace detail

/// Returns the maximum under each window. Positions outside the tensor are ignored; a window without elements gives
/// minus infinity (the lowest number for integers). NaN propagates.
/// Shapes: x (N, space..., C) with one to three spatial dimensions, result (N, space'..., C) in the layout of x. Any
/// dimension may be split; an unreduced sum does not compile.
/// The gradient of a window goes to its first maximum.
/// Communication: halos by one all-to-all over the axes that split the spatial dimensions, none if no rank lacks an
/// element; the gradient sends its halos back the same way.
/// Throws StateError if x is unset or its tape has run; ExtentError if a window, stride or dilation is below 1, a
/// window has more than 2^31 - 1 positions, or positions might exceed 64 bits (see Window::max_size).
template <TensorOperand X>
auto max_pool(X&& x, PoolOptions<detail::spatial_rank<detail::ValueTensor<X>>> const& options) {
  return Differentiable(detail::MaxPooling<detail::spatial_rank<detail::ValueTensor<X>>>{options})(std::forward<X>(x));
}

/// Returns the mean under each window; `over` chooses the divisor. A window without elements gives 0.
/// Shapes, communication and exceptions are those of max_pool. Linear: x may be an unreduced sum, the result is then
/// one too. Integer elements do not compile.
template <TensorOperand X>
auto average_pool(X&& x, PoolOptions<detail::spatial_rank<detail::ValueTensor<X>>> const& options,
                  AverageOver over = AverageOver::elements) {
  return Differentiable(detail::AveragePooling<detail::spatial_rank<detail::ValueTensor<X>>>{options, over})(
      std::forward<X>(x));
}

}  // namespace gshard
