// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <gshard/core/checked.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/spatial/halo.hpp>
#include <gshard/spatial/kernels/convolve.hpp>

namespace gshard {

namespace detail {

/// Returns an array of `Rank` equal values.
template <int Rank>
constexpr std::array<std::int64_t, static_cast<std::size_t>(Rank)> all_of(std::int64_t value) {
  std::array<std::int64_t, static_cast<std::size_t>(Rank)> result{};
  result.fill(value);
  return result;
}

}  // namespace detail

/// Strides, padding and dilations of a convolution, one number for each spatial dimension, in elements (see Window).
/// `low` and `high` are the zeros around the dilated base; negative ones crop it.
template <int Rank>
struct ConvolutionOptions {
  using Sizes = std::array<std::int64_t, static_cast<std::size_t>(Rank)>;
  Sizes stride = detail::all_of<Rank>(1);
  Sizes low = detail::all_of<Rank>(0);
  Sizes high = detail::all_of<Rank>(0);
  Sizes window_dilation = detail::all_of<Rank>(1);
  Sizes base_dilation = detail::all_of<Rank>(1);
};

/// The subscripts of the einsum by which a convolution of `Rank` spatial dimensions is planned: "nxyi,abio->nxyo" for x
/// (N, X, Y, I) and w (A, B, I, O).
template <int Rank>
inline constexpr FixedString convolution_subscripts = "nxi,aio->nxo";
template <>
inline constexpr FixedString convolution_subscripts<2> = "nxyi,abio->nxyo";
template <>
inline constexpr FixedString convolution_subscripts<3> = "nxyzi,abcio->nxyzo";

namespace error {

template <class Tensor>
struct ConvolutionRank {
  static_assert(
      always_false<Tensor>,
      "gshard: a convolution takes x (N, space..., I) and w (window..., I, O) with one, two or three spatial dimensions; give x and w as many dimensions");
};

template <class Tensor>
struct ConvolutionWindowSplit {
  static_assert(
      always_false<Tensor>,
      "gshard: the window of a convolution is whole on every rank; leave the first dimensions of w `_`, and split batch, space or channels instead");
};

}  // namespace error

namespace detail {

/// Number of spatial dimensions of x (N, space..., C), clamped to [1, 3]: keeps other code well formed after a tensor
/// of another rank has been refused.
template <AnyTensor X>
inline constexpr int spatial_rank = X::rank < 3   ? 1
                                    : X::rank > 5 ? 3
                                                  : X::rank - 2;

/// Checks ranks and the layout of the window at compile time.
template <AnyTensor X, AnyTensor W>
consteval bool check_convolution() {
  constexpr int rank = spatial_rank<X>;
  if constexpr (X::rank != rank + 2 || W::rank != X::rank) {
    using Refused [[maybe_unused]] = decltype(error::ConvolutionRank<X>{});
    return false;
  } else {
    constexpr bool whole = [] {
      bool result = true;
      for (int d = 0; d < rank; ++d) result = result && W::layout.dimensions[d].empty();
      return result;
    }();
    if constexpr (!whole) using Refused [[maybe_unused]] = decltype(error::ConvolutionWindowSplit<W>{});
    return whole;
  }
}

/// Returns the number of outputs of a window over `extent` elements of spatial dimension `dimension`.
/// Throws ExtentError if window, stride or a dilation is below 1, or positions might exceed 64 bits (Window::max_size).
inline std::int64_t checked_outputs(std::string_view operation, Window const& window, std::size_t dimension,
                                    std::int64_t extent) {
  auto const described = [&] {
    return concat(operation, ": spatial dimension ", dimension, ", ", extent, " elements, has window ", window.size,
                  ", stride ", window.stride, ", padding ", window.low, " and ", window.high, ", window dilation ",
                  window.dilation, ", base dilation ", window.base_dilation);
  };
  constexpr std::int64_t most = Window::max_size;
  for (std::int64_t const number : {window.size, window.stride, window.dilation, window.base_dilation})
    if (number < 1) throw ExtentError(described() + "; window, stride and dilations are at least 1");
  if (window.stride > most || window.low < -most || window.low > most || window.high < -most || window.high > most ||
      window.size > most / window.dilation || extent > most / window.base_dilation)
    throw ExtentError(described() +
                      "; stride, padding, window times dilation and elements times dilation are at most 2^59");
  return window.outputs(extent);
}

/// Returns the windows of a convolution; `weights` are the extents of w, which begin with the window sizes.
template <int Rank>
std::array<Window, static_cast<std::size_t>(Rank)> windows_of(ConvolutionOptions<Rank> const& options,
                                                              Extents const& weights) {
  std::array<Window, static_cast<std::size_t>(Rank)> windows;
  for (std::size_t d = 0; d < static_cast<std::size_t>(Rank); ++d)
    windows[d] = {weights[static_cast<int>(d)], options.stride[d],       options.low[d], options.high[d],
                  options.window_dilation[d],   options.base_dilation[d]};
  return windows;
}

/// Returns the box of x that the rank at given coordinates needs to compute its block of y. Dimensions N and C keep the
/// rank's own block of x.
template <AnyTensor X, Layout Outputs, int Rank>
struct SeenByOutputs {
  X x;
  Extents outputs;
  std::array<Window, static_cast<std::size_t>(Rank)> windows;

