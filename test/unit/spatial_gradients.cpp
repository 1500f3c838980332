// SPDX-License-Identifier: Apache-2.0
// Gradients of convolutions and pooling against central differences in double precision, on every mesh of two axes.
#include "central_differences.hpp"
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <gshard/reduce.hpp>
#include <gshard/spatial.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

/// A convolution held as `Y` says, of tensors or recorded ones.
template <class Y, int Rank>
struct Convolve {
  ConvolutionOptions<Rank> options;
  auto operator()(auto const& x, auto const& w) const {
    return weighted_sum(shard<typename Y::spec_type>(convolution(x, w, options)));
  }
};

template <class Y, class X, class W>
void check(TwoAxes const& mesh, Extents const& x, Extents const& w, ConvolutionOptions<X::rank - 2> const& options) {
  check_gradients(Convolve<Y, X::rank - 2>{options}, filled<X>(mesh, x, 1, smooth), filled<W>(mesh, w, 2, smooth));
}

struct MaxPool {
  PoolOptions<1> options;
  auto operator()(auto const& x) const { return weighted_sum(max_pool(x, options)); }
};

struct AveragePool {
  PoolOptions<1> options;
  AverageOver over;
  auto operator()(auto const& x) const { return weighted_sum(average_pool(x, options, over)); }
};

}  // namespace

TEST_CASE(
    "gradients of convolutions: strides, paddings, dilations of window and base, split space, batch and channels") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (ConvolutionOptions<1> const& options :
         {ConvolutionOptions<1>{}, ConvolutionOptions<1>{.stride = {2}, .low = {1}, .high = {1}},
          ConvolutionOptions<1>{.low = {2}, .high = {2}, .window_dilation = {2}},
          ConvolutionOptions<1>{.stride = {2}, .low = {2}, .high = {1}, .base_dilation = {3}}}) {
      check<On<_, "x,y", _>, On<_, "x,y", _>, On<_, _, _>>(mesh, {1, 7, 2}, {3, 2, 1}, options);
      check<On<"x", "y", _>, On<"x", "y", _>, On<_, _, _>>(mesh, {3, 4, 1}, {3, 1, 2}, options);
      check<On<_, "y", "x">, On<_, "y", _>, On<_, _, "x">>(mesh, {1, 5, 2}, {2, 2, 3}, options);
      check<On<_, "y", _>, On<_, "y", "x">, On<_, "x", _>>(mesh, {1, 5, 3}, {2, 3, 2}, options);
    }
  });
}

TEST_CASE("gradients of convolutions in two dimensions, with results held otherwise") {
  on_every_mesh([](TwoAxes const& mesh) {
    ConvolutionOptions<2> const options{.stride = {1, 2}, .low = {1, 0}, .high = {1, 1}};
    check<On<_, "x", "y", _>, On<_, "x", "y", _>, On<_, _, _, _>>(mesh, {1, 4, 5, 1}, {3, 2, 1, 2}, options);
    check<On<_, "y", "x", _>, On<_, "x", "y", _>, On<_, _, _, _>>(mesh, {1, 3, 4, 1}, {2, 2, 1, 1}, options);
    check<On<"y", "x", _, _>, On<_, "x", _, "y">, On<_, _, "y", _>>(mesh, {2, 3, 3, 2}, {2, 2, 2, 1}, options);
  });
}

TEST_CASE("gradients of convolutions in three dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    ConvolutionOptions<3> const options{.stride = {1, 2, 1}, .low = {1, 0, 0}, .high = {0, 1, 0}};
    check<On<_, "x", _, "y", _>, On<_, "x", _, "y", _>, On<_, _, _, _, _>>(mesh, {1, 3, 3, 2, 2}, {2, 2, 1, 2, 1},
                                                                           options);
  });
}

TEST_CASE("gradients of convolutions with weights that may move: their gradient is scattered as they are") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const convolve = [](auto const& x, auto const& w) { return weighted_sum(eval(convolution(x, movable(w)))); };
    check_gradients(convolve, filled<On<"x", _, _>>(mesh, {3, 4, 2}, 1, smooth),
                    filled<On<_, "x", _>>(mesh, {2, 2, 2}, 2, smooth));
  });
}

TEST_CASE("gradients of pooling: to the first of the largest elements, and to all that an average counts") {
  on_every_mesh([](TwoAxes const& mesh) {
    PoolOptions<1> const options{.window = {3}, .stride = {{2}}, .low = {1}, .high = {1}};
    auto const x = filled<On<"x", "y", _>>(mesh, {2, 6, 2}, 1, smooth);
    auto const line = filled<On<_, "x,y", _>>(mesh, {1, 9, 1}, 3, smooth);
    check_gradients(MaxPool{options}, x);
    check_gradients(MaxPool{options}, line);
    for (AverageOver over : {AverageOver::elements, AverageOver::window}) {
      check_gradients(AveragePool{options, over}, x);
      check_gradients(AveragePool{options, over}, line);
    }
  });
}

TEST_CASE("equal elements: the gradient of their maximum goes to the first one alone") {
  on_every_mesh([](TwoAxes const& mesh) {
    Tape tape;
    auto const x = tape.watch(from_vector<On<_, "x,y", _>>(mesh, {1, 4, 1}, std::vector<double>{5, 5, 5, 5}));
    tape.backward(sum(max_pool(x, {.window = {4}})));
    CHECK(difference(tape.gradient(x), {1, 0, 0, 0}) == "");
  });
}
