// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/comm/all_reduce.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/reduce/dimensions.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/rules.hpp>

namespace gshard {

namespace detail {

/// Where a reduced value goes, in its own type, times a factor.
template <class T, class Accumulator>
struct StoreResult {
  T* data;
  Accumulator factor;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t row, Accumulator const& value) const {
    data[row] = static_cast<T>(value * factor);
  }
};

/// The element type in which a reduction of T stores what it finds; maxima are rounded behind their all-reduce.
template <class Operation, class T>
using ReducedElement =
    std::conditional_t<Operation::kind == comm::Reduction::sum, typename Operation::template result<T>, Computed<T>>;

/// Reduces the elements of `kernel` at `loops`, from position `begin` on, into `result`; multiplies the reduced values
/// by `factor`.
template <class MemorySpace, class T, class Operation, class Result = ReducedElement<Operation, T>,
          class Kernel = LeafKernel<T>>
void reduce_elements(MemoryPool& memory, FoldLoops const& loops, Kernel const& kernel, std::int64_t begin,
                     double factor, Result* result) {
  using Rule = RuleOf<Operation, Computed<T>>;
  using Accumulator = typename Rule::accumulator;
  fold<MemorySpace, Rule>("gshard::reduce", memory, loops, ElementTerm<Operation, Accumulator, Kernel>{kernel, begin},
                          StoreResult<Result, Accumulator>{result, static_cast<Accumulator>(factor)});
}
GSHARD_COMPILED(reduce_elements, Summing)
GSHARD_COMPILED(reduce_elements, Averaging)
GSHARD_COMPILED(reduce_elements, Choosing<comm::Reduction::maximum>)
GSHARD_COMPILED(reduce_elements, Choosing<comm::Reduction::minimum>)
GSHARD_COMPILED_FLOATS(reduce_elements, Norming, double)

/// Reduces the part `wanted` of the block that this rank holds of an expression into `result`, whose rows lie packed.
template <class Operation, class Dimensions, class Ready, class T>
void reduce_block(Ready const& ready, Block const& wanted, double factor, T* result) {
  using Space = typename FirstTensor<Ready>::memory_space;
  using Rule = RuleOf<Operation, ValueOf<Ready>>;
  using Accumulator = typename Rule::accumulator;
  auto const& first = first_tensor(ready);
  Extents const rows = Dimensions::kept_extents(wanted.extents);
  if (product(wanted.extents) == 0) {
    fill_elements<Space>(result, product(rows), static_cast<T>(Rule::identity() * static_cast<Accumulator>(factor)));
    return;
  }
  Extents const strides = packed_strides(first.local_extents());
  FoldLoops const loops = fold_loops(wanted.extents, strides, Dimensions::reduced);
  std::int64_t begin = 0;
  for (int d = 0; d < strides.size(); ++d) begin += (wanted.offsets[d] - first.block().offsets[d]) * strides[d];
  reduce_elements<Space, typename StoredType<Ready>::type, Operation>(first.memory(), loops, kernel_of(ready), begin,
                                                                      factor, result);
}

}  // namespace detail

/// A reduction that waits to be told how its result is to be held: assign it to a tensor type, or `shard<Spec>(...)`
/// it, and the declared spec is the annotation; `eval(...)` it, or give it to an operation, and the kept dimensions
/// stay on their axes.
///
/// It runs as one pass over the operand, which may be a pointwise expression. Sums (and means, and norms) then
/// communicate as the einsum of one operand that they are, `plan_of<"ab->b", Operand, Result>` for `sum<0>` of a
/// matrix: an all-reduce over the axes that split the reduced dimensions, a reduce-scatter where the result is split
/// over these axes, nothing where it is declared partial. A maximum or minimum is one all-reduce over these axes, and
/// then what the declared result needs.
template <class Operation, class Ready, int... Given>
class Reduction : public detail::UnevaluatedOperation {
  using First = detail::FirstTensor<Ready>;
  using Value = typename Operation::template result<typename detail::StoredType<Ready>::type>;

