// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recipe.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/expr/arithmetic.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/spatial/convolution_gradient.hpp>
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

/// Returns the box of a tensor like `X` of extents `inputs` that the rank at given coordinates needs to compute its
/// block of y. Dimensions N and C keep the rank's own block of x.
template <AnyTensor X, Layout Outputs, int Rank>
struct SeenByOutputs {
  typename X::mesh_type mesh;
  Extents inputs;
  Extents outputs;
  std::array<Window, static_cast<std::size_t>(Rank)> windows;

  Block operator()(std::vector<int> const& coordinates) const {
    Block const own = block_of(Outputs, outputs, mesh.state(), coordinates);
    Block seen = block_of(X::layout, inputs, mesh.state(), coordinates);
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

/// Returns the halo plan of a tensor like `X` under which each rank computes its block of `outputs`, held as layout
/// `Outputs`. `x` has the mesh and the extents of that tensor; it may be Unread.
template <Layout Outputs, AnyTensor X, int Rank, class Shape>
auto window_halo(Shape const& x, Extents const& outputs,
                 std::array<Window, static_cast<std::size_t>(Rank)> const& windows) {
  using Seen = SeenByOutputs<X, Outputs, Rank>;
  return HaloPlan<X, Seen>(x, spatial_axes<X>(), Seen{x.mesh(), x.extents(), outputs, windows});
}

/// Windows and result extents of a convolution.
template <int Rank>
struct ConvolutionShape {
  std::array<Window, static_cast<std::size_t>(Rank)> windows;
  Extents outputs;

  /// Throws StateError, MeshError or ExtentError if x and w do not fit, ExtentError if the options are invalid.
  template <AnyTensor X, AnyTensor W>
  ConvolutionShape(ConvolutionOptions<Rank> const& options, X const& x, W const& w)
      : outputs(result_extents(name(), subscripts_for<convolution_subscripts<Rank>, X, W>, handles_of(x, w))) {
    windows = windows_of<Rank>(options, w.extents());
    for (int d = 0; d < Rank; ++d) {
      std::size_t const i = static_cast<std::size_t>(d);
      outputs[d + 1] = checked_outputs("convolution", windows[i], i, x.extent(d + 1));
    }
  }

  static EinsumName name() { return {convolution_subscripts<Rank>.view(), "convolution"}; }
};

/// A convolution of tensors like `X` and `W` with its einsum plan. The gradient reuses it.
template <class Plan, AnyTensor X, AnyTensor W>
struct ConvolutionRun : ConvolutionShape<X::rank - 2> {
  static constexpr int rank = X::rank - 2;
  using T = typename X::value_type;
  using Number = Computed<T>;
  using Space = typename X::memory_space;
  using PlannedInput = with_layout<X, Plan::plan.operands[0]>;
  using PlannedWeights = with_layout<W, Plan::plan.operands[1]>;
  using Produced = with_layout<X, Plan::plan.produced>;

  using ConvolutionShape<rank>::ConvolutionShape;

  /// Returns the halo plan of x in the layout of the contraction; `x` has its mesh and its extents.
  template <class Shape>
  auto halo(Shape const& x) const {
    return window_halo<Plan::plan.produced, PlannedInput, rank>(x, this->outputs, this->windows);
  }

  /// Returns this rank's part of the convolution: from the box `seen` of x to the block `own` of y, by weights of local
  /// extents `weights`.
  LocalConvolution<Number, rank> local(Block const& seen, Block const& own, Extents const& weights) const {
    return {this->windows, seen, own, weights};
  }

  /// Enters one contraction over all windows into the ledger: two flops for each multiply-add.
  template <AnyTensor Outputs, AnyTensor Weights>
  void record(char const* operation, Outputs const& y, Block const& seen, Weights const& w) const {
    std::int64_t products = saturated_product(y.local_size(), w.local_extent(rank));
    for (int d = 0; d < rank; ++d) products = saturated_product(products, w.local_extent(d));
    std::int64_t const inputs = saturated_product(product(seen.extents), static_cast<std::int64_t>(sizeof(T)));
    y.memory().ledger().add_work(operation, saturated_product(2, products),
                                 saturated_sum(block_bytes(y), inputs, block_bytes(w)));
  }

  /// Returns the result in the layout of the plan.
  auto forward(X const& x, W const& w) const {
    Kokkos::Profiling::ScopedRegion const region("gshard::convolution");
    auto const weights = reshard_or_share<typename PlannedWeights::spec_type>(w);
    PlannedInput const input = reshard_or_share<typename PlannedInput::spec_type>(x);
    auto const seen = halo(input).gather(input, T(0));
    Produced y(uninitialized, x.mesh(), this->outputs);
    record("convolution", y, seen.box(), weights);
    Scratch<Space> scratch(x.memory());
    auto const elements = widened_elements<Space>(seen.data(), seen.size(), scratch);
    auto const factors = widened_elements<Space>(weights.data(), weights.local_size(), scratch);
    compute_rounded<Space>(y.data(), y.local_size(), scratch, [&](Number* results) {
      local(seen.box(), y.block(), weights.local_extents())
          .template forward<Space>(elements, factors, results, scratch);
    });
    return reshard<spec_of<typename X::mesh_type, Plan::plan.result>>(std::move(y));
  }
};

/// Convolution with the plan of a declared result, as an operation with a gradient.
template <class Plan, int Rank>
struct PlannedConvolution {
  ConvolutionOptions<Rank> options;

  template <int Operand>
  static constexpr Reads reads = Reads::operand(1 - Operand);

  template <AnyTensor X, AnyTensor W>
  auto forward(X const& x, W const& w) const {
    ConvolutionRun<Plan, X, W> const run(options, x, w);
    return WithResiduals{run.forward(x, w), run};
  }

  void vjp(auto const& saved, auto const& given, auto const& gradients) const {
    Kokkos::Profiling::ScopedRegion const region("gshard::convolution_gradient");
    using Given = std::remove_cvref_t<decltype(given)>;
    using Produced = with_layout<Given, without_partial(Plan::plan.produced)>;
    auto const& run = saved.residuals;
    auto const& [x, w] = saved.operands;
    auto const& [dx, dw] = gradients;
    Produced const gradient = reshard_or_share<typename Produced::spec_type>(given);
    if constexpr (is_wanted<decltype(dx)>)
      dx.add(gradient_of_input<Plan, typename std::remove_cvref_t<decltype(dx)>::tensor_type>(run, gradient, x, w));
    if constexpr (is_wanted<decltype(dw)>)
      dw.add(gradient_of_weights<Plan, typename std::remove_cvref_t<decltype(dw)>::tensor_type>(run, gradient, x, w));
  }
};

}  // namespace detail

/// A convolution of `Rank` spatial dimensions, for every declared result: the family of its Recipe.
template <int Rank>
struct Convolution {
  ConvolutionOptions<Rank> options;

