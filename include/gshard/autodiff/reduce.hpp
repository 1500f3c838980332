// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/autodiff/tape.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/reduce/kernels/broadcast.hpp>
#include <gshard/reduce/reduction.hpp>
#include <gshard/reduce/row_values.hpp>
#include <gshard/reduce/total.hpp>

namespace gshard {

namespace detail {

/// A gradient of each row, times a factor, for every element.
template <class T>
struct BroadcastGradient {
  T* result;
  T const* gradients;
  Computed<T> factor;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    result[position] = static_cast<T>(Computed<T>(gradients[row]) * factor);
  }
};

/// Whether an element is its row's maximum or minimum; where that is NaN, whether it is NaN.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION bool is_extreme(T element, T result) {
  return element == result || (is_nan(element) && is_nan(result));
}

/// 1 for an element that is the result of its row.
template <class T>
struct TieTerm {
  T const* elements;
  T const* results;
  KOKKOS_FORCEINLINE_FUNCTION double operator()(std::int64_t position, std::int64_t row, std::int64_t) const {
    return is_extreme(elements[position], results[row]) ? 1 : 0;
  }
};

template <class T>
struct BroadcastToTies {
  T* result;
  T const* elements;
  T const* results;
  T const* gradients;
  double const* ties;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    bool const is_chosen = is_extreme(elements[position], results[row]);
    result[position] = static_cast<T>(is_chosen ? static_cast<double>(gradients[row]) / ties[row] : 0.0);
  }
};

template <class T>
struct BroadcastNormGradient {
  T* result;
  T const* elements;
  T const* norms;
  T const* gradients;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    Computed<T> const norm = norms[row];
    result[position] = static_cast<T>(
        norm == 0 ? Computed<T>(0) : Computed<T>(elements[position]) * (Computed<T>(gradients[row]) / norm));
  }
};

/// The gradient of a reduction of `x`, from its result and the gradient of that, held as the kept dimensions of x are.
template <class Operation, class Dimensions, AnyTensor Tensor, AnyTensor Results, AnyTensor Gradients>
Tensor gradient_of_reduction(Tensor const& x, Results const& results, Gradients const& gradients) {
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  Tensor const result(uninitialized, x.mesh(), x.extents());
  if constexpr (Operation::takes_root) {
    broadcast<Space>("gshard::gradient", x.local_extents(), Dimensions::reduced,
                     BroadcastNormGradient<T>{result.data(), x.data(), results.data(), gradients.data()});
  } else {
    Scratch<Space> scratch(x.memory());
    double const* const ties = row_values<Combining<comm::Reduction::sum, double>>(
        scratch, block_rows<Dimensions>(x), TieTerm<T>{x.data(), results.data()});
    broadcast<Space>("gshard::gradient", x.local_extents(), Dimensions::reduced,
                     BroadcastToTies<T>{result.data(), x.data(), results.data(), gradients.data(), ties});
  }
  return result;
}

/// Sets the elements of each row to the gradient of the row's result, times a factor.
template <class MemorySpace, class T>
void run_sum_gradient(Extents const& extents, ReducedDimensions const& reduced, BroadcastGradient<T> const& kernel) {
  broadcast<MemorySpace>("gshard::gradient", extents, reduced, kernel);
}
GSHARD_COMPILED_FLOATS(run_sum_gradient)

template <class Dimensions, AnyTensor Tensor, AnyTensor Rows>
Tensor gradient_of_sum(typename Tensor::mesh_type const& mesh, Extents const& extents, double factor,
                       Rows const& gradients) {
  using T = typename Tensor::value_type;
  Tensor const result(uninitialized, mesh, extents);
  run_sum_gradient<typename Tensor::memory_space>(
      result.local_extents(), Dimensions::reduced,
      BroadcastGradient<T>{result.data(), gradients.data(), static_cast<Computed<T>>(factor)});
  return result;
}

}  // namespace detail

/// A reduction of a recorded tensor: like Reduction, it waits for its result spec, then runs and is recorded. The
/// gradient of the result is brought to the axes of the kept dimensions, as reshard does, and then goes, without
/// communication, to all elements (sum, mean, norm), or in equal parts to those that are the maximum or minimum, for
/// which their number is summed over the axes that split the reduced dimensions. The gradient of a norm of 0 is 0.
template <class Operation, AnyTensor Tensor, int... Given>
class RecordedReduction : public detail::UnevaluatedOperation {
  using Plain = Reduction<Operation, Tensor, Given...>;
  using Dimensions = typename Plain::Dimensions;
  using KeptSpec = typename Dimensions::kept_spec;

 public:
  static constexpr bool is_recorded = true;

