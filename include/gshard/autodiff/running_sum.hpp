// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/core/compiled.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard::detail {

/// Adds `term`, with elements of type `Term`, to `sum`, with elements of type `Sum`. A null sum becomes the term.
template <class MemorySpace, class Term, class Sum = Computed<Term>>
void add_to(TensorHandle& sum, TensorHandle const& term) {
  LeafKernel<Term> const term_kernel{term->elements<Term>()};
  if (sum) {
    TensorHandle const* const both[] = {&sum, &term};
    check_tensors("a sum of gradients", both);
    // Where there is another handle, that may be another operand's gradient.
    TensorHandle const result = is_sole_owner(sum) ? sum : new_tensor_like<MemorySpace, Sum>(*sum);
    auto const pack = kernel_pack(LeafKernel<Sum>{sum->elements<Sum>()}, term_kernel);
    run_map<MemorySpace, Sum>(*result, ApplyKernel<functions::Plus, decltype(pack)>{{}, pack},
                              sum->local_bytes() + term->local_bytes());
    sum = result;
  } else if constexpr (std::is_same_v<Sum, Term>) {
    sum = term;
  } else {
    sum = new_tensor_like<MemorySpace, Sum>(*term);
    run_map<MemorySpace, Sum>(*sum, term_kernel, term->local_bytes());
  }
}
GSHARD_COMPILED_FLOATS(add_to)

/// Sums tensors of one layout with elements of type T. The sum is kept as Computed<T> from the second term on and
/// rounded once: a sum that is rounded to BFloat16 after each term stops growing when a term is below half its last
/// bit, 256 + 1 = 256.
template <class MemorySpace, class T>
class SumOfTensors {
 public:
  using Number = Computed<T>;

  bool is_set() const { return first_ || sum_; }

  void add(TensorHandle const& term) {
    if (is_rounded<T> && !is_set()) {
      first_ = term;
      return;
    }
    widen();
    add_to<MemorySpace, T>(sum_, term);
  }

  void add_widened(TensorHandle const& term) {
    widen();
    add_to<MemorySpace, Number>(sum_, term);
  }

  /// The sum, rounded.
  TensorHandle rounded() const {
    if constexpr (is_rounded<T>) {
      if (!sum_) return first_;
      TensorHandle const result = new_tensor_like<MemorySpace, T>(*sum_);
      run_map<MemorySpace, T>(*result, LeafKernel<Number>{sum_->template elements<Number>()}, sum_->local_bytes());
      return result;
    } else {
      return sum_;
    }
  }

  /// Returns the unrounded sum and empties it. If there is one term alone, returns null and sets `first` instead.
  TensorHandle take(TensorHandle& first) {
    first = std::exchange(first_, nullptr);
    return std::exchange(sum_, nullptr);
  }

 private:
  void widen() {
    if (!first_) return;
    add_to<MemorySpace, T>(sum_, first_);
    first_ = nullptr;
  }

  TensorHandle first_;  // with elements of type T, where these are rounded
  TensorHandle sum_;
};

/// Sums tensors of type `Tensor`: SumOfTensors with a typed interface.
template <AnyTensor Tensor>
class RunningSum {
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static constexpr bool is_widened = is_rounded<T>;

 public:
  bool is_set() const { return sum_.is_set(); }

  void add(Tensor const& term) { sum_.add(term.handle()); }
  void add(Widened<Tensor> const& term)
    requires is_widened
  {
    sum_.add_widened(term.handle());
  }

  /// The sum, rounded.
  Tensor rounded() const { return Tensor(sum_.rounded()); }

  /// The sum, rounded. Nothing is left.
  Tensor take() {
    Tensor const result = rounded();
    sum_ = {};
    return result;
  }

  /// Adds everything to `target`, unrounded. Nothing is left.
  void move_to(Widened<Tensor>& target) {
    TensorHandle first;
    TensorHandle const sum = sum_.take(first);
    if (sum) add_to<Space, Computed<T>>(target.handle(), sum);
    else if (first) add_to<Space, T>(target.handle(), first);
  }

  /// Calls `action` with the sum and empties it. The sum is a `Tensor` if it has one term, else a `Widened<Tensor>`.
  template <class Action>
  void consume(Action const& action) {
    TensorHandle first;
    TensorHandle sum = sum_.take(first);
    if (sum) action(Widened<Tensor>(std::move(sum)));
    else if constexpr (is_widened)
      if (first) action(Tensor(std::move(first)));
  }

 private:
  SumOfTensors<Space, T> sum_;
};

}  // namespace gshard::detail
