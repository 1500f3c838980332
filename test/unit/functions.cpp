// SPDX-License-Identifier: Apache-2.0
// Pointwise functions against those of the standard library in double precision, also of special values; their
// gradients against central differences.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/expr.hpp>
#include <gshard/reduce.hpp>
#include <gshard/tensor/from_vector.hpp>

#include "gradients.hpp"
#include "wrong_inputs.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

template <class T>
using Line = ShardedTensor<TwoAxes, Spec<"y,x">, T>;

double const infinity = std::numeric_limits<double>::infinity();
double const NaN = std::numeric_limits<double>::quiet_NaN();
double const root2 = std::sqrt(2.0);
double const pi = std::acos(-1.0);

/// Values of every sign and magnitude, with halves and the bounds of the functions below among them.
Values const special = {0,  -0.0, 0.5, -0.5, 1,    -1,    2,      -2,      3.25,     -3.25,     6,
                        -6, 20,   -20, 100,  -100, 1e-20, 1.5e30, -1.5e30, infinity, -infinity, NaN};
Values const integers = {0, 1, -1, 2, -2, 3, 7, -7, 1000};

/// Two lists of numbers: each pair of elements of `values`.
std::pair<Values, Values> pairs_of(Values const& values) {
  std::pair<Values, Values> pairs;
  for (double a : values)
    for (double b : values) {
      pairs.first.push_back(a);
      pairs.second.push_back(b);
    }
  return pairs;
}

template <class T>
Values const& values_for() {
  return std::is_integral_v<T> ? integers : special;
}

template <class T>
double rounded(double value) {
  return static_cast<double>(static_cast<T>(value));
}

template <class T>
Line<T> line(TwoAxes const& mesh, Values const& values) {
  std::vector<T> elements;
  for (double value : values) elements.push_back(static_cast<T>(value));
  return from_vector<Line<T>>(mesh, {static_cast<std::int64_t>(values.size())}, elements);
}

template <class T>
double const tolerance = std::is_same_v<T, BFloat16> ? 0.005
                         : std::is_same_v<T, float>  ? 2e-6
                                                     : 1e-14;

/// A function of one tensor, as the library writes it for tensors and recorded tensors, and of one number.
template <class T>
struct Unary {
  std::string name;
  std::function<Line<T>(Line<T> const&)> plain;
  std::function<Var<Line<T>>(Var<Line<T>> const&)> recorded;
  double (*reference)(double);
  bool of_positive = false;  ///< gradients are checked of positive numbers

  template <class Function>
  Unary(char const* with_name, Function const& function, double (*expected)(double), bool is_of_positive = false)
      : name(with_name),
        plain([function](Line<T> const& x) { return Line<T>(eval(function(x))); }),
        reference(expected),
        of_positive(is_of_positive) {
    if constexpr (!std::is_integral_v<T>)
      recorded = [function](Var<Line<T>> const& x) { return Var<Line<T>>(eval(function(x))); };
  }

  auto operator()(Line<T> const& x) const { return weighted_sum(plain(x)); }
  auto operator()(Var<Line<T>> const& x) const { return weighted_sum(recorded(x)); }
};

/// A function of one's own.
struct Softsign {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x / (T(1) + Kokkos::abs(x));
  }
  template <class T>
  KOKKOS_FUNCTION T derivative(T x, T) const {
    T const size = T(1) + Kokkos::abs(x);
    return T(1) / (size * size);
  }
};

