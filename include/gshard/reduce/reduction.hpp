// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/autodiff/recipe.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/reduce/gradient.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/local/reduce_block.hpp>
#include <gshard/reduce/local/rules.hpp>
#include <gshard/reduce/product_gradient.hpp>

namespace gshard {

namespace detail {

/// A reduction with its result declared as `Declared`, a tensor type, or void: an operation with a gradient.
template <class Operation, class Declared, int... Given>
struct DeclaredReduction {
  template <int>
  static constexpr Reads reads = Operation::is_linear                          ? Reads::nothing()
                                 : Operation::kind == comm::Reduction::product ? Reads::operand(0)
                                                                               : Reads::operand(0) | Reads::result();

  /// Type of the operand that the reduction of an expression is planned for.
  template <class Ready>
  using Operand = ShardedTensor<typename FirstTensor<Ready>::mesh_type, typename FirstTensor<Ready>::spec_type,
                                typename Operation::template result<typename StoredType<Ready>::type>,
                                typename FirstTensor<Ready>::memory_space>;

  template <class Ready>
  auto forward(Ready const& x) const {
    using Plan = Planned<Dimensions<Operand<Ready>, Given...>::spelled(), Declared, Operand<Ready>>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      return std::conditional_t<std::is_void_v<Declared>, Operand<Ready>, Declared>{};
    } else {
      Kokkos::Profiling::ScopedRegion const region("gshard::reduce");
      return reduced<Plan>(x);
    }
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using Tensor = typename std::remove_cvref_t<decltype(dx)>::tensor_type;
    using Along = Dimensions<Tensor, Given...>;
    using KeptSpec = typename Along::kept_spec;
    auto const given = reshard_or_share<KeptSpec>(gradient);
    if constexpr (Operation::is_linear) {
      double const factor = Operation::averages ? 1 / static_cast<double>(Along::count(x.extents())) : 1;
      dx.add(gradient_of_sum<Along, Cotangent<Tensor>>(x.mesh(), x.extents(), factor, given));
    } else if constexpr (Operation::kind == comm::Reduction::product) {
      dx.add(gradient_of_product<Along>(x, given));
    } else {
      dx.add(gradient_of_reduction<Operation, Along>(x, reshard_or_share<KeptSpec>(saved.result), given));
    }
  }

 private:
  template <class Plan, class Ready>
  static auto reduced(Ready const& x) {
    using Result = typename Plan::result_spec;
    using Value = typename Operand<Ready>::value_type;
    using Space = typename Operand<Ready>::memory_space;
    if constexpr (Operation::takes_root) {
      // Squares leave the range of float sooner than roots of their sums do.
      auto const squares = reshard<Result>(block_results<Produced<Ready, Plan::plan.produced, double>, Plan>(x));
      if constexpr (std::is_same_v<Value, double>) {
        assign(squares, sqrt(squares));
        return squares;
      } else {
        return gshard::eval(cast<Value>(sqrt(squares)));
      }
    } else if constexpr (Operation::kind == comm::Reduction::sum) {
      return reshard<Result>(block_results<Produced<Ready, Plan::plan.produced, Value>, Plan>(x));
    } else {
      using Sent = ReducedElement<Operation, typename StoredType<Ready>::type>;
      using Chosen = Produced<Ready, without_partial(Plan::plan.produced), Sent>;
      Chosen chosen = block_results<Chosen, Plan>(x);
      fence<Space>("gshard::reduce: what is sent is computed");
      comm::all_reduce<Space>(chosen.mesh_state().group(Plan::plan.produced.partial), chosen.data(),
                              chosen.local_size(), Operation::kind);
      if constexpr (!std::is_same_v<Value, Sent>) {
        with_spec<Operand<Ready>, typename Chosen::spec_type> rounded(uninitialized, chosen.mesh(), chosen.extents());
        assign(rounded, chosen);
        return reshard<Result>(std::move(rounded));
      } else {
        return reshard<Result>(std::move(chosen));
      }
    }
  }

