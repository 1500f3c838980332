// SPDX-License-Identifier: Apache-2.0
// Slices, reshapes, gathers, sorts; convolutions and pools.
#include <gshard/index.hpp>
#include <gshard/spatial.hpp>
#include <gshard/tensor.hpp>

#include "element_types.hpp"

using namespace gshard;
using namespace gshard::test;

TEST_CASE("slices, reshapes, gathers and sorts") {
  check_all_types("`slice`, `pad`, `reverse`, `roll`, `concatenate`, `update_slice`",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const x = numbers<Of<T, "x", _>>(mesh, {3, 4});
                    results(slice<0>(x, 1, 3));
                    results(pad<0>(x, 1, 2, T(7)));
                    results(reverse<0>(x));
                    results(roll<0>(x, 1));
                    results(concatenate<0>(x, x));
                    results(update_slice<0>(x, slice<0>(x, 0, 1), 2));
                  });
  check_all_types("`reshape`, `split_dimension`, `merge_dimensions`",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const x = numbers<Of<T, "x", _>>(mesh, {3, 4});
                    results(reshape<Spec<"y", _>>(x, {2, 6}));
                    results(merge_dimensions<1>(split_dimension<1>(x, 2)));
                  });
  check_all_types("`take`, `scatter_add`", []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
    auto const x = numbers<Of<T, "x", _>>(mesh, {3, 4});
    auto const places = from_vector<Of<int, "y">>(mesh, {3}, std::vector<int>{2, 0, 2});
    auto const whole = replicate(places);
    results(take<1>(x, places));
    results(scatter_add<1>(x, places, numbers<Of<T, "x", "y">>(mesh, {3, 3})));
    results(scatter_add<1>(x, whole, numbers<Of<T, "x", _>>(mesh, {3, 3})));
  });
  check_all_types("`sort`, `argsort`, `top_k`",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const x = numbers<Of<T, "x", _>>(mesh, {3, 4});
                    results(sort<1>(x));
                    results(argsort<1>(x, Order::descending));
                    results(top_k<1>(x, 2).values);
                  });
}

TEST_CASE("halos, convolutions and pools") {
  check_all_types("`convolution`", []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
    auto const x = numbers<Of<T, _, "x,y", _>>(mesh, {1, 6, 2});
    auto const w = numbers<Of<T, _, _, _>>(mesh, {2, 2, 3});
    results(eval(convolution(x, w)));
    results(eval(convolution(x, w, {.base_dilation = {2}})));
  });
  check_all_types("`max_pool`, `exchange_halo`, `sum_halo`",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const x = numbers<Of<T, _, "x,y", _>>(mesh, {1, 6, 2});
                    results(max_pool(x, {.window = {2}, .stride = {{1}}}));
                    results(sum_halo(exchange_halo(x, {0, 1, 0}, {0, 1, 0}), {0, 1, 0}, {0, 1, 0}));
                  });
  check_fractional_types("`average_pool`", []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
    auto const x = numbers<Of<T, _, "x,y", _>>(mesh, {1, 6, 2});
    results(average_pool(x, {.window = {2}, .stride = {{1}}}));
  });
}
