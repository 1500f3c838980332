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
  /// Second moments keep the share 1 - t^-decay_exponent of what they were in step t; 0 or more.
  double decay_exponent = 0.8;
  /// Updates of a larger root mean square are scaled down to it; above 0, infinity for no limit.
  double max_relative_update = 1;
  /// Added to the squares of gradients; 0 or more.
  double epsilon = 1e-30;
  /// A parameter of a smaller root mean square moves as if it had this one; 0 or more.
  double smallest_scale = 1e-3;
  /// Second moments are factored where both of the last two extents are at least this; 1 or more.
  std::int64_t smallest_factored = 128;
  /// Gradients are scaled down so that their common norm is at most this; 0 leaves them as they are, infinity too but
  /// asks for the norm.
  double max_norm = 0;

  /// Returns what the second moments keep in a step, the first being 1: nothing then. Throws OptionError for a step
  /// below 1.
  double decay(std::int64_t step) const {
    gshard::detail::require_at_least("step", step, 1);
    return 1 - std::pow(static_cast<double>(step), -decay_exponent);
  }
};

namespace detail {

inline AdafactorOptions const& checked(AdafactorOptions const& options) {
  using namespace gshard::detail;
  require_non_negative("decay_exponent", options.decay_exponent);
  require_option(options.max_relative_update > 0, "max_relative_update", options.max_relative_update,
                 "a number above 0");
  require_non_negative("epsilon", options.epsilon);
  require_non_negative("smallest_scale", options.smallest_scale);
  require_at_least("smallest_factored", options.smallest_factored, 1);
  require_max_norm(options.max_norm);
  return options;
}

/// The roots of second moments of a parameter, element by element.
template <class Exact>
struct WholeMoments {
  using T = typename Exact::value_type;
  Exact roots{};

  template <AnyTensor Gradient>
  LocalSum measure(ScaledSquare const& square, double decay, Gradient const& gradient) {
    assign(roots, map(DecayedRoot<T>(decay, square.scale, square.epsilon), roots, gradient));
    WholeUpdate<T> const update(static_cast<T>(square.scale));
    return {Exact::layout.split(), gshard::detail::local_total<gshard::detail::Norming>(
                                       gshard::detail::prepared(map(update, gradient, roots)))};
  }

  template <AnyTensor Gradient, class Weights>
  void apply(double scale, double rate, Gradient const& gradient, Weights const& weights) const {
    gshard::detail::record_kernel("adafactor", roots, roots, gradient);  // the weights are as the roots
    gshard::detail::launch<typename Exact::memory_space>(
        "gshard::adafactor", gradient.local_size(),
        ApplyWhole<T, typename Gradient::value_type, Weights>{
            weights, gradient.data(), roots.data(), WholeUpdate<T>(static_cast<T>(scale)), static_cast<T>(rate)});
  }
};

/// Second moments from their means along the last two dimensions, for each index of the dimensions before: (.., R),
/// (.., C), in double. Between the parts of a step also the mean of the means (..), and the inverse roots of the means
/// of columns.
template <class Exact>
struct FactoredMoments {
  using T = typename Exact::value_type;
  using Space = typename Exact::memory_space;
  using Doubles = ShardedTensor<typename Exact::mesh_type, typename Exact::spec_type, double, Space>;
  using Rows = decltype(eval(mean<-1>(std::declval<Doubles const&>())));
  using Columns = decltype(eval(mean<-2>(std::declval<Doubles const&>())));
  using Means = decltype(eval(mean<-1>(std::declval<Rows const&>())));
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
  LocalSum measure(ScaledSquare const& square, double decay, Gradient const& gradient) {
    assign(rows, decay * rows + (1 - decay) * mean<-1>(map(square, gradient)));
    assign(columns, decay * columns + (1 - decay) * mean<-2>(map(square, gradient)));
    means = mean<-1>(rows);
    column_factors = eval(map(InverseRoot{}, columns));
    Rows const sums(uninitialized, gradient.mesh(), rows.extents());
    gshard::detail::record_kernel("adafactor", gradient, rows, columns, sums);
    gshard::detail::for_each_row<Space>(
        "gshard::adafactor_update", sums.local_size(),
        SquaresOfRows<typename Gradient::value_type>{update(square.scale, gradient), sums.data()});
    return {Exact::layout.split(), gshard::detail::local_total<gshard::detail::Summing>(sums)};
  }

  template <AnyTensor Gradient, class Weights>
  void apply(double scale, double rate, Gradient const& gradient, Weights const& weights) {
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
  FactoredUpdate<typename Gradient::value_type> update(double scale, Gradient const& gradient) const {
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
  bool is_factored = false;
  FactoredMoments<Exact> factored;
  WholeMoments<Exact> whole;

  AdafactorState(AdafactorOptions const& options, typename Exact::mesh_type const& mesh, Extents const& extents) {
    if constexpr (Exact::rank >= 2) {
      is_factored = std::min(extents[Exact::rank - 2], extents[Exact::rank - 1]) >= options.smallest_factored;
      if (is_factored) factored = FactoredMoments<Exact>(mesh, extents);
    }
    if (!is_factored) whole.roots = Exact(mesh, extents);
  }

  /// The sums of squares of the update and of the parameter.
  template <AnyTensor Gradient, AnyTensor Value>
  std::array<LocalSum, 2> measure(AdafactorOptions const& options, Step const& step, Gradient const& gradient,
                                  Value const& value) {
    ScaledSquare const square{step.scale, options.epsilon};
    return {in_form([&](auto& moments) { return moments.measure(square, options.decay(step.number), gradient); }),
            local_squares(value)};
  }

  template <AnyTensor Gradient, class Weights>
  void apply(AdafactorOptions const& options, Step const& step, Gradient const& gradient, Weights const& weights,
             std::span<double const> squares) {
    double const count = static_cast<double>(std::max<std::int64_t>(gradient.size(), 1));
    double const update = std::sqrt(squares[0] / count);
    double const scale = std::max(std::sqrt(squares[1] / count), options.smallest_scale);
    double const rate = step.rate * scale / std::max(update / options.max_relative_update, 1.0);
    in_form([&](auto& moments) { moments.apply(step.scale, rate, gradient, weights); });
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
///
/// Gradients may have any size that a float holds: whole second moments are held as their roots, means of squares in
/// double. A gradient of 0 moves nothing, also where `epsilon` is 0. Throws OptionError for options that are not
/// allowed.
template <class... Marks>
class Adafactor : public detail::OptimizerOf<AdafactorOptions, detail::AdafactorState, Marks...> {
 public:
  explicit Adafactor(AdafactorOptions const& options = {})
      : detail::OptimizerOf<AdafactorOptions, detail::AdafactorState, Marks...>(detail::checked(options)) {}
};

}  // namespace gshard::optim
