// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/einsum/chain.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/reshard/explain.hpp>

namespace gshard {

namespace detail {

/// Words the reason of each movement of a plan.
template <class Mesh>
struct Reasons {
  Subscripts const& subscripts;
  EinsumPlan const& plan;
  StaticVector<Layout, 2> const& given;

  static std::string name(int operand) { return operand == 0 ? "the left operand" : "the right operand"; }

  /// Returns the letter that the contraction splits over an axis; '\0' if it splits none.
  char worked_on(int axis) const {
    for (int operand = 0; operand < plan.operands.size(); ++operand) {
      if (plan.loop.is_of(operand) && plan.loop.axes.contains(axis)) continue;
      if (char const letter = split_letter(subscripts.operands[operand], plan.operands[operand], axis); letter != '\0')
        return letter;
    }
    return '\0';
  }

  /// Returns the first axis of a set that is not empty.
  int first(AxisSet axes) const {
    int axis = 0;
    while (!axes.contains(axis)) ++axis;
    return axis;
  }

  /// Returns why an operand is communicated over `axes`.
  std::string of_operand(int operand, AxisSet axes) const {
    int const axis = first(axes);
    std::string const over = concat(" over ", Mesh::name(axis));
    char const own = split_letter(subscripts.operands[operand], given[operand], axis);
    if (given[operand].partial.contains(axis))
      return concat("it is an unreduced sum", over, ", which the other operand uses too");
    char const letter = worked_on(axis);
    int const other = 1 - operand;
    bool const other_splits =
        given.size() == 2 && split_letter(subscripts.operands[other], given[other], axis) == letter && letter != '\0';
    std::string const work =
        letter == '\0' ? concat("no letter is split", over) : concat("the contraction splits ", letter, over);
    if (other_splits)
      return concat(work, ", as ", name(other), " does",
                    own == '\0' ? std::string() : concat(", and this one splits ", own));
    if (plan.result.rank() > 0 && split_letter(subscripts.result, plan.result, axis) == letter && letter != '\0')
      return concat(work, ", as the declared result does");
    return work;
  }

  /// Returns why the result is communicated over `axes`.
  std::string of_result(AxisSet axes) const {
    int const axis = first(axes);
    std::string const over = concat(" over ", Mesh::name(axis));
    char const letter = worked_on(axis);
    char const held = split_letter(subscripts.result, plan.result, axis);
    std::string const declared =
        held == '\0' ? concat("the result is whole", over) : concat("the result is declared to split ", held, over);
    bool const summed = plan.loop.runs() && plan.loop.role == Role::result && plan.loop.axes.contains(axis);
    if (summed || plan.produced.partial.contains(axis))
      return letter == '\0' ? concat("an operand is an unreduced sum", over, ", and ", declared)
                            : concat(letter, " is summed and split", over, ", and ", declared);
    return letter == '\0' ? declared : concat("the contraction splits ", letter, over, ", and ", declared);
  }
};

inline std::string letters(Labels const& labels) { return {labels.begin(), labels.end()}; }

/// One contraction of a run: the given layouts and the global extents of its operands, and the extents of its result.
struct RunOfPair {
  Subscripts subscripts;
  StaticVector<Layout, 2> given;
  StaticVector<Extents, 2> extents;
  Extents result;

  /// Sets the extents of the result from those of the operands.
  void complete() {
    for (char const letter : subscripts.result)
      for (int operand = 0; operand < extents.size(); ++operand)
        if (int const d = subscripts.operands[operand].find(letter); d >= 0) {
          result.push_back(extents[operand][d]);
          break;
        }
  }
};

/// Writes the lines of one contraction. Partial sums that travel in a ring take `sum_size` bytes per element, other
/// elements `element_size`.
template <class Mesh>
class PairExplainer {
 public:
  PairExplainer(Explainer<Mesh>& out, EinsumPlan const& plan, RunOfPair const& run, std::int64_t element_size,
                std::int64_t sum_size)
      : out_(out),
        plan_(plan),
        run_(run),
        reasons_{run.subscripts, plan, run.given},
        element_size_(element_size),
        sum_size_(sum_size) {}