template <class T>
std::vector<Unary<T>> const of_numbers = {
    {"-x", [](auto const& x) { return -x; }, [](double x) { return -x; }},
    {"square", [](auto const& x) { return square(x); }, [](double x) { return x * x; }},
    {"abs", [](auto const& x) { return abs(x); }, [](double x) { return std::abs(x); }},
    {"sign", [](auto const& x) { return sign(x); }, [](double x) { return x > 0   ? 1
                                                                          : x < 0 ? -1
                                                                                  : x; }},
    {"relu", [](auto const& x) { return relu(x); }, [](double x) { return x < 0 ? 0 : x; }},
    {"maximum with 2", [](auto const& x) { return maximum(x, 2); }, [](double x) { return x < 2 ? 2 : x; }},
    {"minimum with -1", [](auto const& x) { return minimum(-1, x); }, [](double x) { return x > -1 ? -1 : x; }},
    {"clamp", [](auto const& x) { return clamp(x, -1, 2); }, [](double x) { return x < -1  ? -1
                                                                                   : x > 2 ? 2
                                                                                           : x; }},
    {"where", [](auto const& x) { return where(x > 1, x * 2, 7); }, [](double x) { return x > 1 ? x * 2 : 7; }},
};

template <class T>
std::vector<Unary<T>> const of_fractions = {
    {"exp", [](auto const& x) { return exp(x); }, [](double x) { return std::exp(x); }},
    {"expm1", [](auto const& x) { return expm1(x); }, [](double x) { return std::expm1(x); }},
    {"log", [](auto const& x) { return log(x); }, [](double x) { return std::log(x); }, true},
    {"log1p", [](auto const& x) { return log1p(x); }, [](double x) { return std::log1p(x); }, true},
    {"sqrt", [](auto const& x) { return sqrt(x); }, [](double x) { return std::sqrt(x); }, true},
    {"rsqrt", [](auto const& x) { return rsqrt(x); }, [](double x) { return 1 / std::sqrt(x); }, true},
    {"pow of 2.5", [](auto const& x) { return pow(x, 2.5); }, [](double x) { return std::pow(x, 2.5); }, true},
    {"pow of -3", [](auto const& x) { return pow(x, -3); }, [](double x) { return std::pow(x, -3); }},
    {"pow of 0", [](auto const& x) { return pow(x, 0); }, [](double x) { return std::pow(x, 0); }},
    {"2.5 to the x", [](auto const& x) { return pow(2.5, x); }, [](double x) { return std::pow(2.5, x); }},
    {"sin", [](auto const& x) { return sin(x); }, [](double x) { return std::sin(x); }},
    {"cos", [](auto const& x) { return cos(x); }, [](double x) { return std::cos(x); }},
    {"tanh", [](auto const& x) { return tanh(x); }, [](double x) { return std::tanh(x); }},
    {"erf", [](auto const& x) { return erf(x); }, [](double x) { return std::erf(x); }},
    {"sigmoid", [](auto const& x) { return sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }},
    {"silu", [](auto const& x) { return silu(x); },
     [](double x) { return x == -infinity ? 0 : x / (1 + std::exp(-x)); }},
    {"gelu", [](auto const& x) { return gelu(x); },
     [](double x) { return x == -infinity ? 0 : x * (1 + std::erf(x / root2)) / 2; }},
    {"gelu_tanh", [](auto const& x) { return gelu_tanh(x); },
     [](double x) {
       return x == -infinity ? 0 : x * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x))) / 2;
     }},
    {"softplus", [](auto const& x) { return softplus(x); },
     [](double x) { return x > 50 ? x : std::log1p(std::exp(x)); }},
    {"leaky_relu", [](auto const& x) { return leaky_relu(x); }, [](double x) { return x < 0 ? x * 0.01 : x; }},
    {"leaky_relu with a slope", [](auto const& x) { return leaky_relu(x, 0.25); },
     [](double x) { return x < 0 ? x / 4 : x; }},
    {"a function of one's own", [](auto const& x) { return map<Softsign>(x); },
     [](double x) { return x / (1 + std::abs(x)); }},
};

template <class T>
void check_values(std::vector<Unary<T>> const& functions) {
  on_every_mesh([&](TwoAxes const& mesh) {
    auto const x = line<T>(mesh, values_for<T>());
    for (Unary<T> const& function : functions) {
      INFO(function.name);
      Values expected;
      for (double value : values_for<T>()) expected.push_back(rounded<T>(function.reference(rounded<T>(value))));
      CHECK(difference(function.plain(x), expected, tolerance<T>) == "");
    }
  });
}

}  // namespace

