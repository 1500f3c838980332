// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include <gshard/core/bfloat16.hpp>
#include <gshard/tensor/from_vector.hpp>

#include "dense_reference.hpp"

/// The table of docs/element_types.md, cell by cell: an operation runs on small integers in each element type that the
/// page names, and its results are those in double, up to the precision of the type.
namespace gshard::test {

template <class T, AxisNames... Entries>
using Of = ShardedTensor<TwoAxes, Spec<Entries...>, T>;

/// Elements whose results are compared with those in double: small integers, from -4 to 4, or from 1 to 9.
template <AnyTensor Tensor>
Tensor numbers(TwoAxes const& mesh, Extents const& extents) {
  return filled<Tensor>(mesh, extents, 1);
}
constexpr double positive_integer(std::int64_t seed, std::int64_t position) {
  return small_integer(seed, position) + 5;
}
template <AnyTensor Tensor>
Tensor positive_numbers(TwoAxes const& mesh, Extents const& extents) {
  return filled<Tensor>(mesh, extents, 2, positive_integer);
}

/// All results of an operation, one after the other.
class Results {
 public:
  template <AnyTensor Tensor>
  void operator()(Tensor const& tensor) {
    std::vector<double> const elements = collected(tensor);
    values.insert(values.end(), elements.begin(), elements.end());
  }
  template <class Number>
    requires std::is_arithmetic_v<Number>
  void operator()(Number number) {
    values.push_back(static_cast<double>(number));
  }

  std::vector<double> values;
};

template <class T>
inline constexpr double precision = std::is_same_v<T, BFloat16> ? 0.04
                                    : std::is_same_v<T, float>  ? 1e-5
                                                                : 0;
template <class T>
inline constexpr char const* type_name = "";
template <>
inline constexpr char const* type_name<float> = "float";
template <>
inline constexpr char const* type_name<double> = "double";
template <>
inline constexpr char const* type_name<BFloat16> = "BFloat16";
template <>
inline constexpr char const* type_name<std::int32_t> = "int32";
template <>
inline constexpr char const* type_name<std::int64_t> = "int64";

/// The columns of the page that hold "yes" for an operation, in their order: "float double BFloat16 int32 int64".
std::string types_on_the_page(std::string const& operation);

/// Runs `operation(mesh, std::type_identity<T>, results)` for each of the types, and looks the row up.
template <class... Types, class Operation>
void check_row(std::string const& name, Operation const& operation) {
  INFO(name);
  std::string checked;
  ((checked += (checked.empty() ? "" : " ") + std::string(type_name<Types>)), ...);
  CHECK(types_on_the_page(name) == checked);
  on_every_mesh([&](TwoAxes const& mesh) {
    Results right;
    operation(mesh, std::type_identity<double>{}, right);
    auto const check = [&]<class T>(std::type_identity<T> type) {
      INFO(type_name<T>);
      Results found;
      operation(mesh, type, found);
      CHECK(difference(found.values, right.values, precision<T>) == "");
    };
    (check(std::type_identity<Types>{}), ...);
  });
}

template <class Operation>
void check_all_types(std::string const& name, Operation const& operation) {
  check_row<float, double, BFloat16, std::int32_t, std::int64_t>(name, operation);
}
template <class Operation>
void check_fractional_types(std::string const& name, Operation const& operation) {
  check_row<float, double, BFloat16>(name, operation);
}

}  // namespace gshard::test
