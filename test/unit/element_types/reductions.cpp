// SPDX-License-Identifier: Apache-2.0
// Reductions, and operations along one dimension.
#include <gshard/reduce.hpp>

#include "element_types.hpp"

using namespace gshard;
using namespace gshard::test;

TEST_CASE("reductions") {
  check_all_types(
      "`sum`, `cumulative_sum` (of integers: std::int64_t)",
      []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
        auto const x = numbers<Of<T, "x", "y">>(mesh, {3, 4});
        results(eval(sum<0>(x)));
        results(sum(x));
        results(cumulative_sum<1>(x));
        if constexpr (std::is_integral_v<T>) {
          static_assert(std::is_same_v<typename decltype(eval(sum<0>(x)))::value_type, std::int64_t>);
          Of<T, "x,y"> const large(mesh, {4});
          fill(large, [](auto const&) { return std::int64_t{1} << 30; });
          CHECK(sum(large) == std::int64_t{1} << 32);
          CHECK(difference(eval(sum<0>(large)), {4294967296.}) == "");
          CHECK(difference(cumulative_sum<0>(large), {1073741824., 2147483648., 3221225472., 4294967296.}) == "");
        }
      });
  check_all_types("`prod` (of integers: std::int64_t)",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const x = numbers<Of<T, "x", "y">>(mesh, {3, 4});
                    results(eval(prod<0>(x)));
                    results(prod(x));
                    if constexpr (std::is_integral_v<T>) {
                      static_assert(std::is_same_v<typename decltype(eval(prod<0>(x)))::value_type, std::int64_t>);
                      static_assert(std::is_same_v<decltype(prod(x)), std::int64_t>);
                    }
                  });
  check_all_types("`mean`, `norm` (of integers: double)",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    // Lengths of 3, 4, 0 and of 0, 4, 3: norms that are integers.
                    auto const x = numbers<Of<T, "x", "y">>(mesh, {4, 4});
                    results(eval(mean<0>(x)));
                    results(mean(x));
                    Of<T, "x", "y"> const y(mesh, {3, 3});
                    fill(y, [](auto const& index) { return index[1] == 1 ? 4.0 : index[0] == index[1] ? 3.0 : 0.0; });
                    results(eval(square(norm<1>(y))));
                    results(norm(y) * norm(y));
                  });
  check_all_types("`maximum`, `minimum`, `argmax`, `argmin`",
                  []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                    auto const x = numbers<Of<T, "x", "y">>(mesh, {3, 4});
                    results(eval(maximum<0>(x)));
                    results(eval(minimum<1>(x)));
                    results(maximum(x));
                    results(minimum(x));
                    results(argmax<0>(x));
                    results(argmin<1>(x));
                  });
  check_all_types(
      "`count_nonzero` (std::int64_t), `any`, `all` (int)",
      []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
        auto const x = numbers<Of<T, "x", "y">>(mesh, {3, 4});
        results(eval(count_nonzero<0>(x)));
        results(eval(any<1>(x)));
        results(eval(all<1>(x)));
        results(count_nonzero(x));
        static_assert(std::is_same_v<typename decltype(eval(count_nonzero<0>(x)))::value_type, std::int64_t>);
        static_assert(std::is_same_v<typename decltype(eval(any<1>(x)))::value_type, int>);
        CHECK(any(x));
        CHECK(!all(x));
      });
  check_fractional_types("`variance`, `standard_deviation`",
                         []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                           auto const x = numbers<Of<T, "x", "y">>(mesh, {3, 4});
                           results(eval(variance<0>(x)));
                           results(eval(standard_deviation<1>(x, 1)));
                           results(variance(x));
                           results(standard_deviation(x));
                         });
  check_fractional_types("`softmax`, `log_softmax`, `log_sum_exp`",
                         []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                           auto const x = numbers<Of<T, "x", "y">>(mesh, {3, 4});
                           results(softmax<1>(x));
                           results(log_softmax<0>(x));
                           results(log_sum_exp<1>(x));
                         });
}