  template <class X, class>
  using tensor = detail::OperandTensor<X>;

  /// Returns the result as `Declared` says: a tensor type, or void, which propagates the layout.
  template <class Declared, class X, class W>
  auto run(X const& x, W const& w) const {
    using Plan = Planned<Declared, X, W>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      return detail::stand_in_for_result<Declared>(x, w);
    } else {
      return Differentiable(detail::PlannedConvolution<Plan, Rank>{options})(detail::unmarked(x), detail::unmarked(w));
    }
  }

  /// Sets the elements of `result` to the convolution, or adds the convolution to them if `add`.
  template <class Declared, AnyTensor Result, class X, class W>
  void run_into(Result const& result, bool add, X const& x, W const& w) const {
    using Plan = Planned<Declared, X, W>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
    } else {
      check_result(result, x, w);
      auto const value = run<Declared>(x, w);
      if (add) assign(result, result + value);
      else assign(result, value);
    }
  }

  /// Checks that an existing tensor can take the result. Throws StateError, MeshError or ExtentError.
  template <AnyTensor Result, class X, class W>
  void check_result(Result const& result, X const& x, W const& w) const {
    using Shape = detail::ConvolutionShape<Rank>;
    auto const& input = detail::value_of(detail::unmarked(x));
    detail::check_result_tensor(Shape::name(), {"result", result},
                                Shape(options, input, detail::value_of(detail::unmarked(w))).outputs,
                                {"operand 0", input});
  }

  /// Returns the bytes of halos that `eval` sends from and receives on this rank.
  template <class X, class W>
  HaloBytes halo_bytes(X const& x, W const& w) const {
    using Plan = Planned<void, X, W>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      return {};
    } else {
      auto const& input = detail::value_of(detail::unmarked(x));
      auto const& weights = detail::value_of(detail::unmarked(w));
      using Run = detail::ConvolutionRun<Plan, detail::OperandTensor<X>, detail::OperandTensor<W>>;
      return Run(options, input, weights).halo(input).bytes();
    }
  }

 private:
  template <class Declared, class X, class W>
  using Planned =
      detail::Planned<convolution_subscripts<Rank>, Declared, detail::PlainOperand<X>, detail::PlainOperand<W>>;
};