  /// Type of the results before anything is sent.
  template <class Ready, Layout Target, class T>
  using Produced =
      ShardedTensor<typename Operand<Ready>::mesh_type, spec_of<typename Operand<Ready>::mesh_type, Target>, T,
                    typename Operand<Ready>::memory_space>;

  /// Returns what the block of this rank gives.
  template <AnyTensor Results, class Plan, class Ready>
  static Results block_results(Ready const& x) {
    using Along = Dimensions<Operand<Ready>, Given...>;
    auto const& first = first_tensor(x);
    MeshState const& mesh = first.mesh_state();
    Results produced(uninitialized, first.mesh(), Along::kept_extents(first.extents()));
    double const factor = Operation::averages ? 1 / static_cast<double>(Along::count(first.extents())) : 1;
    first.memory().ledger().add_work("reduce", 0, saturated_sum(block_bytes(produced), bytes_read(x)));
    reduce_block<Operation, Along>(x, block_of(Plan::plan.operands[0], first.extents(), mesh, mesh.coordinates()),
                                   factor, produced.data());
    return produced;
  }
};

/// A reduction over the dimensions `Given`, for every declared result: the family of its Recipe. The operand is a
/// recorded tensor, or an expression without operations that have not run.
template <class Operation, int... Given>
struct Reducing {
  template <class X>
  using tensor = typename DeclaredReduction<Operation, void, Given...>::template Operand<ValueTensor<X>>;

  template <class Declared, class X>
  auto run(X const& x) const {
    using Reduction = DeclaredReduction<Operation, Declared, Given...>;
    if constexpr (AnyVar<X>) return Differentiable<Reduction>{}(x);
    else return Reduction{}.forward(x);
  }

  template <class Declared, AnyTensor Result, class X>
  void run_into(Result const& result, bool add, X const& x) const {
    check_result(result, x);
    auto const value = run<Declared>(x);
    if (add) assign(result, result + value);
    else assign(result, value);
  }

  /// Checks that an existing tensor can take the result. Throws StateError, MeshError or ExtentError.
  template <AnyTensor Result, class X>
  void check_result(Result const& result, X const& x) const {
    auto const& first = first_tensor(x);
    require_one_mesh("reduction", {{"operand 0", first}, {"result", result}});
    Extents const kept = Dimensions<tensor<X>, Given...>::kept_extents(first.extents());
    for (int d = 0; d < Result::rank && d < kept.size(); ++d)
      require_extent("reduction", {"result", result}, d, kept[d], "the extent of the reduced operand");
  }
};

/// Returns an operand of a reduction: a recorded tensor, or an expression without operations that have not run, with
/// its tensors checked.
template <class X>
decltype(auto) ready_for_reduction(X&& x, std::string_view operation) {
  if constexpr (Recorded<X>) return evaluated(std::forward<X>(x));
  else return prepared(std::forward<X>(x), operation);
}

/// Makes the recipe of a reduction; `operation` names it in messages.
template <class Operation, int... Given, class X>
auto reduction_of(std::string_view operation, X&& x) {
  decltype(auto) ready = ready_for_reduction(std::forward<X>(x), operation);
  using Ready = std::remove_cvref_t<decltype(ready)>;
  using First = FirstTensor<ValueTensor<Ready>>;
  using Mistake = typename FirstMistake<DimensionsMistake<First::rank, Given...>,
                                        PartialSumMistake<First, !Operation::is_linear>>::type;
  if constexpr (std::is_void_v<Mistake>) {
    return Recipe<Reducing<Operation, Given...>, Ready>({}, ready);
  } else {
    using Refused [[maybe_unused]] = decltype(Mistake{});
    return RefusedOperation<First>{};
  }
}

}  // namespace detail