 public:
  static constexpr bool is_deferred = true;

  /// The operand, as which the reduction is planned.
  using Operand =
      ShardedTensor<typename First::mesh_type, typename First::spec_type, Value, typename First::memory_space>;
  using Dimensions = detail::Dimensions<Operand, Given...>;

  explicit Reduction(Ready const& ready) : ready_(ready) {}

  auto eval() const { return run<void>(); }

  /// Throws where a tensor that is there already cannot take the result: StateError, MeshError or ExtentError.
  template <AnyTensor Result>
  void check_result(Result const& result) const {
    auto const& first = detail::first_tensor(ready_);
    detail::require_one_mesh("reduction", {{"operand 0", first}, {"result", result}});
    Extents const kept = Dimensions::kept_extents(first.extents());
    for (int d = 0; d < Result::rank && d < kept.size(); ++d)
      detail::require_extent("reduction", {"result", result}, d, kept[d], "the extent of the reduced operand");
  }

  /// The result as `Spec` says.
  template <class Spec>
  auto eval_as() const {
    return run<with_spec<Operand, Spec>>();
  }

  template <AnyTensor Result>
  operator Result() const {
    return run<Result>();
  }

 private:
  template <class Result>
  auto run() const {
    using Plan = detail::Planned<Dimensions::spelled(), Result, Operand>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      return std::conditional_t<std::is_void_v<Result>, Operand, Result>{};
    } else {
      return reduced<Plan>();
    }
  }

  template <class Plan>
  auto reduced() const {
    Kokkos::Profiling::ScopedRegion const region("gshard::reduce");
    using Result = typename Plan::result_spec;
    if constexpr (Operation::takes_root) {
      // Squares leave the range of float sooner than roots of their sums do.
      auto const squares = reshard<Result>(block_results<Produced<Plan::plan.produced, double>, Plan>());
      if constexpr (std::is_same_v<Value, double>) {
        assign(squares, sqrt(squares));
        return squares;
      } else {
        return gshard::eval(convert<Value>(sqrt(squares)));
      }
    } else if constexpr (Operation::kind == comm::Reduction::sum) {
      return reshard<Result>(block_results<Produced<Plan::plan.produced, Value>, Plan>());
    } else {
      using Chosen = Produced<detail::without_partial(Plan::plan.produced), detail::Computed<Value>>;
      Chosen chosen = block_results<Chosen, Plan>();
      detail::fence<typename Operand::memory_space>("gshard::reduce: what is sent is computed");
      comm::all_reduce<typename Operand::memory_space>(chosen.mesh_state().group(Plan::plan.produced.partial),
                                                       chosen.data(), chosen.local_size(), Operation::kind);
      if constexpr (detail::is_rounded<Value>) {
        with_spec<Operand, typename Chosen::spec_type> rounded(uninitialized, chosen.mesh(), chosen.extents());
        assign(rounded, chosen);
        return reshard<Result>(std::move(rounded));
      } else {
        return reshard<Result>(std::move(chosen));
      }
    }
  }

  /// The type of results before anything is sent.
  template <Layout Target, class T>
  using Produced = ShardedTensor<typename Operand::mesh_type, spec_of<typename Operand::mesh_type, Target>, T,
                                 typename Operand::memory_space>;

  /// What this rank's block gives.
  template <AnyTensor Results, class Plan>
  Results block_results() const {
    auto const& first = detail::first_tensor(ready_);
    detail::MeshState const& mesh = first.mesh_state();
    Results produced(uninitialized, first.mesh(), Dimensions::kept_extents(first.extents()));
    double const factor = Operation::averages ? 1 / static_cast<double>(Dimensions::count(first.extents())) : 1;
    first.memory().ledger().add_work("reduce", 0,
                                     detail::saturated_sum(detail::block_bytes(produced), detail::bytes_read(ready_)));
    detail::reduce_block<Operation, Dimensions>(
        ready_, detail::block_of(Plan::plan.operands[0], first.extents(), mesh, mesh.coordinates()), factor,
        produced.data());
    return produced;
  }

  Ready ready_;
};

