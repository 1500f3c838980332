// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>

#include <gshard/optim/kernels/adafactor.hpp>
#include <gshard/optim/optimizer.hpp>
#include <gshard/reduce/reduction.hpp>

namespace gshard::optim {

struct AdafactorOptions {
  /// Second moments keep the share 1 - t^-decay_exponent of what they were in step t.
  double decay_exponent = 0.8;
  /// Updates of a larger root mean square are scaled down to it.
  double largest_update = 1;
  /// Added to the squares of gradients.
  double epsilon = 1e-30;
  /// A parameter of a smaller root mean square moves as if it had this one.
  double smallest_scale = 1e-3;
  /// Second moments are factored where both of the last two extents are at least this.
  std::int64_t smallest_factored = 128;
  /// Gradients are scaled down so that their common norm is at most this; 0 leaves them as they are.
  double largest_norm = 0;

  /// What the second moments keep in a step, the first being 1: nothing then.
  double decay(std::int64_t step) const { return 1 - std::pow(static_cast<double>(step), -decay_exponent); }
};

namespace detail {

/// Second moments of a parameter, element by element.
template <class Exact>
struct WholeMoments {
  using T = typename Exact::value_type;
  Exact squares{};

  template <AnyTensor Gradient>
  LocalSum measure(ScaledSquare<T> const& square, T decay, Gradient const& gradient) {
    assign(squares, decay * squares + (T(1) - decay) * map(square, gradient));
    return {Exact::layout.split(), gshard::detail::local_total<gshard::detail::Norming>(
                                       gshard::detail::prepared(map(WholeUpdate<T>{square.scale}, gradient, squares)))};
  }

  template <AnyTensor Gradient, class Weights>
  void apply(T scale, T rate, Gradient const& gradient, Weights const& weights) const {
    gshard::detail::record_kernel("adafactor", squares, squares, gradient);  // the weights are as the squares
    gshard::detail::launch<typename Exact::memory_space>(
        "gshard::adafactor", gradient.local_size(),
        ApplyWhole<T, typename Gradient::value_type, Weights>{weights, gradient.data(), squares.data(),
                                                              WholeUpdate<T>(scale), rate});
  }
};

/// The same from the means along the last two dimensions, for each index of the dimensions before: (.., R), (.., C).
/// Between the parts of a step also the mean of the means (..), and the inverse roots of the means of columns.
template <class Exact>
struct FactoredMoments {
  using T = typename Exact::value_type;
  using Space = typename Exact::memory_space;
  using Rows = decltype(eval(mean<-1>(std::declval<Exact const&>())));
  using Columns = decltype(eval(mean<-2>(std::declval<Exact const&>())));
  using Means = decltype(eval(mean<-1>(std::declval<Rows const&>())));
  using RowSums = ShardedTensor<typename Rows::mesh_type, typename Rows::spec_type, double, Space>;
  Rows rows{};
  Columns columns{};
  Means means{};
  Columns column_factors{};

  FactoredMoments() = default;
  FactoredMoments(typename Exact::mesh_type const& mesh, Extents const& extents) {
    Extents of_rows = extents;
    of_rows.pop_back();
    Extents of_columns = of_rows;
    of_columns.pop_back();
    of_columns.push_back(extents[Exact::rank - 1]);
    rows = Rows(mesh, of_rows);
    columns = Columns(mesh, of_columns);
  }

  template <AnyTensor Gradient>
  LocalSum measure(ScaledSquare<T> const& square, T decay, Gradient const& gradient) {
    assign(rows, decay * rows + (T(1) - decay) * mean<-1>(map(square, gradient)));
    assign(columns, decay * columns + (T(1) - decay) * mean<-2>(map(square, gradient)));
    means = mean<-1>(rows);
    column_factors = eval(map(InverseRoot{}, columns));
    RowSums const sums(uninitialized, gradient.mesh(), rows.extents());
    gshard::detail::record_kernel("adafactor", gradient, rows, columns, sums);
    gshard::detail::for_each_row<Space>(
        "gshard::adafactor_update", sums.local_size(),
        SquaresOfRows<T, typename Gradient::value_type>{update(square.scale, gradient), sums.data()});
    return {Exact::layout.split(), gshard::detail::local_total<gshard::detail::Summing>(sums)};
  }

