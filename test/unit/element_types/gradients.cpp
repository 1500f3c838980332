// SPDX-License-Identifier: Apache-2.0
// Gradients of the operations on tensors.
#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>
#include <gshard/spatial.hpp>

#include "element_types.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

/// The gradient of `operation(x)` for x, where that of the result is ones.
template <AnyTensor Tensor, class Operation>
void gradient_of(Results& results, Tensor const& x, Operation const& operation) {
  Tape tape;
  auto const var = tape.watch(x);
  auto const y = eval(operation(var));
  using Gradient = Cotangent<typename std::remove_cvref_t<decltype(y)>::tensor_type>;
  tape.backward(y, filled<Gradient>(x.mesh(), y.value().extents(), 3));
  results(tape.gradient(var));
}

}  // namespace

TEST_CASE("gradients of pointwise functions, reductions and einsums") {
  check_fractional_types("gradients of all these",
                         []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                           auto const x = positive_numbers<Of<T, "x", _>>(mesh, {3, 4});
                           gradient_of(results, x, [](auto const& a) { return relu(a * a) + exp(-a); });
                           gradient_of(results, x, [](auto const& a) { return pow(a, 1.5) + maximum(a, 5); });
                           gradient_of(results, x, [](auto const& a) { return where(a > 3, gelu(-a), softplus(a)); });
                           gradient_of(results, x, [](auto const& a) { return sum<0>(a); });
                           gradient_of(results, x, [](auto const& a) { return maximum<0>(a); });
                           gradient_of(results, x, [](auto const& a) { return norm<1>(a); });
                           gradient_of(results, x, [](auto const& a) { return prod<0>(a); });
                           gradient_of(results, x, [](auto const& a) { return variance<1>(a); });
                           gradient_of(results, x, [](auto const& a) { return standard_deviation<0>(a, 1); });
                           gradient_of(results, x, [](auto const& a) { return softmax<1>(a); });
                           gradient_of(results, x, [](auto const& a) { return log_sum_exp<0>(a); });
                           gradient_of(results, x, [](auto const& a) { return cumulative_sum<0>(a); });
                           gradient_of(results, x, [](auto const& a) { return einsum<"ab,ab->b">(a, a); });
                           gradient_of(results, x, [](auto const& a) { return reshard<Spec<_, "y">>(a); });
                         });
}

TEST_CASE("gradients of operations on indices and windows") {
  check_fractional_types(
      "gradients of all these", []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
        auto const x = numbers<Of<T, "x", _>>(mesh, {3, 4});
        auto const places = from_vector<Of<int, "y">>(mesh, {3}, std::vector<int>{2, 0, 2});
        gradient_of(results, x, [](auto const& a) { return pad<0>(slice<0>(a, 1, 3), 1, 0); });
        gradient_of(results, x, [](auto const& a) { return concatenate<0>(a, reverse<0>(a)); });
        gradient_of(results, x, [](auto const& a) { return reshape<Spec<"y", _>>(a, {2, 6}); });
        gradient_of(results, x, [&](auto const& a) { return take<1>(a, places); });
        gradient_of(results, x, [](auto const& a) { return sort<1>(a); });
        auto const line = numbers<Of<T, _, "x,y", _>>(mesh, {1, 6, 2});
        auto const w = numbers<Of<T, _, _, _>>(mesh, {2, 2, 3});
        gradient_of(results, line, [](auto const& a) { return max_pool(a, {.window = {2}, .stride = {{1}}}); });
        gradient_of(results, line, [](auto const& a) { return average_pool(a, {.window = {2}, .stride = {{1}}}); });
        gradient_of(results, line, [&](auto const& a) { return convolution(a, w); });
        gradient_of(results, w, [&](auto const& a) { return convolution(line, a); });
      });
}