namespace detail {

template <class Operation, int... Given, class Operand>
auto reduction_of(std::string_view operation, Operand const& x) {
  auto const& ready = prepared(x, operation);
  using Ready = std::remove_cvref_t<decltype(ready)>;
  using First = FirstTensor<Ready>;
  using Mistake = typename FirstMistake<DimensionsMistake<First::rank, Given...>,
                                        PartialSumMistake<First, !Operation::is_linear>>::type;
  if constexpr (std::is_void_v<Mistake>) {
    return Reduction<Operation, Ready, Given...>(ready);
  } else {
    using Refused [[maybe_unused]] = decltype(Mistake{});
    return RefusedOperation<First>{};
  }
}

}  // namespace detail

/// The sum over dimensions, as in `sum<0, 2>(x)`; -1 is the last. 0 where there is nothing to add. Of an unreduced sum
/// too. Floating point is added up in double on each rank. Of integers it is std::int64_t. Communicates as Reduction
/// says.
template <int First, int... Rest, Expression Operand>
auto sum(Operand const& x) {
  return detail::reduction_of<detail::Summing, First, Rest...>("sum", x);
}

/// The mean over dimensions, by their global extents, however unevenly the ranks hold them; NaN where there are no
/// elements. Of integers it is double. Communicates as Reduction says.
template <int First, int... Rest, Expression Operand>
auto mean(Operand const& x) {
  return detail::reduction_of<detail::Averaging, First, Rest...>("mean", x);
}

/// The largest element over dimensions; of none, minus infinity, or the lowest integer. NaN where an element is.
/// Communicates as Reduction says.
template <int First, int... Rest, Expression Operand>
auto maximum(Operand const& x) {
  return detail::reduction_of<detail::Choosing<comm::Reduction::maximum>, First, Rest...>("maximum", x);
}

/// The smallest element over dimensions; of none, infinity, or the highest integer. NaN where an element is.
/// Communicates as Reduction says.
template <int First, int... Rest, Expression Operand>
auto minimum(Operand const& x) {
  return detail::reduction_of<detail::Choosing<comm::Reduction::minimum>, First, Rest...>("minimum", x);
}

/// The Euclidean norm over dimensions; 0 of none. Of integers it is double. Squares are added up, and sent, in double:
/// the norm of floats is right wherever a float holds it, that of doubles up to elements of 1e154. Communicates as
/// Reduction says.
template <int First, int... Rest, Expression Operand>
auto norm(Operand const& x) {
  return detail::reduction_of<detail::Norming, First, Rest...>("norm", x);
}

/// A reduction with its result declared by a spec: the paper's annotation on the spot.
template <class Spec, class Operation, class Ready, int... Given>
auto shard(Reduction<Operation, Ready, Given...> const& reduction) {
  return reduction.template eval_as<Spec>();
}

/// Sets the elements of `y`, whose spec is the annotation, to the reduction.
template <AnyTensor Result, class Operation, class Ready, int... Given>
void assign(Result const& y, Reduction<Operation, Ready, Given...> const& reduction) {
  reduction.check_result(y);
  assign(y, shard<typename Result::spec_type>(reduction));
}

/// Adds the reduction to the elements of `y`, whose spec is the annotation.
template <AnyTensor Result, class Operation, class Ready, int... Given>
Result const& operator+=(Result const& y, Reduction<Operation, Ready, Given...> const& reduction) {
  reduction.check_result(y);
  return y += shard<typename Result::spec_type>(reduction);
}

template <AnyTensor Result, class Operation, class Ready, int... Given>
Result const& operator-=(Result const& y, Reduction<Operation, Ready, Given...> const& reduction) {
  reduction.check_result(y);
  return y -= shard<typename Result::spec_type>(reduction);
}

}  // namespace gshard
