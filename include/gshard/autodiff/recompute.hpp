// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/call_with.hpp>

namespace gshard {

namespace error {

template <class Function>
struct RecomputeUsesRecorded {
  static_assert(
      always_false<Function>,
      "gshard: recompute runs its function on plain tensors, and it gave a recorded one; pass every recorded tensor that it uses as an input");
};

}  // namespace error

namespace detail {

template <class Type>
inline constexpr bool is_tuple = false;
template <class... Elements>
inline constexpr bool is_tuple<std::tuple<Elements...>> = true;

/// Evaluates what a function returned, one result or a tuple of them, and returns a tuple.
template <class Result>
auto evaluated_results(Result&& result) {
  if constexpr (is_tuple<std::remove_cvref_t<Result>>)
    return [&]<std::size_t... Position>(std::index_sequence<Position...>) {
      return std::make_tuple(eval(std::get<Position>(std::forward<Result>(result)))...);
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Result>>>{});
  else return std::make_tuple(eval(std::forward<Result>(result)));
}

/// Takes the place of a gradient for input data, and for results of input data alone.
struct InputData {};

template <class Results>
struct GradientsOf;
template <class... Results>
struct GradientsOf<std::tuple<Results...>> {
  template <class Result>
  static auto gradient() {
    if constexpr (has_gradient<Result>) return Cotangent<typename Result::tensor_type>{};
    else if constexpr (AnyVar<Result>) return InputData{};
    else return NoGradient{};
  }
  using type = std::tuple<decltype(gradient<Results>())...>;
  static constexpr bool are_recorded = (AnyVar<Results> || ...);
};

/// A function with its inputs, and where their gradients are collected.
template <class Function, class... Inputs>
class Recomputation {
  template <class Value>
  static auto watched(Tape&, Value const& value, NoGradient) {
    return value;
  }
  template <AnyTensor Tensor>
  static auto watched(Tape& tape, Tensor const& value, InputData) {
    return tape.input(value);
  }
  template <AnyTensor Tensor>
  static Var<Tensor> watched(Tape& tape, Tensor const& value, OperandGradient<Tensor> const& sum) {
    return tape.record(value, [sum](Cotangent<Tensor> const& gradient) { sum.add(gradient); });
  }

  template <class Input>
  static auto role_of(Input const& input) {
    if constexpr (AnyVar<Input> && !has_gradient<Input>) return InputData{};
    else return gradient_of(input);
  }

  template <class Input>
  static auto plain(Input const& input) {
    if constexpr (AnyVar<Input>) return input.value();
    else return input;
  }

 public:
  Recomputation(Function const& function, Inputs const&... inputs)
      : function_(function), inputs_(plain(inputs)...), roles_(role_of(inputs)...) {}

  auto forward() const {
    return call_with(inputs_, [&](auto const&... input) { return evaluated_results(function_(input...)); });
  }

  using Results = decltype(evaluated_results(std::declval<Function const&>()(std::declval<Inputs const&>()...)));
  using Gradients = typename GradientsOf<Results>::type;

  /// Runs the function on a tape of its own, and that tape backwards.
  void backward(Tape const& outer, Gradients& gradients) const {
    Tape tape(Tape::Within{outer});
    start(tape, gradients, std::index_sequence_for<Inputs...>{},
          std::make_index_sequence<std::tuple_size_v<Results>>{});
    tape.backward();
  }

 private:
  template <std::size_t... Input, std::size_t... Result>
  void start(Tape& tape, Gradients& gradients, std::index_sequence<Input...>, std::index_sequence<Result...>) const {
    Results const results =
        evaluated_results(function_(watched(tape, std::get<Input>(inputs_), std::get<Input>(roles_))...));
    (seed(std::get<Result>(results), std::get<Result>(gradients)), ...);
  }

  template <class Result, class Gradient>
  static void seed(Result const& result, Gradient& gradient) {
    if constexpr (has_gradient<Result>) {
      if (gradient.is_set()) gradient_of(result).add(std::exchange(gradient, {}));
    }
  }

  Function function_;
  std::tuple<decltype(plain(std::declval<Inputs const&>()))...> inputs_;
  std::tuple<decltype(role_of(std::declval<Inputs const&>()))...> roles_;
};

/// A result, recorded where the function would have recorded it.
template <std::size_t Position, class Gradients, class Plain>
auto recorded_result(Tape& tape, int node, Plain const& value) {
  using Gradient = std::tuple_element_t<Position, Gradients>;
  if constexpr (std::is_same_v<Gradient, NoGradient>) {
    return value;
  } else if constexpr (std::is_same_v<Gradient, InputData>) {
    return tape.input(value);
  } else {
    return tape.record(value, [tape = &tape, node](Gradient const& gradient) {
      std::get<Position>(tape->gradients<Gradients>(node)) = gradient;
    });
  }
}

template <class Gradients, class... Plain, std::size_t... Position>
auto recorded_results(Tape& tape, int node, std::tuple<Plain...> const& values, std::index_sequence<Position...>) {
  auto results = std::make_tuple(recorded_result<Position, Gradients>(tape, node, std::get<Position>(values))...);
  if constexpr (sizeof...(Position) == 1) return std::get<0>(std::move(results));
  else return results;
}

/// Runs a function of evaluated inputs, and records it as one operation of its inputs.
template <class Function, class... Inputs>
auto recomputed(Function const& function, Inputs const&... inputs) {
  if constexpr (!(AnyVar<Inputs> || ...)) {
    auto results = evaluated_results(function(inputs...));
    if constexpr (std::tuple_size_v<decltype(results)> == 1) return std::get<0>(std::move(results));
    else return results;
  } else {
    using Again = Recomputation<Function, Inputs...>;
    using Gradients = typename Again::Gradients;
    Tape& tape = tape_of(inputs...);
    tape.require_unrun();
    Again const recomputation(function, inputs...);
    auto const values = recomputation.forward();
    if constexpr (GradientsOf<std::remove_const_t<decltype(values)>>::are_recorded) {
      using Refused [[maybe_unused]] = decltype(error::RecomputeUsesRecorded<Function>{});
    } else {
      int const node = tape.record_several<Gradients>(
          [recomputation, &tape](Gradients& gradients) { recomputation.backward(tape, gradients); });
      return recorded_results<Gradients>(tape, node, values, std::make_index_sequence<std::tuple_size_v<Gradients>>{});
    }
  }
}

}  // namespace detail

/// Returns `function(inputs...)`. The tape keeps the inputs only; the backward pass runs the function again, with its
/// communication, on a tape of its own (activation checkpointing). Value and gradients are those of a plain call, the
/// gradients of parameters inside included. Costs the time of a second forward pass; saves the memory of all but one
/// block. If an input is used elsewhere too, its gradient is summed in another order.
/// `function` is copied, takes tensors and recorded tensors, and returns a tensor or a std::tuple of them; what it
/// refers to lives until the backward pass, and its random numbers repeat where they are drawn by a RandomStream that
/// it holds by value. An input that is an operation which has not run is evaluated first. Without recorded inputs the
/// function is just called.
/// Throws StateError, before the function runs, if the tape has run, is gone, or is not the tape of another input.
/// Source: Chen et al. 2016.
template <class Function, class... Inputs>
auto recompute(Function const& function, Inputs&&... inputs) {
  return detail::recomputed(function, detail::evaluated(std::forward<Inputs>(inputs))...);
}

}  // namespace gshard
