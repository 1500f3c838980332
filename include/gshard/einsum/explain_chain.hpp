// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include <gshard/einsum/chain.hpp>
#include <gshard/einsum/explain.hpp>

namespace gshard {

namespace detail {

/// A tensor that an explanation speaks of and nobody computes.
template <AnyTensor Tensor>
class NamedShape {
 public:
  using mesh_type = typename Tensor::mesh_type;
  using value_type = typename Tensor::value_type;
  static constexpr Layout layout = Tensor::layout;

  NamedShape(mesh_type const& mesh, Extents const& extents, std::string name) : mesh_(mesh), extents_(extents), name_(std::move(name)) {}

  mesh_type const& mesh() const { return mesh_; }
  Extents const& extents() const { return extents_; }
  std::int64_t extent(int dimension) const { return extents_[dimension]; }
  std::string const& name() const { return name_; }

 private:
  mesh_type mesh_;
  Extents extents_;
  std::string name_;
};

template <AnyTensor Tensor>
NamedShape<Tensor> shape_of(Tensor const& tensor) {
  return {tensor.mesh(), tensor.extents(), tensor.name()};
}

/// The explanations of the pairs of an order from `Position` on.
template <class Chain, int Order, int Position, class... Shapes>
std::string explain_pairs(std::tuple<Shapes...> const& shapes) {
  using Step = ChainPair<Chain, Order, Position>;
  using Plan = typename Step::Plan;
  auto const pair = std::make_tuple(std::get<Step::pair.left>(shapes), std::get<Step::pair.right>(shapes));
  std::string const text_of_pair = explain_first<Step::pair.text, Plan>(pair, std::make_index_sequence<2>{});
  if constexpr (Step::is_last) {
    return text_of_pair;
  } else {
    NamedShape<typename Step::Product> const product(std::get<0>(pair).mesh(), result_extents(Step::pair.text.view(), Plan::subscripts, pair),
                                                     std::string(Step::pair.text.view()));
    return text_of_pair + explain_pairs<Chain, Order, Position + 1>(operands_after<Step>(shapes, product));
  }
}

template <class Chain, int Order, class... Shapes>
std::string explain_order(int chosen, std::tuple<Shapes...> const& shapes) {
  if constexpr (Order + 1 < Chain::orders.size())
    if (chosen != Order) return explain_order<Chain, Order + 1>(chosen, shapes);
  return explain_pairs<Chain, Order, 0>(shapes);
}

/// `Chain` is a detail::Chain.
template <FixedString Text, class Chain, class Tensors, std::size_t... Operand>
std::string explain_chain(Tensors const& tensors, std::index_sequence<Operand...>) {
  using Types = typename Chain::Types;
  auto const& first = std::get<0>(tensors);
  std::tuple const operands{std::get<Operand>(tensors)...};
  (void)result_extents(Text.view(), Types::subscripts, operands);
  LetterExtents const extents = Chain::letter_extents(operands);
  int const chosen = Chain::cheapest_order(operands);
  std::string out = text("einsum \"", Text.view(), "\" on mesh (", first.mesh().text(), "), two operands at a time\n");
  for (int order = 0; order < Types::orders.size(); ++order) {
    CostedOrder const& costed = Types::search.orders[Types::orders[order].position];
    std::string steps;
    for (PairStep const& step : costed.steps) steps += padded(std::string(step.text.view()), 14);
    out += text("  ", padded(order == chosen ? "taken" : "dearer", 11), steps, static_cast<std::int64_t>(extents.elements(costed.loops)),
                " multiplications on all ranks, products of ", static_cast<std::int64_t>(extents.elements(costed.products)), " elements on the way, ",
                Chain::plan.orders[order].total(), " collectives\n");
  }
  return out + explain_order<Types, 0>(chosen, std::tuple{shape_of(std::get<Operand>(tensors))...});
}

}  // namespace detail

/// The plan of an einsum of more than two operands: the orders in which it can be contracted, with their costs, and the explanation of each contraction of the
/// one that is taken with these extents.
template <FixedString Text, detail::ExplainedInput... Types>
  requires(operand_count<Text> > 2)
std::string explain(Types const&... operands_and_result) {
  using Chain = decltype(detail::planned_types<Text, Types...>());
  return detail::explain_chain<Text, Chain>(std::forward_as_tuple(detail::explained_tensor(operands_and_result)...),
                                            std::make_index_sequence<static_cast<std::size_t>(operand_count<Text>)>{});
}

}  // namespace gshard