  /// Writes operands, contraction, and result, each with its movements.
  void explain() {
    for (int operand = 0; operand < run_.given.size(); ++operand) add_operand(operand);
    std::int64_t const flops = saturated_product(run_.given.size() == 2 ? 2 : 1, products());
    out_.explanation.flops = saturated_sum(out_.explanation.flops, flops);
    out_.add_line("  contract   ", flops, " flops per rank",
                  plan_.loop.runs() ? concat(", in ", out_.mesh().size(plan_.loop.axes), " products") : std::string());
    std::string const result = letters(run_.subscripts.result);
    if (plan_.loop.runs() && plan_.loop.role == Role::result) {
      out_.hold(plan_.produced, run_.result);
      add_ring("result", plan_.produced, run_.result, 1, sum_size_, reasons_.of_result(plan_.loop.axes));
    } else if (!plan_.result_move.steps.empty()) {
      out_.add_tensor("produced", result, plan_.produced, run_.result);
      out_.hold(plan_.produced, run_.result);
    }
    out_.add_moves(plan_.result_move, plan_.produced, run_.result, true, "result",
                   [&](ReshardStep const& step) { return reasons_.of_result(step.axes); });
    out_.add_tensor("result", result, plan_.result, run_.result);
  }

 private:
  void add_operand(int operand) {
    std::string const role = operand == 0 ? "left" : "right";
    Extents const& extents = run_.extents[operand];
    out_.add_tensor(role, letters(run_.subscripts.operands[operand]), run_.given[operand], extents);
    out_.add_moves(plan_.operand_moves[operand], run_.given[operand], extents, false, role,
                   [&](ReshardStep const& step) { return reasons_.of_operand(operand, step.axes); });
    if (!plan_.loop.is_of(operand)) return;
    out_.hold(plan_.operands[operand], extents);
    add_ring(role, plan_.operands[operand], extents, 0, element_size_, reasons_.of_operand(operand, plan_.loop.axes));
  }

  /// Writes the ring of a tensor. This rank sends its windows of the iterations from `first` on: 0 for an operand,
  /// which begins with its own block, 1 for the result, which ends with its own.
  void add_ring(std::string const& whose, Layout const& blocks, Extents const& extents, int first, std::int64_t size,
                std::string const& why) {
    RingBlocks const ring{out_.mesh(), plan_.loop.axes, blocks, extents};
    int const ranks = ring.group().size;
    std::int64_t elements = 0;
    for (int i = 0; i + 1 < ranks; ++i)
      elements += product(ring.block(ring_window(ring.group().rank, first + i, ranks)).extents);
    out_.add_move(whose, Movement::ring, plan_.loop.axes, ranks == 1, elements * size, why,
                  concat(" in ", ranks - 1, ranks == 2 ? " permute" : " permutes"));
  }

  /// Returns the number of multiplications on this rank: the product of the local extents of all letters. An in_ring
  /// operand counts without the ring axes in its layout, since its windows of all iterations are multiplied here.
  std::int64_t products() const {
    StaticVector<char, 3 * max_rank> seen;
    StaticVector<std::int64_t, 3 * max_rank> extents;
    auto add = [&](Labels const& labels, Block const& block) {
      for (int d = 0; d < labels.size(); ++d) {
        int const known = seen.find(labels[d]);
        if (known >= 0) {
          extents[known] = std::max(extents[known], block.extents[d]);
        } else {
          seen.push_back(labels[d]);
          extents.push_back(block.extents[d]);
        }
      }
    };
    for (int operand = 0; operand < run_.given.size(); ++operand) {
      Layout met = plan_.operands[operand];
      if (plan_.loop.is_of(operand))
        for (AxisList& axes : met.dimensions) axes = without(axes, plan_.loop.axes);
      add(run_.subscripts.operands[operand], out_.block(met, run_.extents[operand]));
    }
    std::int64_t result = 1;
    for (std::int64_t extent : extents) result = saturated_product(result, extent);
    return result;
  }

