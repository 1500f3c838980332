// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

#include <gshard/nn/gating/capacity.hpp>

// The gates of a mixture of experts. A gate is a type, and what it does is said by its members; for a variant, derive
// from one and say what differs:
//
//   struct Sampled : nn::Top2Gate { static constexpr auto second_choice = nn::SecondChoice::sampled; };

namespace gshard::nn {

/// Which choices after a token's first are sent to their expert, capacity permitting. Chance plays its part in training
/// alone.
enum class SecondChoice {
  always,  ///< the largest gates, where they have any weight
  /// the largest gates: the k-th with probability k times its weight, 2 * g2 for the second (paper 2.2, "random
  /// routing")
  random,
  sampled  ///< experts drawn by their gates from those not chosen yet
};

/// Whether a choice that chance drops has used up a slot of its expert.
enum class SlotOfDropped {
  kept,  ///< yes, and it stays empty (line 22 of Algorithm 1: the counter rises in any case)
  freed  ///< no
};

/// By what a token's gates are divided to be the weights of its experts.
enum class Normalise {
  never,         ///< by nothing
  before_drops,  ///< by the sum over all its choices (Algorithm 1): what is dropped is missing
  after_drops    ///< by the sum over the choices that were kept: they add up to 1
};

/// Whom an expert refuses when it is chosen more often than it has slots.
enum class Drop {
  by_position,  ///< the last come: all first choices are before any second one, and each in the order of the tokens
  /// the least gates, whichever choice they are; of equals the last token. What chance drops uses no slot
  by_probability,
  never  ///< nobody: there are as many slots as choices
};

/// Which choices c_e of expert e the balance loss counts, dropped ones included.
enum class BalanceChoices {
  first,        ///< first choices (line 13 of Algorithm 1)
  all,          ///< all of them: K times as much when even
  mean_of_all,  ///< all of them, divided by K
  nothing       ///< there is no balance loss
};

/// The scale of the balance loss.
enum class BalanceScale {
  paper,       ///< (1/E) sum_e (c_e/S) m_e, the literal line 13: 1/E^2 when even, 1/E when one expert gets all
  even_is_one  ///< E^2 times that: 1 when even, E when one expert gets all
};

/// What a gate has to say of itself.
template <class Gate>
concept AnyGate = requires {
  { Gate::choices } -> std::convertible_to<int>;
  { Gate::second_choice } -> std::convertible_to<SecondChoice>;
  { Gate::slot_of_dropped } -> std::convertible_to<SlotOfDropped>;
  { Gate::normalise } -> std::convertible_to<Normalise>;
  { Gate::drop } -> std::convertible_to<Drop>;
  { Gate::balance_choices } -> std::convertible_to<BalanceChoices>;
  { Gate::balance_scale } -> std::convertible_to<BalanceScale>;
  { Gate::rounding } -> std::convertible_to<CapacityRounding>;
  { Gate::capacity_factor } -> std::convertible_to<double>;
  { Gate::experts_choose } -> std::convertible_to<bool>;
};

/// Each token chooses the K experts with the largest gates; equal gates: the lowest expert.
template <int K>
struct TopKGate {
  static_assert(K >= 1, "gshard: a gate makes at least one choice for each token; give TopKGate a positive number");
  static constexpr int choices = K;
  static constexpr SecondChoice second_choice = SecondChoice::always;
  static constexpr SlotOfDropped slot_of_dropped = SlotOfDropped::kept;
  static constexpr Normalise normalise = Normalise::before_drops;
  static constexpr Drop drop = Drop::by_position;
  static constexpr BalanceChoices balance_choices = BalanceChoices::first;
  static constexpr BalanceScale balance_scale = BalanceScale::even_is_one;
  static constexpr CapacityRounding rounding = CapacityRounding::up;
  static constexpr double capacity_factor = K;  ///< unless the options say otherwise
  static constexpr bool experts_choose = false;
};

/// Algorithm 1 of the paper. Only the scale of what it adds to a loss is the usual one, in which an even spread is 1;
/// BalanceScale::paper is the literal line 13.
struct Top2Gate : TopKGate<2> {
  static constexpr SecondChoice second_choice = SecondChoice::random;
};

/// One expert for each token, weighted by its gate (Switch Transformer, arXiv 2101.03961).
struct SwitchGate : TopKGate<1> {
  static constexpr Normalise normalise = Normalise::never;
};

/// The same choices without any capacity: slots number the tokens of an expert, as many as there are, and no (E, G, C)
/// exists.
template <class Gate = Top2Gate>
struct Dropless : Gate {
  static_assert(!Gate::experts_choose,
                "gshard: experts that choose have a capacity; take Dropless of a gate in which tokens choose");
  static constexpr Drop drop = Drop::never;
};

/// Each expert takes the C tokens of a group that have its largest gates, of equals the first (arXiv 2202.09368): even
/// by itself. A token stays with at most `AtMost` of the experts that took it, those of its largest gates; its slots
/// with the others stay empty.
template <int AtMost>
struct ExpertChoiceGate : TopKGate<AtMost> {
  static constexpr bool experts_choose = true;
  static constexpr Normalise normalise = Normalise::never;
  static constexpr BalanceChoices balance_choices = BalanceChoices::nothing;
  static constexpr double capacity_factor = 2;
};

/// The numbers of a gate.
struct GateOptions {
  /// Slots of each expert for each group, in shares of S / E; nothing: the gate's own factor, for Top2Gate the
  /// paper's 2. Infinity: as many slots as tokens.
  std::optional<double> capacity_factor{};
  std::int64_t minimum_capacity = 1;
  /// Slots come in multiples of this.
  std::int64_t capacity_multiple = 1;
  /// The capacity factor of inference, where groups may be small and chance plays no part; nothing: twice the gate's
  /// own.
  std::optional<double> inference_capacity_factor{};
  /// What the router z-loss (see z_loss) counts beside the balance loss; 0: there is none.
  double z_loss_weight = 0;

  /// Throws OptionError, naming the option, unless the capacity factors are 0 or more (infinite: nothing is dropped),
  /// minimum_capacity is 0 or more, capacity_multiple is 1 or more, and z_loss_weight is finite and 0 or more.
  void check() const {
    if (capacity_factor) detail::require_capacity_factor("capacity_factor", *capacity_factor);
    detail::require_capacity_bounds(minimum_capacity, capacity_multiple);
    if (inference_capacity_factor)
      detail::require_capacity_factor("inference_capacity_factor", *inference_capacity_factor);
    gshard::detail::require_non_negative("z_loss_weight", z_loss_weight);
  }

  /// C for groups of so many tokens (expert_capacity); 0 for a gate that never drops. Throws OptionError as `check` and
  /// expert_capacity do.
  template <AnyGate Gate>
  std::int64_t capacity(std::int64_t tokens_per_group, std::int64_t experts, bool training) const {
    check();
    if constexpr (Gate::drop == Drop::never) return 0;
    double const factor = training ? capacity_factor.value_or(Gate::capacity_factor)
                                   : inference_capacity_factor.value_or(2 * Gate::capacity_factor);
    return detail::expert_capacity(training ? "capacity_factor" : "inference_capacity_factor", tokens_per_group,
                                   experts, factor, minimum_capacity, Gate::rounding, capacity_multiple);
  }
};

}  // namespace gshard::nn