TEST_CASE("functions of one tensor, of all numbers") {
  check_values(of_numbers<float>);
  check_values(of_numbers<double>);
  check_values(of_numbers<BFloat16>);
  check_values(of_numbers<int>);
  check_values(of_numbers<std::int64_t>);
}

TEST_CASE("functions of one tensor, of floating point") {
  check_values(of_fractions<float>);
  check_values(of_fractions<double>);
  check_values(of_fractions<BFloat16>);
}

TEST_CASE("values and derivatives are precise relatively where sums would cancel") {
  struct Row {
    char const* name;
    double x, value, derivative;
  };
  // Computed with 50 digits, and rounded.
  std::vector<Row> const rows = {
      {"expm1", 1e-10, 1.00000000005e-10, 1.0000000001},
      {"log1p", 1e-10, 9.9999999995e-11, 0.9999999999},
      {"silu", -30, -2.8072868906517897e-12, -2.713710660963134e-12},
      {"gelu", -6, -5.9195258702261888e-9, -3.5468709453902015e-8},
      {"gelu_tanh", -6, -8.4396467007622971e-11, -7.7099739309536955e-10},
      {"softplus", -30, 9.3576229688397368e-14, 9.357622968839299e-14},
  };
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  for (Row const& row : rows)
    for (Unary<double> const& function : of_fractions<double>) {
      if (function.name != row.name) continue;
      INFO(row.name);
      Tape tape;
      auto const x = tape.watch(line<double>(mesh, {row.x}));
      auto const y = function.recorded(x);
      CHECK(std::abs(to_vector(y.value())[0] / row.value - 1) < 1e-13);
      tape.backward(y, line<double>(mesh, {1}));
      CHECK(std::abs(to_vector(tape.gradient(x))[0] / row.derivative - 1) < 1e-13);
    }
}

// ---- Functions of two tensors

namespace {

template <class T>
struct Binary {
  std::string name;
  std::function<Values(Line<T> const&, Line<T> const&)> apply;
  double (*reference)(double, double);

