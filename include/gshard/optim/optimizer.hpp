// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <gshard/expr/functions.hpp>
#include <gshard/optim/holding.hpp>
#include <gshard/optim/norm.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/record_kernel.hpp>

namespace gshard {

namespace error {

template <class Value, class Gradient>
struct GradientOfOtherShape {
  static_assert(
      always_false<Value>,
      "gshard: a parameter and its gradient are tensors of one mesh with the same number of dimensions; as Parameter<Tensor> declares them");
};

template <class Value>
struct ParameterIsPartial {
  static_assert(
      always_false<Value>,
      "gshard: an optimizer changes tensors and not unreduced sums; reshard the parameter to a spec without partial(...)");
};

}  // namespace error

namespace optim {

namespace detail {

struct NoParameters {
  template <class Visit>
  void for_each_parameter(Visit const&) {}
};

}  // namespace detail

/// What a trainer asks of an optimizer: `step(model, rate)` changes every parameter that has a gradient by one step,
/// forgets the gradients and returns their common norm. A model is anything with `for_each_parameter(visit)`, which
/// visits the same parameters in the same order each time; a parameter is Parameter<Tensor>, or has its members.
template <class Type>
concept Optimizer = requires(Type& optimizer, Type const& fixed, detail::NoParameters& model) {
  typename Type::Options;
  { Type::Options::largest_norm } -> std::convertible_to<double>;
  { optimizer.step(model, 1.0) } -> std::same_as<double>;
  { fixed.steps() } -> std::same_as<std::int64_t>;
  requires std::constructible_from<Type, typename Type::Options>;
};

namespace detail {

/// One step, the first being number 1; gradients are multiplied by `scale`.
struct Step {
  std::int64_t number;
  double rate;
  double scale;
};

/// What an optimizer keeps of one parameter: its state, and between the parts of a step the gradient, all of them in
/// one layout.
template <class Parameter, class Options, template <class> class State, class Holding>
struct Slot {
  using Value = std::remove_cvref_t<decltype(std::declval<Parameter&>().value)>;
  using Given = std::remove_cvref_t<decltype(std::declval<Parameter&>().gradient)>;
  using T = typename Value::value_type;

  static consteval bool check() {
    if constexpr (Value::rank != Given::rank || !std::is_same_v<typename Value::mesh_type, typename Given::mesh_type>)
      (void)sizeof(error::GradientOfOtherShape<Value, Given>);
    else if constexpr (!Value::layout.partial.empty()) (void)sizeof(error::ParameterIsPartial<Value>);
    return true;
  }
  static_assert(check());

  static constexpr Layout layout = Holding::template layout<Value>();
  static constexpr bool has_master = Holding::has_master && gshard::detail::is_rounded<T>;
  using Piece = with_layout<Value, layout>;
  using Gradient = with_layout<Given, layout>;
  /// A piece in the type that is computed with.
  using Exact = ShardedTensor<typename Value::mesh_type, typename Piece::spec_type, gshard::detail::Computed<T>,
                              typename Value::memory_space>;

  State<Exact> state;
  Exact master{};
  Gradient gradient{};

  Slot(Options const& options, Value const& value) : state(options, value.mesh(), value.extents()) {
    if constexpr (has_master) {
      master = Exact(uninitialized, value.mesh(), value.extents(), value.name());
      assign(master, gshard::detail::held_as<typename Piece::spec_type>(value));
    }
  }

  /// Takes the gradient: an unreduced sum is reduced, by a reduce-scatter where the state is split over its axes; a
  /// whole one is sliced.
  void receive(Parameter& parameter) {
    if (parameter.gradient.extents() != parameter.value.extents())
      throw ExtentError(gshard::detail::text(
          "parameter '", parameter.value.name(), "' of extents ", gshard::detail::text_of(parameter.value.extents()),
          " has a gradient of extents ", gshard::detail::text_of(parameter.gradient.extents())));
    gradient = gshard::detail::held_as<typename Gradient::spec_type>(parameter.gradient);
    parameter.clear_gradient();
  }

  auto measure(Options const& options, Step const& step, Value const& value) {
    if constexpr (has_master) return state.measure(options, step, gradient, master);
    else return state.measure(options, step, gradient, value);
  }

  /// Changes the piece, and gathers the parameter where it is held in larger ones.
  void apply(Options const& options, Step const& step, Value const& value, std::span<double const> sums) {
    gshard::detail::MeshState const& mesh = value.mesh().state();
    Piece const piece = piece_of(value);
    state.apply(options, step, gradient, WeightElements<T, has_master>{piece.data(), master_data()}, sums);
    gradient = {};
    if (gshard::detail::same_blocks(layout, Value::layout, mesh)) return;
    gshard::detail::Transfer<typename Value::memory_space, T>{mesh,          value.extents(), layout,
                                                              Value::layout, piece.data(),    value.data()}
        .all_gather(layout.split() - Value::layout.split());
  }

