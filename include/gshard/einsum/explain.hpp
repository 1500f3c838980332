// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <gshard/einsum/einsum.hpp>
#include <gshard/tensor/describe.hpp>

namespace gshard {

namespace detail {

/// What a movement sends, in elements per rank, where it is carried out as a ring.
inline double elements_sent(Movement movement, std::int64_t before, std::int64_t after, int ranks) {
  double const share = static_cast<double>(ranks - 1) / ranks;
  switch (movement) {
    case Movement::all_gather: return share * static_cast<double>(after);
    case Movement::all_reduce: return 2 * share * static_cast<double>(before);
    case Movement::reduce_scatter:
    case Movement::all_to_all:
    case Movement::exchange: return share * static_cast<double>(before);
    case Movement::permute: return static_cast<double>(before);
    default: return 0;
  }
}

inline std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

/// A tensor's line: role, global extents, layout, and this rank's block.
template <class Mesh>
std::string tensor_line(Mesh const& mesh, std::string const& role, std::string const& labels, Layout const& layout, Extents const& extents) {
  Block const block = block_of(layout, extents, mesh.state(), mesh.state().coordinates());
  return text("  ", padded(role, 11), padded(labels, 7), padded(text_of(extents), 20), padded(text_of<Mesh>(layout), 30), "block ",
              text_of(block.extents), "\n");
}

template <class Mesh>
struct Explanation {
  Mesh const& mesh;
  std::size_t element_size;
  std::string result{};
  std::int64_t largest_temporary = 0;

  std::int64_t block_size(Layout const& layout, Extents const& extents) const {
    return product(block_of(layout, extents, mesh.state(), mesh.state().coordinates()).extents);
  }

  /// The lines of one reshard; `whose` is what moves, `why` the reason.
  void add_moves(ReshardPlan const& plan, Layout before, Extents const& extents, std::string const& whose, std::string const& why) {
    for (ReshardStep const& step : plan.steps) {
      int const ranks = mesh.state().size(step.axes);
      double const sent = elements_sent(step.movement, block_size(before, extents), block_size(step.layout, extents), ranks);
      result += text("  ", padded(whose, 11), gshard::text_of(step.movement), " over ", names_of<Mesh>(step.axes).view());
      if (is_local(step.movement)) result += ": free";
      else result += text(", groups of ", ranks, ": ", static_cast<std::int64_t>(sent * static_cast<double>(element_size)), " bytes sent per rank");
      result += ", " + why + "\n";
      largest_temporary = std::max(largest_temporary, block_size(step.layout, extents));
      before = step.layout;
    }
  }
};

inline std::string letters(Labels const& labels) { return {labels.begin(), labels.end()}; }

/// `Plan` is a Planned.
template <FixedString Text, class Plan, class... Tensors>
std::string explain_plan(Tensors const&... tensors) {
  constexpr Subscripts const& subscripts = Plan::subscripts;
  constexpr EinsumPlan const& plan = Plan::plan;
  auto const operands = std::forward_as_tuple(tensors...);
  auto const& first = std::get<0>(operands);
  using First = std::remove_cvref_t<decltype(first)>;
  using Mesh = typename First::mesh_type;
  Extents const extents = result_extents(Text.view(), subscripts, std::make_tuple(tensors...));
  Mesh const& mesh = first.mesh();
  Explanation<Mesh> explanation{mesh, sizeof(typename First::value_type)};
  std::string& out = explanation.result;
  out = text("einsum \"", Text.view(), "\" of ", type_name<typename First::value_type>(), " on mesh (", mesh.text(), "), as rank ", mesh.rank(),
             " sees it\n");

  double multiply_adds = 1;
  Labels counted;
  int position = 0;
  auto add_operand = [&](auto const& tensor) {
    std::string const role = position == 0 ? "left" : "right";
    Labels const& labels = subscripts.operands[position];
    out += tensor_line(mesh, role, letters(labels), std::remove_cvref_t<decltype(tensor)>::layout, tensor.extents());
    explanation.add_moves(plan.operand_moves[position], std::remove_cvref_t<decltype(tensor)>::layout, tensor.extents(), role,
                          "to meet the other operand or the result");
    Block const block = block_of(plan.operands[position], tensor.extents(), mesh.state(), mesh.state().coordinates());
    for (int dimension = 0; dimension < labels.size(); ++dimension) {
      if (counted.contains(labels[dimension])) continue;
      counted.push_back(labels[dimension]);
      multiply_adds *= static_cast<double>(block.extents[dimension]);
    }
    ++position;
  };
  (add_operand(tensors), ...);
  out += text("  contract   ", static_cast<std::int64_t>((sizeof...(Tensors) == 2 ? 2 : 1) * multiply_adds), " flops per rank\n");
  out += tensor_line(mesh, "produced", letters(subscripts.result), plan.produced, extents);
  explanation.largest_temporary = std::max(explanation.largest_temporary, explanation.block_size(plan.produced, extents));
  explanation.add_moves(plan.result_move, plan.produced, extents, "result", "because the result is to be held so");
  out += tensor_line(mesh, "result", letters(subscripts.result), plan.result, extents);
  out += text("  collectives: ", plan.total(), "; largest temporary: ",
              explanation.largest_temporary * static_cast<std::int64_t>(explanation.element_size), " bytes per rank\n");
  return out;
}

}  // namespace detail

/// The plan of `einsum<Text>(left, right)` with the result declared as `result` is, in words and in this run's numbers: blocks, flops, and each movement
/// with its axis, group size and bytes sent per rank (as a ring). Computes and sends nothing.
template <FixedString Text, AnyTensor Left, AnyTensor Right, AnyTensor Result>
  requires(operand_count<Text> == 2)
std::string explain(Left const& left, Right const& right, Result const&) {
  return detail::explain_plan<Text, detail::Planned<Text, Result, Left, Right>>(left, right);
}

/// The same with the result's spec propagated.
template <FixedString Text, AnyTensor Left, AnyTensor Right>
  requires(operand_count<Text> == 2)
std::string explain(Left const& left, Right const& right) {
  return detail::explain_plan<Text, detail::Planned<Text, void, Left, Right>>(left, right);
}

}  // namespace gshard