  template <class Function>
  Binary(char const* with_name, Function const& function, double (*expected)(double, double))
      : name(with_name),
        apply([function](Line<T> const& a, Line<T> const& b) { return collected(eval(function(a, b))); }),
        reference(expected) {}
};

template <class T>
std::vector<Binary<T>> const of_two_numbers = {
    {"maximum", [](auto const& a, auto const& b) { return maximum(a, b); },
     [](double a, double b) { return std::isnan(a) || std::isnan(b) ? NaN : std::max(a, b); }},
    {"minimum", [](auto const& a, auto const& b) { return minimum(a, b); },
     [](double a, double b) { return std::isnan(a) || std::isnan(b) ? NaN : std::min(a, b); }},
    {"<", [](auto const& a, auto const& b) { return a < b; }, [](double a, double b) -> double { return a < b; }},
    {"<=", [](auto const& a, auto const& b) { return a <= b; }, [](double a, double b) -> double { return a <= b; }},
    {">", [](auto const& a, auto const& b) { return a > b; }, [](double a, double b) -> double { return a > b; }},
    {">=", [](auto const& a, auto const& b) { return a >= b; }, [](double a, double b) -> double { return a >= b; }},
    {"less", [](auto const& a, auto const& b) { return less(a, b); },
     [](double a, double b) -> double { return a < b; }},
    {"less_equal", [](auto const& a, auto const& b) { return less_equal(a, b); },
     [](double a, double b) -> double { return a <= b; }},
    {"greater", [](auto const& a, auto const& b) { return greater(a, b); },
     [](double a, double b) -> double { return a > b; }},
    {"greater_equal", [](auto const& a, auto const& b) { return greater_equal(a, b); },
     [](double a, double b) -> double { return a >= b; }},
    {"equal", [](auto const& a, auto const& b) { return equal(a, b); },
     [](double a, double b) -> double { return a == b; }},
    {"not_equal", [](auto const& a, auto const& b) { return not_equal(a, b); },
     [](double a, double b) -> double { return a != b; }},
    {"logical_and", [](auto const& a, auto const& b) { return logical_and(a, b); },
     [](double a, double b) -> double { return a != 0 && b != 0; }},
    {"logical_or", [](auto const& a, auto const& b) { return logical_or(a, b); },
     [](double a, double b) -> double { return a != 0 || b != 0; }},
    {"logical_not", [](auto const& a, auto const&) { return logical_not(a); },
     [](double a, double) -> double { return a == 0; }},
    {"isnan", [](auto const& a, auto const&) { return isnan(a); },
     [](double a, double) -> double { return std::isnan(a); }},
    {"isfinite", [](auto const& a, auto const&) { return isfinite(a); },
     [](double a, double) -> double { return std::isfinite(a); }},
    {"1 <= x", [](auto const& a, auto const&) { return 1 <= a; }, [](double a, double) -> double { return 1 <= a; }},
    {"x equal to 2", [](auto const& a, auto const&) { return equal(a, 2); },
     [](double a, double) -> double { return a == 2; }},
    {"where", [](auto const& a, auto const& b) { return where(isnan(a), b, a); },
     [](double a, double b) { return std::isnan(a) ? b : a; }},
    {"where of numbers", [](auto const& a, auto const& b) { return where(a < b, 2, 3); },
     [](double a, double b) -> double { return a < b ? 2 : 3; }},
    {"where of a condition in its own elements", [](auto const& a, auto const& b) { return where(a, 1, b); },
     [](double a, double b) { return a != 0 ? 1 : b; }},
};

template <class T>
std::vector<Binary<T>> const of_two_fractions = {
    {"pow", [](auto const& a, auto const& b) { return pow(a, b); }, [](double a, double b) { return std::pow(a, b); }},
    {"where of fractions", [](auto const& a, auto const& b) { return where(a < b, 0.5, -a); },
     [](double a, double b) { return a < b ? 0.5 : -a; }},
};

template <class T>
void check_values(std::vector<Binary<T>> const& functions) {
  on_every_mesh([&](TwoAxes const& mesh) {
    auto const [left, right] = pairs_of(values_for<T>());
    auto const a = line<T>(mesh, left), b = line<T>(mesh, right);
    for (Binary<T> const& function : functions) {
      INFO(function.name);
      Values expected;
      for (std::size_t i = 0; i < left.size(); ++i)
        expected.push_back(rounded<T>(function.reference(rounded<T>(left[i]), rounded<T>(right[i]))));
      CHECK(difference(function.apply(a, b), expected, tolerance<T>) == "");
    }
  });
}

}  // namespace

TEST_CASE("functions of two tensors, and of a tensor and a number") {
  check_values(of_two_numbers<float>);
  check_values(of_two_numbers<double>);
  check_values(of_two_numbers<BFloat16>);
  check_values(of_two_numbers<int>);
  check_values(of_two_numbers<std::int64_t>);
  check_values(of_two_fractions<double>);
}