 private:
  Piece piece_of(Value const& value) const {
    if constexpr (has_master) {
      if (!gshard::detail::same_blocks(layout, Value::layout, value.mesh().state()))
        return Piece(uninitialized, value.mesh(), value.extents(), value.name());
    }
    return gshard::detail::held_as<typename Piece::spec_type>(value);
  }

  gshard::detail::Computed<T>* master_data() const {
    if constexpr (has_master) return master.data();
    else return nullptr;
  }
};

/// What all optimizers do alike. `State<Exact>` holds what one keeps of a parameter whose pieces are of type `Exact`,
/// and has `apply(options, step, gradient, weights, sums)`; where `State::sums` is not 0, `measure(options, step,
/// gradient, value)` before it returns that many local sums, which come back as global ones. A step communicates: one
/// all-reduce of one number where gradients are clipped, one all-reduce of all sums of all parameters, and what
/// SplitOver says.
template <class GivenOptions, template <class> class State, class... Marks>
class OptimizerOf {
  static_assert(
      (std::is_base_of_v<HoldingMark, Marks> && ...),
      "gshard: an optimizer is told how to hold its state, by SplitOver<axes> and MasterWeights; it takes elements and memory from its parameters");

 public:
  using Options = GivenOptions;

  explicit OptimizerOf(Options const& options) : options_(options) {}

  /// Changes every parameter that has a gradient by one step, and forgets the gradients. Returns the norm of the
  /// gradients before any scaling; 0 where `largest_norm` asks for none. Throws ExtentError where a gradient has other
  /// extents than its parameter, and Error where the model has other parameters than at the first step.
  template <class Model>
  double step(Model& model, double learning_rate) {
    ++steps_;
    for_each_slot(model, [](auto& parameter, auto& slot) {
      if (parameter.has_gradient()) slot.receive(parameter);
    });
    double const norm = options_.largest_norm > 0 ? norm_of_pieces(model) : 0;
    Step const step{steps_, learning_rate, norm > options_.largest_norm ? options_.largest_norm / norm : 1};
    std::vector<double> const sums = measured(model, step);
    std::size_t next = 0;
    for_each_gradient(model, [&](auto& parameter, auto& slot) {
      constexpr std::size_t count = decltype(slot.state)::sums;
      slot.apply(options_, step, parameter.value, std::span<double const>(sums).subspan(next, count));
      next += count;
    });
    return norm;
  }

  /// How many steps there were.
  std::int64_t steps() const { return steps_; }

 private:
  template <class Parameter>
  using SlotOf = Slot<Parameter, Options, State, Holding<Marks...>>;

  struct AnySlot {
    std::shared_ptr<void> slot;
    std::type_index type;
  };

  template <class Model, class Action>
  void for_each_slot(Model& model, Action const& action) {
    std::size_t position = 0;
    model.for_each_parameter(
        [&]<class Parameter>(Parameter& parameter) { action(parameter, this->slot_of(parameter, position++)); });
    if (position != slots_.size())
      throw Error(gshard::detail::text("an optimizer is given a model of ", position, " parameters after one of ",
                                       slots_.size(), "; give each model its own"));
  }

  template <class Model, class Action>
  void for_each_gradient(Model& model, Action const& action) {
    for_each_slot(model, [&](auto& parameter, auto& slot) {
      if (slot.gradient.is_set()) action(parameter, slot);
    });
  }

  template <class Parameter>
  SlotOf<Parameter>& slot_of(Parameter& parameter, std::size_t position) {
    using Kept = SlotOf<Parameter>;
    if (steps_ == 1 && position == slots_.size())
      slots_.push_back({std::make_shared<Kept>(options_, parameter.value), typeid(Kept)});
    if (position >= slots_.size() || slots_[position].type != typeid(Kept))
      throw Error(gshard::detail::text("an optimizer is given a model whose parameter ", position, ", '",
                                       parameter.value.name(),
                                       "', is not the one of its first step; give each model its own"));
    return *static_cast<Kept*>(slots_[position].slot.get());
  }

  template <class Model>
  double norm_of_pieces(Model& model) {
    SumsOverRanks squares;
    for_each_gradient(
        model, [&](auto&, auto& slot) { squares.add(slot.gradient.mesh().state(), local_squares(slot.gradient)); });
    return std::sqrt(squares.total());
  }

  template <class Model>
  std::vector<double> measured(Model& model, Step const& step) {
    SumsOverRanks sums;
    for_each_gradient(model, [&](auto& parameter, auto& slot) {
      if constexpr (decltype(slot.state)::sums > 0)
        for (LocalSum const& sum : slot.measure(options_, step, parameter.value))
          sums.add(parameter.value.mesh().state(), sum);
    });
    return sums.each();
  }

  Options options_;
  std::int64_t steps_ = 0;
  std::vector<AnySlot> slots_;
};

}  // namespace detail
}  // namespace optim
}  // namespace gshard