  Block operator()(std::vector<int> const& coordinates) const {
    MeshState const& mesh = x.mesh_state();
    Block const own = block_of(Outputs, outputs, mesh, coordinates);
    Block seen = block_of(X::layout, x.extents(), mesh, coordinates);
    for (int d = 0; d < Rank; ++d) {
      Range const range = needed_range(windows[static_cast<std::size_t>(d)],
                                       {own.offsets[d + 1], own.offsets[d + 1] + own.extents[d + 1]});
      seen.offsets[d + 1] = range.begin;
      seen.extents[d + 1] = range.size();
    }
    return seen;
  }
};

/// Returns the axes that split the spatial dimensions of x.
template <AnyTensor X>
constexpr AxisSet spatial_axes() {
  AxisSet axes;
  for (int d = 1; d + 1 < X::rank; ++d) axes |= set_of(X::layout.dimensions[d]);
  return axes;
}

/// Returns the halo plan under which each rank computes its block of `outputs`, held as layout `Outputs`.
template <Layout Outputs, AnyTensor X, int Rank>
auto window_halo(X const& x, Extents const& outputs,
                 std::array<Window, static_cast<std::size_t>(Rank)> const& windows) {
  using Seen = SeenByOutputs<X, Outputs, Rank>;
  return HaloPlan<X, Seen>(x, spatial_axes<X>(), Seen{x, outputs, windows});
}

/// A convolution with its einsum plan: checks extents, then runs the forward pass. The gradient reuses it.
template <class Plan, AnyTensor X, AnyTensor W>
struct ConvolutionRun {
  static constexpr int rank = X::rank - 2;
  using T = typename X::value_type;
  using Number = Computed<T>;
  using Space = typename X::memory_space;
  using PlannedInput = with_layout<X, Plan::plan.operands[0]>;
  using PlannedWeights = with_layout<W, Plan::plan.operands[1]>;
  using Produced = with_layout<X, Plan::plan.produced>;

  ConvolutionOptions<rank> options;
  Extents outputs;
  std::array<Window, static_cast<std::size_t>(rank)> windows;

  /// Computes the extents of the result. Throws StateError, MeshError or ExtentError.
  ConvolutionRun(ConvolutionOptions<rank> const& given, X const& x, W const& w)
      : options(given),
        outputs(result_extents({convolution_subscripts<rank>.view(), "convolution"}, Plan::subscripts,
                               std::array{&x.handle(), &w.handle()})),
        windows(windows_of<rank>(given, w.extents())) {
    for (int d = 0; d < rank; ++d) {
      std::size_t const i = static_cast<std::size_t>(d);
      outputs[d + 1] = checked_outputs("convolution", windows[i], i, x.extent(d + 1));
    }
  }

  auto halo(PlannedInput const& x) const {
    return window_halo<Plan::plan.produced, PlannedInput, rank>(x, outputs, windows);
  }

  /// Returns this rank's part of the convolution.
  template <class Seen>
  LocalConvolution<Number, rank> local(HaloBlock<PlannedInput, Seen> const& seen, Block const& own,
                                       PlannedWeights const& w) const {
    return {windows, seen.box(), own, w.local_extents()};
  }

  /// Enters one contraction over all windows into the ledger: two flops for each multiply-add.
  template <AnyTensor Outputs, class Seen>
  void record(char const* operation, Outputs const& y, HaloBlock<PlannedInput, Seen> const& seen,
              PlannedWeights const& w) const {
    std::int64_t products = saturated_product(y.local_size(), w.local_extent(rank));
    for (int d = 0; d < rank; ++d) products = saturated_product(products, w.local_extent(d));
    std::int64_t const inputs = saturated_product(product(seen.box().extents), static_cast<std::int64_t>(sizeof(T)));
    y.memory().ledger().add_work(operation, saturated_product(2, products),
                                 saturated_sum(block_bytes(y), inputs, block_bytes(w)));
  }