TEST_CASE("element types of results") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const narrow = line<BFloat16>(mesh, {1, 2}), other = line<BFloat16>(mesh, {2, 1});
  auto const mask = line<int>(mesh, {1, 0});
  auto const is = []<class T>(std::type_identity<T>, auto const& result) {
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(result)>, Line<T>>);
    return result;
  };
  CHECK(difference(is(std::type_identity<int>{}, eval(narrow < other)), {1, 0}) == "");
  CHECK(difference(is(std::type_identity<int>{}, eval(logical_and(mask, narrow))), {1, 0}) == "");
  CHECK(difference(is(std::type_identity<BFloat16>{}, eval(where(mask, narrow, other))), {1, 1}) == "");
  CHECK(difference(is(std::type_identity<BFloat16>{}, eval(where(mask, 0.5, exp(narrow * 0)))), {0.5, 1}) == "");
  CHECK(difference(is(std::type_identity<BFloat16>{}, eval(clamp(narrow, 0.5, 1.5))), {1, 1.5}) == "");
  CHECK(difference(is(std::type_identity<BFloat16>{}, eval(leaky_relu(-narrow, 0.5))), {-0.5, -1}) == "");
  CHECK(difference(is(std::type_identity<float>{}, eval(where(mask, 0.5F, 1))), {0.5, 1}) == "");
  CHECK(difference(is(std::type_identity<double>{}, eval(where(mask, 0.5, 1))), {0.5, 1}) == "");
  CHECK(difference(is(std::type_identity<int>{}, eval(where(mask, true, false))), {1, 0}) == "");
}

TEST_CASE("the maximum of one operand is a reduction, that of two is not") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<ShardedTensor<TwoAxes, Spec<"x", "y">, double>>(mesh, {2, 3}, 1);
  auto expected = dense_values({2, 3}, 1);
  CHECK(maximum(x) == *std::max_element(expected.begin(), expected.end()));
  CHECK(eval(maximum<0>(x)).extents() == Extents{3});
  for (double& value : expected) value = std::max(value, 0.0);
  CHECK(difference(eval(maximum(x, 0)), expected) == "");
  CHECK(maximum(minimum(x, -5)) == -5);
}

TEST_CASE("where selects from unreduced sums") {
  on_every_mesh([](TwoAxes const& mesh) {
    using Parts = ShardedTensor<TwoAxes, Spec<"x", partial("y")>, double>;
    auto const a = filled<Parts>(mesh, {5}, 1), b = filled<Parts>(mesh, {5}, 20);
    auto const mask = from_vector<ShardedTensor<TwoAxes, Spec<"x">, int>>(mesh, {5}, std::vector<int>{1, 0, 0, 1, 0});
    auto expected = dense_values_of(b, 20);
    expected[0] = dense_values_of(a, 1)[0];
    expected[3] = dense_values_of(a, 1)[3];
    auto const selected = eval(where(mask, a, b));
    static_assert(std::is_same_v<decltype(selected), Parts const>);
    CHECK(difference(selected, expected) == "");
    check_gradients([&](auto const& x, auto const& y) { return weighted_sum(eval(where(mask, x, y))); }, a, b);
  });
}

TEST_CASE("clamp refuses bounds in the wrong order") {
  auto const x = line<double>(TwoAxes(runtime(), two_axis_shapes().front()), {1, 2});
  expect_refusal<OptionError>("clamp: order", [&] { (void)clamp(x, 2, 1.5); }, "from 2 to 1.5", "low <= high");
  expect_refusal<OptionError>("clamp: NaN", [&] { (void)clamp(x, 0, NaN); }, "low <= high");
}

// ---- Gradients

TEST_CASE("gradients of functions of one tensor") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const all = line<double>(mesh, {-2.6, -1.3, -0.4, 0.3, 0.8, 1.7, 2.9});
    auto const positive = line<double>(mesh, {0.3, 0.8, 1.7, 2.9, 4.1});
    for (auto const* functions : {&of_numbers<double>, &of_fractions<double>})
      for (Unary<double> const& function : *functions) {
        INFO(function.name);
        check_gradients(function, function.of_positive ? positive : all);
      }
  });
}