/// Returns the deferred convolution of x and w, channels last: y[n, p, o] = sum over k, i of b[n, p stride - low + k
/// window_dilation, i] w[k, i, o], where b is x dilated by base_dilation, with zeros between and around its elements.
/// The window is not flipped (cross-correlation).
/// Shapes, in one, two or three dimensions: x (N, X, I), w (A, I, O); x (N, X, Y, I), w (A, B, I, O); x (N, X, Y, Z,
/// I), w (A, B, C, I, O); result (N, space'..., O), space' as Window::outputs. Any dimension of x and the channels of w
/// may be split; the window dimensions of w may not, else the call does not compile.
/// Communication: the collectives planned for the einsum `convolution_subscripts` (in two dimensions,
/// `plan_of<"nxyi,abio->nxyo", X, W, Y>`), and halos of x by one all-to-all over the axes that split the spatial
/// dimensions (bytes per rank: `halo_bytes`); no halos if no rank lacks an element.
/// Gradient: the gradient of the result and the operands that it reads are resharded to the layouts of the contraction.
/// The gradient of x sends its halos to their owners, and the gradient of w gathers the halos of x, by one all-to-all
/// each over the axes that split the spatial dimensions. Each gradient is resharded as its operand is.
/// The evaluation throws StateError if a tensor is unset, MeshError if x and w live on different meshes, ExtentError if
/// their numbers of channels differ, a window, stride or dilation is below 1, or positions might exceed 64 bits.
/// Source: paper 3.3.3, A.4.
template <EinsumInput X, EinsumInput W>
auto convolution(X&& x, W&& w, ConvolutionOptions<detail::spatial_rank<detail::OperandTensor<X>>> const& options = {}) {
  using Input = detail::OperandTensor<X>;
  [[maybe_unused]] constexpr bool is_fine = detail::check_convolution<Input, detail::OperandTensor<W>>();
  using Family = Convolution<detail::spatial_rank<Input>>;
  return Recipe<Family, detail::ReadyOperand<X>, detail::ReadyOperand<W>>(
      Family{options}, detail::ready_operand(std::forward<X>(x)), detail::ready_operand(std::forward<W>(w)));
}

/// Returns the bytes of halos that `eval` of a convolution sends from and receives on this rank. No communication.
/// Throws as the evaluation does.
template <int Rank, class X, class W>
HaloBytes halo_bytes(Recipe<Convolution<Rank>, X, W> const& convolution) {
  return detail::call_with(convolution.operands(),
                           [&](X const& x, W const& w) { return convolution.family().halo_bytes(x, w); });
}

}  // namespace gshard