  /// Returns the result in the layout of the plan.
  auto forward(X const& x, W const& w) const {
    Kokkos::Profiling::ScopedRegion const region("gshard::convolution");
    auto const weights = reshard_or_share<typename PlannedWeights::spec_type>(w);
    auto const seen = halo(reshard_or_share<typename PlannedInput::spec_type>(x)).gather(T(0));
    Produced y(uninitialized, x.mesh(), outputs);
    record("convolution", y, seen, weights);
    Scratch<Space> scratch(x.memory());
    auto const elements = widened_elements<Space>(seen.data(), seen.size(), scratch);
    auto const factors = widened_elements<Space>(weights.data(), weights.local_size(), scratch);
    compute_rounded<Space>(y.data(), y.local_size(), scratch, [&](Number* results) {
      local(seen, y.block(), weights).template forward<Space>(elements, factors, results, scratch);
    });
    return reshard<spec_of<typename X::mesh_type, Plan::plan.result>>(std::move(y));
  }
};

}  // namespace detail

/// Deferred convolution, made by `convolution`. Like an Einsum, it runs when its result spec is known: on conversion to
/// a tensor type or `shard<Spec>(...)`, which declare the spec, or on `eval(...)`, which propagates it.
template <class X, class W>
class Convolution : public detail::UnevaluatedOperation {
 public:
  static constexpr bool is_deferred = true;
  using Input = detail::OperandTensor<X>;
  using Weights = detail::OperandTensor<W>;
  static constexpr int rank = detail::spatial_rank<Input>;

  /// Stores the operands; evaluates those that are unevaluated operations.
  Convolution(X const& x, W const& w, ConvolutionOptions<rank> const& options)
      : x_(detail::EinsumOperand<X>::tensor(x)), w_(detail::EinsumOperand<W>::tensor(w)), options_(options) {}

  /// Returns the result with the spec that the plan propagates.
  auto eval() const { return run<void>(); }

  /// Returns the result with spec `Spec`.
  template <class Spec>
  auto eval_as() const {
    return run<with_spec<Input, Spec>>();
  }

  /// Returns the result with the spec of the declared tensor.
  template <class Spec>
  operator ShardedTensor<typename Input::mesh_type, Spec, typename Input::value_type, typename Input::memory_space>()
      const {
    return eval_as<Spec>();
  }

  /// Returns the bytes of halos that `eval` sends from and receives on this rank.
  /// Communication: only that of resharding x, where the plan moves it.
  /// Throws as `eval` does.
  HaloBytes halo_bytes() const {
    using Run = detail::ConvolutionRun<detail::Planned<convolution_subscripts<rank>, void, X, W>, Input, Weights>;
    return Run(options_, x_, w_).halo(detail::reshard_or_share<typename Run::PlannedInput::spec_type>(x_)).bytes();
  }

 private:
  template <class Result>
  auto run() const {
    using Plan = detail::Planned<convolution_subscripts<rank>, Result, X, W>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      return std::conditional_t<std::is_void_v<Result>, Input, Result>{};
    } else {
      return detail::ConvolutionRun<Plan, Input, Weights>(options_, x_, w_).forward(x_, w_);
    }
  }

  Input x_;
  Weights w_;
  ConvolutionOptions<rank> options_;
};

/// Returns the deferred convolution of x and w, channels last: y[n, p, o] = sum over k, i of b[n, p stride - low + k
/// window_dilation, i] w[k, i, o], where b is x dilated by base_dilation, with zeros between and around its elements.
/// The window is not flipped (cross-correlation).
/// Shapes, in one, two or three dimensions: x (N, X, I), w (A, I, O); x (N, X, Y, I), w (A, B, I, O); x (N, X, Y, Z,
/// I), w (A, B, C, I, O); result (N, space'..., O), space' as Window::outputs. Any dimension of x and the channels of w
/// may be split; the window dimensions of w may not, else the call does not compile.
/// Communication: the collectives planned for the einsum `convolution_subscripts` (in two dimensions,
/// `plan_of<"nxyi,abio->nxyo", X, W, Y>`), and halos of x by one all-to-all over the axes that split the spatial
/// dimensions; no halos if no rank lacks an element.
/// The evaluation throws StateError if a tensor is unset, MeshError if x and w live on different meshes, ExtentError if
/// their numbers of channels differ, a window, stride or dilation is below 1, or positions might exceed 64 bits.
/// Source: paper 3.3.3, A.4.
template <class X, class W>
  requires EinsumInput<X> && EinsumInput<W>
auto convolution(X const& x, W const& w,
                 ConvolutionOptions<detail::spatial_rank<detail::OperandTensor<X>>> const& options = {}) {
  [[maybe_unused]] constexpr bool is_fine =
      detail::check_convolution<detail::OperandTensor<X>, detail::OperandTensor<W>>();
  return Convolution<X, W>(x, w, options);
}

/// Evaluates a convolution with result spec `Spec`.
template <class Spec, class X, class W>
auto shard(Convolution<X, W> const& convolution) {
  return convolution.template eval_as<Spec>();
}

}  // namespace gshard
