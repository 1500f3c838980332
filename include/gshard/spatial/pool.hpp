// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

#include <gshard/autodiff/recorded.hpp>
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
      "gshard: average_pool is of floating point, since averages of integers are fractions; convert<float>(x) first");
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

  /// Returns the halo plan under which each rank computes its block of the result.
  auto halo(X const& x) const { return window_halo<X::layout, X, rank>(x, outputs, windows); }
  template <class Number>
  Geometry geometry(X const& x, HaloBlock<X, Number> const& seen, Block const& own) const {
    return {windows, x.extents(), seen.box(), own};
  }

  /// Returns the gradient of x. The kernel returned by `kernel(geometry, data)` fills the gradient of the box that this
  /// rank's outputs see, `own`; scatter_sum adds the boxes of all ranks.
  template <class Kernel>
  Cotangent<X> input_gradient(X const& x, Block const& own, Kernel const& kernel) const {
    auto const plan = halo(x);
    auto const seen = plan.unset_sums();
    x.memory().ledger().add_work(
        "pool gradient", 0,
        saturated_sum(block_bytes(x), saturated_product(product(own.extents), sizeof(typename X::value_type))));
    launch<Space>("gshard::pool_gradient", seen.size(), kernel(geometry(x, seen, own), seen.data()));
    return plan.scatter_sum(seen).template reinterpreted<typename Cotangent<X>::spec_type>(x.extents());
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

}  // namespace detail

/// Returns the maximum under each window. Positions outside the tensor are ignored; a window without elements gives
/// minus infinity (the lowest number for integers). NaN propagates.
/// Shapes: x (N, space..., C) with one to three spatial dimensions, result (N, space'..., C) in the layout of x. Any
/// dimension may be split; an unreduced sum does not compile.
/// The gradient of a recorded x goes to the first maximum of each window.
/// Communication: halos by one all-to-all over the axes that split the spatial dimensions, none if no rank lacks an
/// element; the gradient sends its halos back the same way.
/// Throws StateError if x is unset or its tape has run; ExtentError if a window, stride or dilation is below 1, a
/// window has more than 2^31 - 1 positions, or positions might exceed 64 bits (see Window::max_size).
template <class X>
  requires AnyTensor<X> || AnyVar<X>
auto max_pool(X const& x, PoolOptions<detail::spatial_rank<detail::ValueTensor<X>>> const& options) {
  using Tensor = detail::ValueTensor<X>;
  [[maybe_unused]] constexpr bool is_fine = detail::check_pool<Tensor>();
  if constexpr (!Tensor::layout.partial.empty())
    using Refused [[maybe_unused]] = decltype(error::PoolOfPartial<Tensor>{});
  using Pooling = detail::Pooling<Tensor>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  Tensor const& value = detail::value_of(x);
  if constexpr (AnyVar<X>) x.tape().require_unrun();
  Pooling const pooling("max_pool", value, options);
  with_layout<Tensor, Tensor::layout> const y(uninitialized, value.mesh(), pooling.outputs);
  ShardedTensor<typename Tensor::mesh_type, typename Cotangent<Tensor>::spec_type, int, Space> const chosen(
      uninitialized, value.mesh(), pooling.outputs);
  detail::record_kernel("max_pool", y, chosen, value);
  // The border value is never read: the kernels skip positions outside the tensor.
  auto const seen = pooling.halo(value).gather(T(0));
  detail::launch<Space>("gshard::max_pool", y.local_size(),
                        detail::MaxPool<T, Pooling::rank>{pooling.geometry(value, seen, y.block()), seen.data(),
                                                          y.data(), chosen.data()});
  if constexpr (AnyVar<X>) {
    return x.tape().record(y, [slot = x.slot(), value, pooling, chosen](Cotangent<Tensor> const& gradient) {
      slot.add(pooling.input_gradient(value, gradient.block(),
                                      detail::MaxPoolGradientOf<T, Pooling::rank>{gradient.data(), chosen.data()}));
    });
  } else {
    return y;
  }
}

/// Returns the mean under each window; `over` chooses the divisor. A window without elements gives 0.
/// Shapes, communication and exceptions are those of max_pool. Linear: x may be an unreduced sum, the result is then
/// one too. Integer elements do not compile.
template <class X>
  requires AnyTensor<X> || AnyVar<X>
auto average_pool(X const& x, PoolOptions<detail::spatial_rank<detail::ValueTensor<X>>> const& options,
                  AverageOver over = AverageOver::elements) {
  using Tensor = detail::ValueTensor<X>;
  [[maybe_unused]] constexpr bool is_fine = detail::check_pool<Tensor>();
  if constexpr (std::is_integral_v<typename Tensor::value_type>)
    using Refused [[maybe_unused]] = decltype(error::AveragePoolOfIntegers<Tensor>{});
  using Pooling = detail::Pooling<Tensor>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  Tensor const& value = detail::value_of(x);
  if constexpr (AnyVar<X>) x.tape().require_unrun();
  Pooling const pooling("average_pool", value, options);
  bool const count_padding = over == AverageOver::window;
  with_layout<Tensor, Tensor::layout> const y(uninitialized, value.mesh(), pooling.outputs);
  detail::record_kernel("average_pool", y, value);
  auto const seen = pooling.halo(value).gather(T(0));
  detail::launch<Space>("gshard::average_pool", y.local_size(),
                        detail::AveragePool<T, Pooling::rank>{pooling.geometry(value, seen, y.block()), count_padding,
                                                              seen.data(), y.data()});
  if constexpr (AnyVar<X>) {
    return x.tape().record(y, [slot = x.slot(), value, pooling, count_padding](Cotangent<Tensor> const& gradient) {
      slot.add(pooling.input_gradient(value, gradient.block(),
                                      detail::AveragePoolGradientOf<T, Pooling::rank>{count_padding, gradient.data()}));
    });
  } else {
    return y;
  }
}

}  // namespace gshard