TEST_CASE("gradients of functions of two tensors") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = line<double>(mesh, {0.3, 0.8, 1.7, 2.9, 4.1});
    auto const b = line<double>(mesh, {1.2, -0.7, 0.4, 3.5, -1.1});
    auto const mask = line<int>(mesh, {1, 0, 0, 1, 1});
    check_gradients([](auto const& x, auto const& y) { return weighted_sum(eval(pow(x, y))); }, a, b);
    check_gradients([](auto const& x, auto const& y) { return weighted_sum(eval(maximum(x, y))); }, a, b);
    check_gradients([](auto const& x, auto const& y) { return weighted_sum(eval(minimum(x, y))); }, a, b);
    check_gradients([&](auto const& x, auto const& y) { return weighted_sum(eval(where(mask, x, y))); }, a, b);
    check_gradients([](auto const& x, auto const& y) { return weighted_sum(eval(where(x < y, 1, x * y))); }, a, b);
  });
}

namespace {

/// A derivative at one point, of the operand that is recorded.
struct Derivative {
  char const* name;
  std::function<Var<Line<double>>(Var<Line<double>> const&, TwoAxes const&)> function;
  double x, expected;
  double gradient = 1;  ///< of the result
};

template <class Function>
auto of_one(Function const& function) {
  return [function](Var<Line<double>> const& x, TwoAxes const&) { return Var<Line<double>>(eval(function(x))); };
}

/// `function(x, other)` for a tensor of one element.
template <class Function>
auto beside(double other, Function const& function) {
  return [=](Var<Line<double>> const& x, TwoAxes const& mesh) {
    return Var<Line<double>>(eval(function(x, line<double>(mesh, {other}))));
  };
}

auto const a_maximum = [](auto const& a, auto const& b) { return maximum(a, b); };
auto const a_minimum = [](auto const& a, auto const& b) { return minimum(a, b); };
auto const a_power = [](auto const& a, auto const& b) { return pow(a, b); };
auto const power_of = [](auto const& exponent, auto const& base) { return pow(base, exponent); };

std::vector<Derivative> const derivatives = {
    {"abs at 0", of_one([](auto const& x) { return abs(x); }), 0, 0},
    {"sign at 0", of_one([](auto const& x) { return sign(x); }), 0, 0},
    {"relu at 0", of_one([](auto const& x) { return relu(x); }), 0, 0},
    {"relu at NaN", of_one([](auto const& x) { return relu(x); }), NaN, 1},
    {"relu of an infinite gradient", of_one([](auto const& x) { return relu(x); }), -1, 0, infinity},
    {"leaky_relu at 0", of_one([](auto const& x) { return leaky_relu(x, 0.25); }), 0, 0.25},
    {"clamp at low", of_one([](auto const& x) { return clamp(x, -1, 2); }), -1, 1},
    {"clamp at high", of_one([](auto const& x) { return clamp(x, -1, 2); }), 2, 1},
    {"clamp outside", of_one([](auto const& x) { return clamp(x, -1, 2); }), 2.5, 0},
    {"sqrt at 0", of_one([](auto const& x) { return sqrt(x); }), 0, infinity},
    {"maximum of equals", beside(1, a_maximum), 1, 0.5},
    {"maximum of zeros", beside(-0.0, a_maximum), 0, 0.5},
    {"maximum with an equal number", of_one([](auto const& x) { return maximum(1, x); }), 1, 0.5},
    {"maximum of NaN and a number", beside(1, a_maximum), NaN, 1},
    {"maximum of a number and NaN", beside(NaN, a_maximum), 1, 0},
    {"maximum of two NaN", beside(NaN, a_maximum), NaN, 0.5},
    {"minimum of equals", beside(infinity, a_minimum), infinity, 0.5},
    {"minimum of NaN and a number", beside(1, a_minimum), NaN, 1},
    {"minimum of a number and NaN", beside(NaN, a_minimum), 1, 0},
    {"pow of 0 and 0", beside(0, a_power), 0, 0},
    {"pow of 0 and 1", beside(1, a_power), 0, 1},
    {"pow of 0 and 2", beside(2, a_power), 0, 0},
    {"pow of -2 and 3", beside(3, a_power), -2, 12},
    {"0 to the 2", beside(0, power_of), 2, 0},
    {"0 to the 0", beside(0, power_of), 0, 0},
    {"0 to the -1", beside(0, power_of), -1, -infinity},
    {"-2 to the 2", beside(-2, power_of), 2, NaN},
    {"silu of infinity", of_one([](auto const& x) { return silu(x); }), infinity, 1},
    {"silu of -infinity", of_one([](auto const& x) { return silu(x); }), -infinity, 0},
    {"gelu of infinity", of_one([](auto const& x) { return gelu(x); }), infinity, 1},
    {"gelu of -infinity", of_one([](auto const& x) { return gelu(x); }), -infinity, 0},
    {"gelu_tanh of infinity", of_one([](auto const& x) { return gelu_tanh(x); }), infinity, 1},
    {"gelu_tanh of -infinity", of_one([](auto const& x) { return gelu_tanh(x); }), -infinity, 0},
    {"gelu_tanh of 1e200", of_one([](auto const& x) { return gelu_tanh(x); }), 1e200, 1},
    {"softplus of infinity", of_one([](auto const& x) { return softplus(x); }), infinity, 1},
    {"softplus of -infinity", of_one([](auto const& x) { return softplus(x); }), -infinity, 0},
    {"where, not selected, of a NaN gradient", of_one([](auto const& x) { return where(x > 0, x, 1); }), -1, 0, NaN},
    {"where, selected, of an infinite gradient", of_one([](auto const& x) { return where(x > 0, x, 1); }), 1, infinity,
     infinity},
};

}  // namespace

