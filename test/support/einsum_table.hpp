// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <gshard/einsum.hpp>

#include "dense_reference.hpp"
#include "mpi_test.hpp"

/// Tables of einsums, each row against loops over all letters, on every mesh of two axes, with even, uneven, tiny and
/// empty extents. Elements are small integers, so results are exact.
namespace gshard::test {

template <class T, class Spec>
using Of = ShardedTensor<TwoAxes, Spec, T>;

/// The result spec is left to the plan.
struct Propagated {};

/// A row of a table: subscripts, the spec of the result and those of the operands, marked as the tensors are to be:
/// `Movable<Spec<"x", _>>`.
template <FixedString Text, class Result, class... Operands>
struct Row {};

template <class Type>
struct MarkedSpec {
  using spec = Type;
  template <class Tensor>
  static std::remove_cvref_t<Tensor> marked(Tensor&& tensor) {
    return std::forward<Tensor>(tensor);
  }
};
template <class Type, Handling How>
struct MarkedSpec<Handled<Type, How>> {
  using spec = Type;
  template <class Tensor>
  static auto marked(Tensor&& tensor) {
    if constexpr (AnyRecipe<Tensor>) return in_ring(std::forward<Tensor>(tensor));
    else return Handled<std::remove_cvref_t<Tensor>, How>{tensor};
  }
};

/// The einsum of a row, of tensors or recorded tensors.
template <FixedString Text, class Result, class... Operands, class... Tensors>
auto einsum_of(Row<Text, Result, Operands...>, Tensors const&... tensors) {
  auto expression = einsum<Text>(MarkedSpec<Operands>::marked(tensors)...);
  if constexpr (std::is_same_v<Result, Propagated>) return eval(std::move(expression));
  else return shard<typename MarkedSpec<Result>::spec>(MarkedSpec<Result>::marked(std::move(expression)));
}

/// How long each letter is.
struct Lengths {
  char const* name;
  std::array<std::int64_t, 5> cycle;
  std::int64_t operator()(char letter) const { return cycle[static_cast<std::size_t>(letter - 'a') % cycle.size()]; }
};

inline std::array<Lengths, 4> const lengths = {
    {{"even", {4, 8, 4, 8, 12}}, {"uneven", {5, 7, 3, 6, 2}}, {"tiny", {1, 2, 1, 1, 2}}, {"empty", {3, 0, 4, 1, 2}}}};

inline Extents extents_of(Labels const& labels, Lengths const& length) {
  Extents extents;
  for (char label : labels) extents.push_back(length(label));
  return extents;
}

template <class T, FixedString Text, class Result, class... Operands>
void check_row(TwoAxes const& mesh, Lengths const& length, Row<Text, Result, Operands...> row) {
  constexpr Subscripts subscripts = subscripts_of<Text>;
  int operand = 0;
  std::vector<Dense> dense;
  std::string specs;
  auto make = [&]<class Operand>(std::type_identity<Operand>) {
    using Tensor = Of<T, typename MarkedSpec<Operand>::spec>;
    auto const tensor = filled<Tensor>(mesh, extents_of(subscripts.operands[operand], length), operand + 1);
    dense.push_back({tensor.extents(), dense_values_of(tensor, operand + 1)});
    specs += gshard::detail::text_of<TwoAxes>(Tensor::layout);
    ++operand;
    return tensor;
  };
  std::tuple<Of<T, typename MarkedSpec<Operands>::spec>...> const tensors{make(std::type_identity<Operands>{})...};
  auto const result = std::apply([&](auto const&... tensor) { return einsum_of(row, tensor...); }, tensors);
  Dense const expected = dense_einsum(Text.view(), dense);
  INFO(std::string(Text.view()), " of ", specs, " as ", gshard::detail::text_of<TwoAxes>(result.layout), " on mesh (",
       mesh.text(), "), ", length.name);
  CHECK(result.extents() == expected.extents);
  CHECK(difference(result, expected.values) == "");
}

template <class T, class... Rows>
void check_table(std::tuple<Rows...>) {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    for (Lengths const& length : lengths) (check_row<T>(mesh, length, Rows{}), ...);
  }
}

}  // namespace gshard::test