// Reductions over dimensions. They wait for the spec of their result (Recipe): a declared one is the annotation;
// propagated, the kept dimensions stay on their axes. Dimensions are template arguments, negative ones counted from the
// end. The operand is a tensor, a recorded tensor, or a pointwise expression, which is read in the same pass unless it
// broadcasts.
//
// Communication: sums, means and norms communicate as the einsum of one operand that they are, `plan_of<"ab->b",
// Operand, Result>` for `sum<0>` of a matrix: an all-reduce over the axes that split the reduced dimensions, a
// reduce-scatter if the result is split over these axes, nothing if it is declared partial. A maximum or minimum is one
// all-reduce over these axes, and then what the declared result needs.
// Gradient: the gradient of the result is resharded to the axes of the kept dimensions, and then goes to all elements
// without communication (sum, mean, norm), or in equal parts to those that are the maximum or minimum, whose number is
// all-reduced over the axes that split the reduced dimensions. The gradient of a norm of 0 is 0.
// Evaluation throws StateError if a tensor is unset, MeshError or ExtentError if tensors do not belong together.

/// Returns the sum over dimensions, `sum<0, 2>(x)`; 0 if there is nothing to add. x may be an unreduced sum. Floating
/// point is added up in double on each rank. The sum of integers is std::int64_t.
template <int First, int... Rest, PointwiseOperand X>
auto sum(X&& x) {
  return detail::reduction_of<detail::Summing, First, Rest...>("sum", std::forward<X>(x));
}

/// Returns the mean over dimensions, by their global extents, however unevenly the ranks hold them; NaN if there are no
/// elements. The mean of integers is double.
template <int First, int... Rest, PointwiseOperand X>
auto mean(X&& x) {
  return detail::reduction_of<detail::Averaging, First, Rest...>("mean", std::forward<X>(x));
}

/// Returns the largest element over dimensions; of none, minus infinity, or the lowest integer. NaN if an element is.
template <int First, int... Rest, PointwiseOperand X>
auto maximum(X&& x) {
  return detail::reduction_of<detail::Choosing<comm::Reduction::maximum>, First, Rest...>("maximum",
                                                                                          std::forward<X>(x));
}

/// Returns the smallest element over dimensions; of none, infinity, or the highest integer. NaN if an element is.
template <int First, int... Rest, PointwiseOperand X>
auto minimum(X&& x) {
  return detail::reduction_of<detail::Choosing<comm::Reduction::minimum>, First, Rest...>("minimum",
                                                                                          std::forward<X>(x));
}

/// Returns the Euclidean norm over dimensions; 0 of none. The norm of integers is double. Squares are added up, and
/// sent, in double: the norm of floats is right wherever a float holds it, the norm of doubles up to elements of 1e154.
template <int First, int... Rest, PointwiseOperand X>
auto norm(X&& x) {
  return detail::reduction_of<detail::Norming, First, Rest...>("norm", std::forward<X>(x));
}

namespace detail {

/// Reduces all dimensions of a recorded tensor to a recorded scalar.
template <class Operation, AnyTensor Tensor, bool HasGradient>
auto recorded_total(Var<Tensor, HasGradient> const& x) {
  return [&]<int... Dimensions>(std::integer_sequence<int, Dimensions...>) {
    return reduction_of<Operation, Dimensions...>("reduction", x).template eval_as<Spec<>>();
  }(std::make_integer_sequence<int, Tensor::rank>{});
}

}  // namespace detail

// Reductions of all elements of a recorded tensor, or of an operation on recorded tensors that has not run, to a
// scalar: recorded, if it is of floating point.

template <detail::Recorded X>
auto sum(X&& x) {
  return detail::recorded_total<detail::Summing>(detail::evaluated(std::forward<X>(x)));
}
template <detail::Recorded X>
auto mean(X&& x) {
  return detail::recorded_total<detail::Averaging>(detail::evaluated(std::forward<X>(x)));
}
template <detail::Recorded X>
auto maximum(X&& x) {
  return detail::recorded_total<detail::Choosing<comm::Reduction::maximum>>(detail::evaluated(std::forward<X>(x)));
}
template <detail::Recorded X>
auto minimum(X&& x) {
  return detail::recorded_total<detail::Choosing<comm::Reduction::minimum>>(detail::evaluated(std::forward<X>(x)));
}
template <detail::Recorded X>
auto norm(X&& x) {
  return detail::recorded_total<detail::Norming>(detail::evaluated(std::forward<X>(x)));
}

}  // namespace gshard
