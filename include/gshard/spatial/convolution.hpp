// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <gshard/einsum/einsum.hpp>
#include <gshard/spatial/halo.hpp>
#include <gshard/spatial/kernels/convolve.hpp>

namespace gshard {

namespace detail {

template <int Rank>
constexpr std::array<std::int64_t, static_cast<std::size_t>(Rank)> all_of(std::int64_t value) {
  std::array<std::int64_t, static_cast<std::size_t>(Rank)> result{};
  result.fill(value);
  return result;
}

}  // namespace detail

/// How the window of a convolution moves, one number for each spatial dimension (see Window). `low` and `high` count
/// zeros around the dilated base.
template <int Rank>
struct ConvolutionOptions {
  using Sizes = std::array<std::int64_t, static_cast<std::size_t>(Rank)>;
  Sizes stride = detail::all_of<Rank>(1);
  Sizes low = detail::all_of<Rank>(0);
  Sizes high = detail::all_of<Rank>(0);
  Sizes window_dilation = detail::all_of<Rank>(1);
  Sizes base_dilation = detail::all_of<Rank>(1);
};

/// The subscripts by which a convolution is planned: "nxyi,abio->nxyo" of x (N, X, Y, I) and w (A, B, I, O) in two
/// dimensions.
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

/// The number of spatial dimensions of (N, space..., C); 1 or 3 of what has too few or too many, which is refused.
template <AnyTensor X>
inline constexpr int spatial_rank = X::rank < 3   ? 1
                                    : X::rank > 5 ? 3
                                                  : X::rank - 2;

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

/// The number of outputs of a window over `extent` elements of spatial dimension `dimension`. Throws ExtentError where
/// the window makes no sense, or positions under it do not fit into 64 bits.
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

/// The windows of a convolution over the extents of w.
template <int Rank>
std::array<Window, static_cast<std::size_t>(Rank)> windows_of(ConvolutionOptions<Rank> const& options,
                                                              Extents const& weights) {
  std::array<Window, static_cast<std::size_t>(Rank)> windows;
  for (std::size_t d = 0; d < static_cast<std::size_t>(Rank); ++d)
    windows[d] = {weights[static_cast<int>(d)], options.stride[d],       options.low[d], options.high[d],
                  options.window_dilation[d],   options.base_dilation[d]};
  return windows;
}

/// What the rank at some coordinates sees of x to compute its block of y.
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

/// The axes that split the spatial dimensions.
template <AnyTensor X>
constexpr AxisSet spatial_axes() {
  AxisSet axes;
  for (int d = 1; d + 1 < X::rank; ++d) axes |= set_of(X::layout.dimensions[d]);
  return axes;
}

/// The halos of one sliding window over x, held so that each rank has its own outputs.
template <Layout Outputs, AnyTensor X, int Rank>
auto window_halo(X const& x, Extents const& outputs,
                 std::array<Window, static_cast<std::size_t>(Rank)> const& windows) {
  using Seen = SeenByOutputs<X, Outputs, Rank>;
  return HaloPlan<X, Seen>(x, spatial_axes<X>(), Seen{x, outputs, windows});
}

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

  template <class Seen>
  LocalConvolution<Number, rank> local(HaloBlock<PlannedInput, Seen> const& seen, Block const& own,
                                       PlannedWeights const& w) const {
    return {windows, seen.box(), own, w.local_extents()};
  }

  /// Enters one contraction over all windows into the ledger: two flops for each product.
  template <AnyTensor Outputs, class Seen>
  void record(char const* operation, Outputs const& y, HaloBlock<PlannedInput, Seen> const& seen,
              PlannedWeights const& w) const {
    std::int64_t products = saturated_product(y.local_size(), w.local_extent(rank));
    for (int d = 0; d < rank; ++d) products = saturated_product(products, w.local_extent(d));
    std::int64_t const inputs = product(seen.box().extents) * static_cast<std::int64_t>(sizeof(T));
    y.memory().ledger().add_work(operation, saturated_product(2, products), block_bytes(y) + inputs + block_bytes(w));
  }

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

/// A convolution that waits to be told how its result is to be held, as an einsum does.
template <class X, class W>
class Convolution {
 public:
  static constexpr bool is_deferred = true;
  using Input = detail::OperandTensor<X>;
  using Weights = detail::OperandTensor<W>;
  static constexpr int rank = detail::spatial_rank<Input>;

  Convolution(X const& x, W const& w, ConvolutionOptions<rank> const& options)
      : x_(detail::EinsumOperand<X>::tensor(x)), w_(detail::EinsumOperand<W>::tensor(w)), options_(options) {}

  auto eval() const { return run<void>(); }

  template <class Spec>
  auto eval_as() const {
    return run<with_spec<Input, Spec>>();
  }

  template <class Spec>
  operator ShardedTensor<typename Input::mesh_type, Spec, typename Input::value_type, typename Input::memory_space>()
      const {
    return eval_as<Spec>();
  }

  /// What the halos of the propagated result cost this rank. No communication but that of operands that move.
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

/// The convolution of x (N, X, I) with w (A, I, O), x (N, X, Y, I) with w (A, B, I, O), or x (N, X, Y, Z, I) with w (A,
/// B, C, I, O), channels last: y (N, X', .., O), y[n, p, o] = sum over k, i of x[n, p stride - low + k window_dilation,
/// i] w[k, i, o] on the dilated base, zeros around it. Any of N, X, Y, Z, I, O may be split: what moves is planned as
/// the einsum convolution_subscripts is (`plan_of<"nxyi,abio->nxyo", X, W, Y>`), and halos of x come by one all-to-all
/// over the axes that split space, where ranks lack any. Throws StateError, MeshError and
/// ExtentError as einsums do, and ExtentError where a window makes no sense. Source:
/// paper 3.3.3, A.4.
template <class X, class W>
  requires EinsumInput<X> && EinsumInput<W>
auto convolution(X const& x, W const& w,
                 ConvolutionOptions<detail::spatial_rank<detail::OperandTensor<X>>> const& options = {}) {
  [[maybe_unused]] constexpr bool is_fine =
      detail::check_convolution<detail::OperandTensor<X>, detail::OperandTensor<W>>();
  return Convolution<X, W>(x, w, options);
}

/// The convolution held as `Spec` says.
template <class Spec, class X, class W>
auto shard(Convolution<X, W> const& convolution) {
  return convolution.template eval_as<Spec>();
}

}  // namespace gshard