  template <AnyTensor Gradient, class Weights>
  void apply(T scale, T rate, Gradient const& gradient, Weights const& weights) {
    // the weights are about as the gradient
    gshard::detail::record_kernel("adafactor", gradient, gradient, gradient, rows, columns);
    gshard::detail::for_each_row<Space>(
        "gshard::adafactor", rows.local_size(),
        ApplyToRows<T, typename Gradient::value_type, Weights>{update(scale, gradient), weights, rate});
    means = {};
    column_factors = {};
  }

 private:
  template <AnyTensor Gradient>
  FactoredUpdate<T, typename Gradient::value_type> update(T scale, Gradient const& gradient) const {
    return {gradient.data(),
            rows.data(),
            means.data(),
            column_factors.data(),
            gradient.local_extent(Exact::rank - 2),
            gradient.local_extent(Exact::rank - 1),
            scale};
  }
};

/// Of vectors and scalars.
template <class Exact>
  requires(Exact::rank < 2)
struct FactoredMoments<Exact> {};

template <class Exact>
struct AdafactorState {
  static constexpr int sums = 2;
  using T = typename Exact::value_type;
  bool is_factored = false;
  FactoredMoments<Exact> factored;
  WholeMoments<Exact> whole;

  AdafactorState(AdafactorOptions const& options, typename Exact::mesh_type const& mesh, Extents const& extents) {
    if constexpr (Exact::rank >= 2) {
      is_factored = std::min(extents[Exact::rank - 2], extents[Exact::rank - 1]) >=
                    std::max<std::int64_t>(options.smallest_factored, 1);
      if (is_factored) factored = FactoredMoments<Exact>(mesh, extents);
    }
    if (!is_factored) whole.squares = Exact(mesh, extents);
  }

  /// The sums of squares of the update and of the parameter.
  template <AnyTensor Gradient, AnyTensor Value>
  std::array<LocalSum, 2> measure(AdafactorOptions const& options, Step const& step, Gradient const& gradient,
                                  Value const& value) {
    ScaledSquare<T> const square{static_cast<T>(step.scale), static_cast<T>(options.epsilon)};
    return {in_form([&](auto& moments) {
              return moments.measure(square, static_cast<T>(options.decay(step.number)), gradient);
            }),
            local_squares(value)};
  }

  template <AnyTensor Gradient, class Weights>
  void apply(AdafactorOptions const& options, Step const& step, Gradient const& gradient, Weights const& weights,
             std::span<double const> squares) {
    double const count = static_cast<double>(std::max<std::int64_t>(gradient.size(), 1));
    double const update = std::sqrt(squares[0] / count);
    double const scale = std::max(std::sqrt(squares[1] / count), options.smallest_scale);
    double const rate = step.rate * scale / std::max(update / options.largest_update, 1.0);
    in_form([&](auto& moments) { moments.apply(static_cast<T>(step.scale), static_cast<T>(rate), gradient, weights); });
  }

 private:
  template <class Action>
  auto in_form(Action const& action) {
    if constexpr (Exact::rank >= 2)
      if (is_factored) return action(factored);
    return action(whole);
  }
};

}  // namespace detail

/// Adafactor without momentum (Shazeer and Stern, arXiv 1804.04235, Algorithms 4 and 5, as the paper used it, A.2): in
/// step t, with the gradient g of a parameter w, the second moments are v = d v + (1 - d) (g^2 + epsilon), d = 1 -
/// t^-0.8; the update is u = g / sqrt(v), divided by max(1, RMS(u)); and w -= rate max(RMS(w), 1e-3) u. With the
/// paper's InverseSquareRoot as the rate.
///
/// Of v, where both of the last two extents are at least 128, only the means R along rows and C along columns are held,
/// v_ij = R_i C_j / mean(R): for each index of the dimensions before them by themselves, so those of an expert's
/// weights (E, M, H) know nothing of other experts'. Two statistics of M + H elements take the place of M H. All means,
/// RMS(u) and RMS(w) are global, whatever the spec: R is reduced over the axes that split the last dimension, C and
/// mean(R) over those that split the last but one (an all-reduce of R, of C, and of one number for each matrix), and
/// both RMS of all parameters together by one all-reduce over the axes that split any. `Marks`: SplitOver,
/// MasterWeights.
template <class... Marks>
class Adafactor : public detail::OptimizerOf<AdafactorOptions, detail::AdafactorState, Marks...> {
 public:
  explicit Adafactor(AdafactorOptions const& options = {})
      : detail::OptimizerOf<AdafactorOptions, detail::AdafactorState, Marks...>(options) {}
};

}  // namespace gshard::optim
