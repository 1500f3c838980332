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

/// How the window of a pooling moves, one number for each spatial dimension (see Window); without `stride`, windows lie
/// side by side.
template <int Rank>
struct PoolOptions {
  using Sizes = std::array<std::int64_t, static_cast<std::size_t>(Rank)>;
  Sizes window;
  std::optional<Sizes> stride = {};
  Sizes low = detail::all_of<Rank>(0);
  Sizes high = detail::all_of<Rank>(0);
  Sizes dilation = detail::all_of<Rank>(1);
};

/// What an average is taken over: the elements that a window sees, or all its places, of which those outside the tensor
/// hold 0.
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

template <AnyTensor X>
consteval bool check_pool() {
  if constexpr (X::rank < 3 || X::rank > 5) using Refused [[maybe_unused]] = decltype(error::PoolRank<X>{});
  return X::rank >= 3 && X::rank <= 5;
}

/// A pooling of x: its windows and the extents of its result, whose layout is that of x.
template <AnyTensor X>
struct Pooling {
  static constexpr int rank = spatial_rank<X>;
  using T = typename X::value_type;
  using Space = typename X::memory_space;
  using Geometry = PoolGeometry<rank>;
  /// The places in a window are numbered by ints.
  static constexpr std::int64_t largest_window = std::numeric_limits<int>::max();

  std::array<Window, static_cast<std::size_t>(rank)> windows;
  Extents outputs;

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

  auto halo(X const& x) const { return window_halo<X::layout, X, rank>(x, outputs, windows); }
  template <class Number>
  Geometry geometry(X const& x, HaloBlock<X, Number> const& seen, Block const& own) const {
    return {windows, x.extents(), seen.box(), own};
  }

  /// The gradient of x from that of y: `kernel(geometry, seen gradient)` fills what this rank's outputs see, and the
  /// parts are added where they belong.
  template <class Kernel>
  Cotangent<X> input_gradient(X const& x, Block const& own, Kernel const& kernel) const {
    auto const plan = halo(x);
    auto const seen = plan.unset_sums();
    launch<Space>("gshard::pool_gradient", seen.size(), kernel(geometry(x, seen, own), seen.data()));
    return plan.scatter_sum(seen).template reinterpreted<typename Cotangent<X>::spec_type>(x.extents());
  }
};

template <class T, int Rank>
struct MaxPoolGradientOf {
  T const* y_gradient;
  int const* chosen;
  MaxPoolGradient<T, Rank> operator()(PoolGeometry<Rank> const& geometry, Computed<T>* x_gradient) const {
    return {geometry, y_gradient, chosen, x_gradient};
  }
};

template <class T, int Rank>
struct AveragePoolGradientOf {
  bool count_padding;
  T const* y_gradient;
  AveragePoolGradient<T, Rank> operator()(PoolGeometry<Rank> const& geometry, Computed<T>* x_gradient) const {
    return {geometry, count_padding, y_gradient, x_gradient};
  }
};

}  // namespace detail

/// The largest element under each window: x (N, space..., C) to y (N, space'..., C), held as x is; places outside the
/// tensor do not count, and a window without elements gives minus infinity. Of recorded x, the gradient goes to the
/// first of the largest elements. Any of N, space and C may be split. Communication: halos, one all-to-all over the
/// axes that split space. Throws StateError where x is unset, and ExtentError where a window makes no sense.
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

/// The mean under each window, of the elements that it sees (0 of none) or over all its places. Otherwise as max_pool;
/// linear, so of unreduced sums too.
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
