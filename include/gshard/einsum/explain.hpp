// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <tuple>
#include <utility>

#include <gshard/einsum/einsum.hpp>
#include <gshard/reshard/count.hpp>
#include <gshard/tensor/describe.hpp>

namespace gshard {

namespace detail {

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

/// What a movement from one layout to another sends from this rank, in elements: as the ledger counts it.
inline std::int64_t elements_sent(Movement movement, MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& from, Layout const& to) {
  std::int64_t const ranks = mesh.size(axes);
  Block const before = block_of(from, extents, mesh, mesh.coordinates());
  Block const after = block_of(to, extents, mesh, mesh.coordinates());
  auto ring = [&](std::int64_t whole) { return whole * (ranks - 1) / ranks; };
  switch (movement) {
    case Movement::all_gather: return ring(product(after.extents));
    case Movement::all_reduce: return ring(2 * product(before.extents));
    case Movement::reduce_scatter: return ring(product(before.extents));
    case Movement::slice:
    case Movement::zero_fill: return 0;
    default: return pieces_of_block(before, to, extents, mesh, axes).elements * mesh.size(axes - to.split()) - product(intersection(before, after).extents);
  }
}

/// Lines of one run's numbers.
template <class Mesh>
struct Explanation {
  Mesh const& mesh;
  std::int64_t element_size;
  std::string result{};
  std::int64_t largest_temporary = 0;

  std::int64_t block_size(Layout const& layout, Extents const& extents) const {
    return product(block_of(layout, extents, mesh.state(), mesh.state().coordinates()).extents);
  }

  void add_movement(std::string const& whose, Movement movement, AxisSet axes, std::int64_t elements, std::string const& why) {
    result += text("  ", padded(whose, 11), gshard::text_of(movement), " over ", names_of<Mesh>(axes).view());
    if (is_local(movement)) result += ", free";
    else result += text(", groups of ", mesh.state().size(axes), ": ", elements * element_size, " bytes sent per rank");
    result += why.empty() ? "\n" : text("\n", std::string(13, ' '), "because ", why, "\n");
  }

  /// The lines of one reshard; `whose` is what moves, `why(step)` the reason.
  template <class Why>
  void add_moves(ReshardPlan const& plan, Layout before, Extents const& extents, std::string const& whose, Why const& why) {
    for (ReshardStep const& step : plan.steps) {
      add_movement(whose, step.movement, step.axes, elements_sent(step.movement, mesh.state(), step.axes, extents, before, step.layout), why(step));
      largest_temporary = std::max(largest_temporary, block_size(step.layout, extents));
      before = step.layout;
    }
  }
};

/// Why an einsum moves what it moves.
template <class Mesh>
struct Reasons {
  Subscripts const& subscripts;
  EinsumPlan const& plan;
  StaticVector<Layout, 2> const& given;

  static std::string name(int operand) { return operand == 0 ? "the left operand" : "the right operand"; }

  /// The letter by which the contraction splits its work over an axis; '\0' where it does not.
  char worked_on(int axis) const {
    for (int operand = 0; operand < plan.operands.size(); ++operand)
      if (char const letter = split_letter(subscripts.operands[operand], plan.operands[operand], axis); letter != '\0') return letter;
    return plan.loop.runs() && plan.loop.axes.contains(axis) ? plan.loop.letter : '\0';
  }

  int first(AxisSet axes) const {
    int axis = 0;
    while (!axes.contains(axis)) ++axis;
    return axis;
  }

  std::string of_operand(int operand, ReshardStep const& step) const {
    int const axis = first(step.axes);
    std::string const over = text(" over ", Mesh::name(axis));
    char const own = split_letter(subscripts.operands[operand], given[operand], axis);
    if (given[operand].partial.contains(axis)) return text("it is an unreduced sum", over, ", which the other operand uses too");
    char const letter = worked_on(axis);
    int const other = 1 - operand;
    bool const other_splits = given.size() == 2 && split_letter(subscripts.operands[other], given[other], axis) == letter && letter != '\0';
    std::string const work = letter == '\0' ? text("no letter is split", over) : text("the contraction splits ", letter, over);
    if (other_splits) return text(work, ", as ", name(other), " does", own == '\0' ? std::string() : text(", and this one splits ", own));
    if (plan.result.rank() > 0 && split_letter(subscripts.result, plan.result, axis) == letter && letter != '\0') return text(work, ", as the declared result does");
    return work;
  }

