// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <gshard/core/checked.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard::detail {

/// Sets the elements of `sum` to the values of `kernel`, which reads `bytes` bytes. Gradients of biases and norms are
/// small: up to `small_row` elements, the calling thread adds faster than it wakes others.
template <class MemorySpace, class Sum, class Kernel>
void run_sum(TensorState const& sum, Kernel const& kernel, std::int64_t bytes) {
  sum.mesh->memory().ledger().add_work("map", 0, saturated_sum(sum.local_bytes(), bytes));
  launch<MemorySpace>("gshard::map", sum.local_size, sum.local_size <= small_row,
                      AssignKernel<Sum, Kernel>{sum.elements<Sum>(), kernel});
}

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
    run_sum<MemorySpace, Sum>(*result, ApplyKernel<functions::Plus, decltype(pack)>{{}, pack},
                              sum->local_bytes() + term->local_bytes());
    sum = result;
  } else if constexpr (std::is_same_v<Sum, Term>) {
    sum = term;
  } else {
    sum = new_tensor_like<MemorySpace, Sum>(*term);
    run_sum<MemorySpace, Sum>(*sum, term_kernel, term->local_bytes());
  }
}
GSHARD_COMPILED_FLOATS(add_to)

/// Returns a tensor with elements of type `T`, or a copy if it has another handle: that may be the gradient of
/// something else, as a sum passes its gradient to all operands.
template <class MemorySpace, class T>
TensorHandle unshared(TensorHandle const& tensor) {
  if (is_sole_owner(tensor)) return tensor;
  TensorHandle const copy = new_tensor_like<MemorySpace, T>(*tensor);
  run_sum<MemorySpace, T>(*copy, LeafKernel<T>{tensor->elements<T>()}, tensor->local_bytes());
  return copy;
}

/// Tensors behind a sum of tensors of any type: what SumOfTensors and RunningSum work on.
struct SumHandles {
  TensorHandle first;  ///< the first term, while it is the only one and its elements are rounded (BFloat16)
  TensorHandle sum;    ///< the sum of all other terms, with elements of type Computed<T>

  bool is_set() const { return first || sum; }
};

/// Sums tensors of one layout with elements of type T. The sum is kept as Computed<T> from the second term on and
/// rounded once: a sum that is rounded to BFloat16 after each term stops growing when a term is below half its last
/// bit, 256 + 1 = 256.
/// Refers to the sum, which must outlive it. Functions are compiled once for all layouts.
template <class MemorySpace, class T>
class SumOfTensors {
 public:
  using Number = Computed<T>;

  explicit SumOfTensors(SumHandles& sum) : sum_(sum) {}

  void add(TensorHandle const& term) const {
    if (is_rounded<T> && !sum_.is_set()) {
      sum_.first = term;
      return;
    }
    widen();
    add_to<MemorySpace, T>(sum_.sum, term);
  }

  void add_widened(TensorHandle const& term) const {
    widen();
    add_to<MemorySpace, Number>(sum_.sum, term);
  }

  /// Returns the sum, rounded; null if there is no term.
  static TensorHandle rounded(SumHandles const& sum) {
    if constexpr (is_rounded<T>) {
      if (!sum.sum) return sum.first;
      TensorHandle const result = new_tensor_like<MemorySpace, T>(*sum.sum);
      run_sum<MemorySpace, T>(*result, LeafKernel<Number>{sum.sum->template elements<Number>()},
                              sum.sum->local_bytes());
      return result;
    } else {
      return sum.sum;
    }
  }

 private:
  void widen() const {
    if (!sum_.first) return;
    add_to<MemorySpace, T>(sum_.sum, sum_.first);
    sum_.first = nullptr;
  }

  SumHandles& sum_;
};

/// Sums tensors of type `Tensor`: SumOfTensors with a typed interface. Refers to the sum, which must outlive it.
template <AnyTensor Tensor>
class RunningSum {
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static constexpr bool is_widened = is_rounded<T>;

 public:
  explicit RunningSum(SumHandles& sum) : sum_(sum) {}

  /// Adds a term.
  void add(Tensor const& term) const { SumOfTensors<Space, T>(sum_).add(term.handle()); }
  void add(Widened<Tensor> const& term) const
    requires is_widened
  {
    SumOfTensors<Space, T>(sum_).add_widened(term.handle());
  }

  /// Returns the sum, rounded. Precondition: there is a term.
  static Tensor rounded(SumHandles const& sum) { return Tensor(SumOfTensors<Space, T>::rounded(sum)); }

  /// Returns the sum, rounded, in elements that are those of no other gradient. Precondition: there is a term.
  static Tensor unshared_rounded(SumHandles const& sum) {
    if constexpr (is_widened)
      if (sum.sum) return rounded(sum);
    return Tensor(unshared<Space, T>(is_widened ? sum.first : sum.sum));
  }

  /// Returns the sum, rounded, and empties it. Precondition: there is a term.
  Tensor take() const {
    SumHandles taken = std::exchange(sum_, {});
    if constexpr (is_widened) return rounded(taken);
    else return Tensor(std::move(taken.sum));
  }

  /// Adds everything to `target`, unrounded, and empties the sum. The elements of `target` are those of no other
  /// gradient.
  void move_to(Widened<Tensor>& target) const {
    SumHandles const taken = std::exchange(sum_, {});
    if (taken.sum && !target.is_set()) target.handle() = unshared<Space, Computed<T>>(taken.sum);
    else if (taken.sum) add_to<Space, Computed<T>>(target.handle(), taken.sum);
    else if (taken.first) add_to<Space, T>(target.handle(), taken.first);
  }

  /// Calls `action` with the sum and empties it. The sum is a `Tensor` if it has one term, else a `Widened<Tensor>`.
  template <class Action>
  void consume(Action const& action) const {
    SumHandles taken = std::exchange(sum_, {});
    if (taken.sum) action(Widened<Tensor>(std::move(taken.sum)));
    else if constexpr (is_widened)
      if (taken.first) action(Tensor(std::move(taken.first)));
  }

 private:
  SumHandles& sum_;
};

}  // namespace gshard::detail
