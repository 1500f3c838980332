// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <gshard/einsum.hpp>

#include "dense_reference.hpp"

/// A generated table: every combination of some subscripts, a spec for each operand, and a spec for the result, each
/// against loops over all letters.
namespace gshard::test {

/// How long each letter is.
struct Lengths {
  char const* name;
  std::array<std::int64_t, 5> cycle;
  std::int64_t operator()(char letter) const { return cycle[static_cast<std::size_t>(letter - 'a') % cycle.size()]; }
};

inline std::array<Lengths, 4> const table_lengths = {
    {{"even", {4, 8, 4, 8, 12}}, {"uneven", {5, 7, 3, 6, 2}}, {"tiny", {1, 2, 1, 1, 2}}, {"empty", {3, 0, 4, 1, 2}}}};

inline Extents extents_of(Labels const& labels, Lengths const& length) {
  Extents extents;
  for (char label : labels) extents.push_back(length(label));
  return extents;
}

/// The combinations of all tables of this program.
inline int& combinations_in_tables() {
  static int count = 0;
  return count;
}

template <class... Items>
struct Specs {
  static constexpr int count = sizeof...(Items);
};

/// What a row is compared with, whatever its types.
struct Expected {
  Extents extents;
  std::vector<double> values;
  std::string where;
};

template <class Tensor>
void check_combination(Tensor const& result, Expected const& expected) {
  INFO(expected.where, " as ", gshard::detail::text_of<typename Tensor::mesh_type>(Tensor::layout));
  CHECK(result.extents() == expected.extents);
  CHECK(difference(result, expected.values) == "");
}

template <bool MayMove, class Tensor>
auto operand_of(Tensor const& tensor) {
  if constexpr (MayMove) return movable(tensor);
  else return tensor;
}

/// All combinations of `Text` with operands held by these specs, and each of the results, on meshes of type `Mesh`.
/// Operands may move where a combination cannot do without.
template <class Mesh, FixedString Text, class... Lists>
class EinsumTable {
 public:
  static constexpr int combinations = (Lists::count * ...);

  EinsumTable() { combinations_in_tables() += combinations; }

  static void check_on(Mesh const& mesh) {
    for (Lengths const& length : table_lengths) check(mesh, length, Lists{}...);
  }

 private:
  static constexpr Subscripts subscripts = subscripts_of<Text>;

  template <class Spec>
  using Of = ShardedTensor<Mesh, Spec, double>;

  template <class... A, class... Results>
  static void check(Mesh const& mesh, Lengths const& length, Specs<A...>, Specs<Results...> results) {
    (check_results(length, results, filled<Of<A>>(mesh, extents_of(subscripts.operands[0], length), 1)), ...);
  }

  template <class... A, class... B, class... Results>
  static void check(Mesh const& mesh, Lengths const& length, Specs<A...>, Specs<B...> right,
                    Specs<Results...> results) {
    (check_right(mesh, length, right, results, filled<Of<A>>(mesh, extents_of(subscripts.operands[0], length), 1)),
     ...);
  }

  template <class Left, class... B, class... Results>
  static void check_right(Mesh const& mesh, Lengths const& length, Specs<B...>, Specs<Results...> results,
                          Left const& left) {
    (check_results(length, results, left, filled<Of<B>>(mesh, extents_of(subscripts.operands[1], length), 2)), ...);
  }

  template <class... Results, class... Operands>
  static void check_results(Lengths const& length, Specs<Results...>, Operands const&... operands) {
    Expected expected;
    std::vector<Dense> dense;
    expected.where = std::string(Text.view()) + " of ";
    auto add = [&](auto const& tensor) {
      dense.push_back({tensor.extents(), dense_values_of(tensor, static_cast<std::int64_t>(dense.size()) + 1)});
      expected.where += gshard::detail::text_of<Mesh>(tensor.layout);
    };
    (add(operands), ...);
    Dense const values = dense_einsum(Text.view(), dense);
    expected.extents = values.extents;
    expected.values = values.values;
    expected.where +=
        std::string(" on mesh (") + std::get<0>(std::tie(operands...)).mesh().text() + "), " + length.name;
    (check_result<Results>(expected, operands...), ...);
  }

  template <class Result, class... Operands>
  static void check_result(Expected const& expected, Operands const&... operands) {
    constexpr bool moves = plan_einsum(gshard::detail::declared_facts<Text, Of<Result>, Operands...>()).fault.kind !=
                           gshard::detail::PlanFault::none;
    check_combination(shard<Result>(einsum<Text>(operand_of<moves>(operands)...)), expected);
  }
};

}  // namespace gshard::test