TEST_CASE("derivatives at kinks, bounds, infinities and NaN") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  for (Derivative const& row : derivatives) {
    INFO(row.name);
    Tape tape;
    auto const x = tape.watch(line<double>(mesh, {row.x}));
    tape.backward(row.function(x, mesh), line<double>(mesh, {row.gradient}));
    CHECK(difference(tape.gradient(x), {row.expected}, 1e-15) == "");
  }
}

TEST_CASE("comparisons of recorded tensors are plain tensors of int") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Tape tape;
  auto const x = tape.watch(line<float>(mesh, {1, -2}));
  auto const mask = x > 0;
  static_assert(std::is_same_v<decltype(mask), Line<int> const>);
  CHECK(difference(mask, {1, 0}) == "");
  CHECK(difference(eval(logical_and(mask, isfinite(x))), {1, 0}) == "");
  CHECK(difference(eval(logical_not(less_equal(x, 0))), {1, 0}) == "");
  auto const y = where(tape.input(mask), x, 3);
  CHECK(difference(y.value(), {1, 3}) == "");
  tape.backward(y, line<float>(mesh, {5, 7}));
  CHECK(difference(tape.gradient(x), {5, 0}) == "");
}

TEST_CASE("integers: the smallest one stays under a minus sign, and a number that no element holds is refused") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  ShardedTensor<TwoAxes, Spec<_>, int> x(mesh, {1});
  x.data()[0] = std::numeric_limits<int>::min();
  CHECK(to_vector(eval(-x))[0] == std::numeric_limits<int>::min());
  CHECK(to_vector(eval(abs(x)))[0] == std::numeric_limits<int>::min());
  CHECK_THROWS_AS((void)eval(less(x, std::int64_t{1} << 32)), OptionError);
  CHECK_THROWS_AS((void)eval(clamp(x, 0, std::numeric_limits<std::int64_t>::max())), OptionError);
}

TEST_CASE("the derivative of expm1 does not come from a result that is rounded to -1") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  ShardedTensor<TwoAxes, Spec<_>, float> x(mesh, {1});
  x.data()[0] = -20;
  Tape tape;
  auto const leaf = tape.watch(x);
  tape.backward(sum(expm1(leaf)));
  CHECK(static_cast<double>(to_vector(tape.gradient(leaf))[0]) == doctest::Approx(std::exp(-20.0)));
}