  std::string of_result(ReshardStep const& step) const {
    int const axis = first(step.axes);
    std::string const over = text(" over ", Mesh::name(axis));
    char const letter = worked_on(axis);
    char const held = split_letter(subscripts.result, plan.result, axis);
    std::string const declared = held == '\0' ? text("the result is whole", over) : text("the result is declared to split ", held, over);
    if (plan.produced.partial.contains(axis))
      return letter == '\0' ? text("an operand is an unreduced sum", over, ", and ", declared) : text(letter, " is summed and split", over, ", and ", declared);
    return letter == '\0' ? declared : text("the contraction splits ", letter, over, ", and ", declared);
  }
};

inline std::string letters(Labels const& labels) { return {labels.begin(), labels.end()}; }

/// How many elements' bytes a sum takes on its way.
template <class T>
inline constexpr std::int64_t widening_of = static_cast<std::int64_t>(sizeof(Computed<T>) / sizeof(T));

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
  Explanation<Mesh> explanation{mesh, static_cast<std::int64_t>(sizeof(typename First::value_type))};
  StaticVector<Layout, 2> const given{Tensors::layout...};
  Reasons<Mesh> const reasons{subscripts, plan, given};
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
    int const operand = position;
    explanation.add_moves(plan.operand_moves[position], given[position], tensor.extents(), role,
                          [&](ReshardStep const& step) { return reasons.of_operand(operand, step); });
    bool const circulates = plan.loop.runs() && plan.loop.role == (position == 0 ? Role::left : Role::right);
    if (circulates) {
      int const ranks = mesh.state().size(plan.loop.axes);
      explanation.add_movement(role, Movement::ring, plan.loop.axes, (ranks - 1) * explanation.block_size(plan.operands[position], tensor.extents()),
                               text("its blocks go round, ", ranks, " products and ", ranks - 1, " permutes, in place of an all-gather"));
    }
    // All windows of a ring are multiplied, the blocks of the whole group.
    Layout multiplied = plan.operands[position];
    if (circulates)
      for (AxisList& axes : multiplied.dimensions) axes = without(axes, plan.loop.axes);
    Block const block = block_of(multiplied, tensor.extents(), mesh.state(), mesh.state().coordinates());
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
  if (plan.loop.runs() && plan.loop.role == Role::result)
    explanation.add_movement("result", Movement::ring, plan.loop.axes,
                             (mesh.state().size(plan.loop.axes) - 1) * explanation.block_size(plan.produced, extents) * widening_of<typename First::value_type>,
                             "its sums go round and grow block by block, in place of a reduce-scatter");
  explanation.add_moves(plan.result_move, plan.produced, extents, "result", [&](ReshardStep const& step) { return reasons.of_result(step); });
  out += tensor_line(mesh, "result", letters(subscripts.result), plan.result, extents);
  out += text("  collectives: ", plan.total(), "; largest temporary: ",
              explanation.largest_temporary * explanation.element_size, " bytes per rank\n");
  return out;
}

/// What explanations are of: tensors, marked or not.
template <class Type>
concept ExplainedInput = AnyTensor<Type> || AnyTensor<decltype(Type::operand)>;

template <class Type>
auto const& explained_tensor(Type const& given) {
  if constexpr (AnyTensor<Type>) return given;
  else return given.operand;
}

template <FixedString Text, class Plan, class Tensors, std::size_t... Operand>
std::string explain_first(Tensors const& tensors, std::index_sequence<Operand...>) {
  return explain_plan<Text, Plan>(std::get<Operand>(tensors)...);
}

}  // namespace detail

/// A plan's movements, one a line, as "result all-to-all over expert"; "nothing moves" where there is none.
inline std::ostream& operator<<(std::ostream& stream, EinsumPlan const& plan) {
  auto const steps = plan.steps();
  if (steps.empty()) return stream << "nothing moves\n";
  for (EinsumStep const& step : steps) {
    stream << (step.role == Role::left ? "left " : step.role == Role::right ? "right " : "result ") << text_of(step.movement) << " over ";
    bool first = true;
    for (int axis = 0; axis < plan.axis_names.size(); ++axis) {
      if (!step.axes.contains(axis)) continue;
      stream << (first ? "" : ",") << plan.axis_names[axis];
      first = false;
    }
    stream << '\n';
  }
  return stream;
}

/// The plan of `einsum<Text>(operands...)` in words and in this run's numbers: blocks, flops, and each movement with its axis, group size and bytes sent per
/// rank (as the ledger counts them), and why. Operands are marked as in the einsum; a tensor after them declares the result. Computes and sends nothing.
template <FixedString Text, detail::ExplainedInput... Types>
  requires(operand_count<Text> <= 2)
std::string explain(Types const&... operands_and_result) {
  using Plan = decltype(detail::planned_types<Text, Types...>());
  return detail::explain_first<Text, Plan>(std::forward_as_tuple(detail::explained_tensor(operands_and_result)...),
                                           std::make_index_sequence<static_cast<std::size_t>(operand_count<Text>)>{});
}

/// The movements of `reshard<To>(tensor)` in this run's numbers. Sends nothing.
template <class To, AnyTensor Tensor>
std::string explain(Tensor const& tensor) {
  using Mesh = typename Tensor::mesh_type;
  using Result = with_spec<Tensor, To>;
  static constexpr ReshardPlan plan = plan_reshard(Tensor::layout, Result::layout, static_sizes_of<Mesh>());
  detail::Explanation<Mesh> explanation{tensor.mesh(), static_cast<std::int64_t>(sizeof(typename Tensor::value_type))};
  explanation.result = detail::text("reshard of ", detail::type_name<typename Tensor::value_type>(), " on mesh (", tensor.mesh().text(), "), as rank ", tensor.mesh().rank(),
                                    " sees it\n", detail::tensor_line(tensor.mesh(), "from", "", Tensor::layout, tensor.extents()));
  explanation.add_moves(plan, Tensor::layout, tensor.extents(), "", [](ReshardStep const&) { return std::string(); });
  explanation.result += detail::tensor_line(tensor.mesh(), "to", "", Result::layout, tensor.extents());
  return explanation.result;
}

}  // namespace gshard