  Explainer<Mesh>& out_;
  EinsumPlan const& plan_;
  RunOfPair const& run_;
  Reasons<Mesh> reasons_;
  std::int64_t element_size_;
  std::int64_t sum_size_;
};

/// Converts a count to an integer; returns the largest integer if the count exceeds it.
inline std::int64_t saturated_count(double count) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  return count < static_cast<double>(most) ? static_cast<std::int64_t>(count) : most;
}

/// Writes the orders that extents choose among, with their costs.
template <class Chain, class Mesh, class Tensors>
void explain_orders(Explainer<Mesh>& out, Tensors const& tensors, int chosen) {
  using Types = typename Chain::Types;
  LetterExtents const extents =
      call_with(tensors, [](auto const&... tensor) { return Chain::letter_extents(tensor...); });
  for (int order = 0; order < Types::orders.size(); ++order) {
    CostedOrder const& costed = Types::search.orders[Types::orders[order].position];
    std::string steps;
    for (PairStep const& step : costed.steps) steps += padded(std::string(step.text.view()), 14);
    out.add_line("  ", padded(order == chosen ? "taken" : "dearer", 11), steps,
                 saturated_count(extents.elements(costed.loops)), " multiplications on all ranks, products of ",
                 saturated_count(extents.elements(costed.products)), " elements");
  }
}

/// Writes the contractions of an order, one after the other.
template <class Mesh>
void explain_chain(Explainer<Mesh>& out, ChainOrder const& order, StaticVector<Layout, max_operands> layouts,
                   StaticVector<Extents, max_operands> extents, std::int64_t element_size, std::int64_t sum_size) {
  for (int i = 0; i < order.steps.size(); ++i) {
    ChainStep const& step = order.steps[i];
    out.add_line("  step ", i + 1, " of ", order.steps.size(), ": \"", step.text, "\"");
    RunOfPair run{parse_subscripts(step.text).subscripts,
                  {layouts[step.left], layouts[step.right]},
                  {extents[step.left], extents[step.right]},
                  {}};
    run.complete();
    PairExplainer<Mesh>(out, *step.plan, run, element_size, sum_size).explain();
    PairStep const pair{step.left, step.right};
    pair.remove_from(layouts);
    pair.remove_from(extents);
    layouts.push_back(step.plan->result);
    extents.push_back(run.result);
  }
}

/// Whether a type is a tensor, marked or not.
template <class Type>
inline constexpr bool is_marked_tensor = AnyTensor<Type>;
template <class Tensor, Handling How>
inline constexpr bool is_marked_tensor<Handled<Tensor, How>> = AnyTensor<Tensor>;

/// Explains the plan of an einsum of evaluated operands.
template <FixedString Text, class Plan, class... Tensors>
Explanation explain_einsum(std::tuple<Tensors...> const& tensors) {
  using First = std::tuple_element_t<0, std::tuple<Tensors...>>;
  using Mesh = typename First::mesh_type;
  using T = typename First::value_type;
  constexpr Subscripts subscripts = subscripts_for<Text, Tensors...>;
  Extents const result = result_extents(
      {Text.view()}, subscripts, call_with(tensors, [](auto const&... tensor) { return handles_of(tensor...); }));
  auto const extents = call_with(tensors, [](auto const&... tensor) { return std::array{tensor.extents()...}; });
  Explainer<Mesh> out(std::get<0>(tensors).mesh_state(), sizeof(T));
  out.add_title(concat("einsum \"", Text.view(), "\""), type_name<T>());
  if constexpr (sizeof...(Tensors) > 2) {
    StaticVector<Extents, max_operands> list;
    for (Extents const& one : extents) list.push_back(one);
    int const chosen = call_with(tensors, [](auto const&... tensor) { return Plan::cheapest_order(tensor...); });
    explain_orders<Plan>(out, tensors, chosen);
    explain_chain(out, Plan::plan.orders[chosen], {Tensors::layout...}, list, sizeof(T), sizeof(Computed<T>));
  } else {
    RunOfPair run{subscripts, {Tensors::layout...}, {}, result};
    for (Extents const& one : extents) run.extents.push_back(one);
    PairExplainer<Mesh>(out, Plan::plan, run, sizeof(T), sizeof(Computed<T>)).explain();
  }
  out.add_summary();
  return std::move(out.explanation);
}

}  // namespace detail

/// Explains the plan of `einsum<Text>` of these operands in words and in the numbers of this run: blocks, flops, and
/// each movement with its axes, group size, bytes sent per rank, and reason.
/// A tensor after the operands declares the result; marks count: `explain<"ab,bc->ac">(x, in_ring(w), y)`.
/// For more than two operands, lists the orders of contraction with their costs, and explains the one that is chosen.
/// Communication: none; computes nothing.
/// Throws StateError, MeshError or ExtentError, as `einsum` does.
template <FixedString Text, class... Tensors>
  requires(detail::is_marked_tensor<Tensors> && ...)
Explanation explain(Tensors const&... tensors) {
  using Plan = decltype(detail::planned_types<Text, Tensors...>());
  if constexpr (Plan::is_refused) {
    using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
    return {};
  } else {
    auto const given = std::forward_as_tuple(tensors...);
    return [&]<std::size_t... Operand>(std::index_sequence<Operand...>) {
      return detail::explain_einsum<Text, Plan>(std::make_tuple(detail::unmarked(std::get<Operand>(given))...));
    }(std::make_index_sequence<static_cast<std::size_t>(operand_count<Text>)>{});
  }
}

}  // namespace gshard