  explicit RecordedReduction(Var<Tensor> const& x) : x_(x) {
    using Mistake = detail::PartialSumMistake<Tensor, !Operation::is_linear>;
    if constexpr (!std::is_void_v<Mistake>) {
      using Refused [[maybe_unused]] = decltype(Mistake{});
    }
  }

  auto eval() const { return record(Plain(x_.value()).eval()); }

  /// The result as `Spec` says.
  template <class Spec>
  auto eval_as() const {
    return record(Plain(x_.value()).template eval_as<Spec>());
  }

  template <AnyTensor Result>
  operator Var<Result>() const {
    return record(static_cast<Result>(Plain(x_.value())));
  }
  template <AnyTensor Result>
  operator Result() const {
    return detail::refuse_as_plain<Result>();
  }

 private:
  template <AnyTensor Result>
  Var<Result> record(Result const& result) const {
    Tensor const& x = x_.value();
    if constexpr (Operation::is_linear) {
      double const factor = Operation::averages ? 1 / static_cast<double>(Dimensions::count(x.extents())) : 1;
      return x_.tape().record(result, [slot = x_.slot(), mesh = x.mesh(), extents = x.extents(),
                                       factor](Cotangent<Result> const& gradient) {
        slot.add(detail::gradient_of_sum<Dimensions, Cotangent<Tensor>>(mesh, extents, factor,
                                                                        detail::reshard_or_share<KeptSpec>(gradient)));
      });
    } else {
      return x_.tape().record(result, [slot = x_.slot(), x, result](Cotangent<Result> const& gradient) {
        slot.add(detail::gradient_of_reduction<Operation, Dimensions>(x, detail::reshard_or_share<KeptSpec>(result),
                                                                      detail::reshard_or_share<KeptSpec>(gradient)));
      });
    }
  }

  Var<Tensor> x_;
};

namespace detail {

/// All dimensions of a recorded tensor reduced to a recorded scalar.
template <class Operation, AnyTensor Tensor>
auto recorded_total(Var<Tensor> const& x) {
  return [&]<int... Dimensions>(std::integer_sequence<int, Dimensions...>) {
    return RecordedReduction<Operation, Tensor, Dimensions...>(x).template eval_as<Spec<>>();
  }(std::make_integer_sequence<int, Tensor::rank>{});
}

}  // namespace detail

/// Reductions over dimensions of recorded tensors.
template <int First, int... Rest, AnyTensor Tensor>
auto sum(Var<Tensor> const& x) {
  return RecordedReduction<detail::Summing, Tensor, First, Rest...>(x);
}
template <int First, int... Rest, AnyTensor Tensor>
auto mean(Var<Tensor> const& x) {
  return RecordedReduction<detail::Averaging, Tensor, First, Rest...>(x);
}
template <int First, int... Rest, AnyTensor Tensor>
auto maximum(Var<Tensor> const& x) {
  return RecordedReduction<detail::Choosing<comm::Reduction::maximum>, Tensor, First, Rest...>(x);
}
template <int First, int... Rest, AnyTensor Tensor>
auto minimum(Var<Tensor> const& x) {
  return RecordedReduction<detail::Choosing<comm::Reduction::minimum>, Tensor, First, Rest...>(x);
}
template <int First, int... Rest, AnyTensor Tensor>
auto norm(Var<Tensor> const& x) {
  return RecordedReduction<detail::Norming, Tensor, First, Rest...>(x);
}

/// Reductions of all elements of recorded tensors, as recorded scalars.
template <AnyTensor Tensor>
auto sum(Var<Tensor> const& x) {
  return detail::recorded_total<detail::Summing>(x);
}
template <AnyTensor Tensor>
auto mean(Var<Tensor> const& x) {
  return detail::recorded_total<detail::Averaging>(x);
}
template <AnyTensor Tensor>
auto maximum(Var<Tensor> const& x) {
  return detail::recorded_total<detail::Choosing<comm::Reduction::maximum>>(x);
}
template <AnyTensor Tensor>
auto minimum(Var<Tensor> const& x) {
  return detail::recorded_total<detail::Choosing<comm::Reduction::minimum>>(x);
}
template <AnyTensor Tensor>
auto norm(Var<Tensor> const& x) {
  return detail::recorded_total<detail::Norming>(x);
}

/// The recorded reduction with its result held as `Spec` says.
template <class Spec, class Operation, AnyTensor Tensor, int... Given>
auto shard(RecordedReduction<Operation, Tensor, Given...> const& reduction) {
  return reduction.template eval_as<Spec>();
}

/// The recorded reduction with the kept dimensions on their axes.
template <class Operation, AnyTensor Tensor, int... Given>
auto eval(RecordedReduction<Operation, Tensor, Given...> const& reduction) {
  return reduction.eval();
}

}  // namespace gshard
