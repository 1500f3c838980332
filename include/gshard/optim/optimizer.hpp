// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <gshard/core/options.hpp>
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

template <class Value>
struct ParameterOfIntegers {
  static_assert(always_false<Value>,
                "gshard: an optimizer changes parameters of floating point; keep integers out of for_each_parameter");
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
  { Type::Options::max_norm } -> std::convertible_to<double>;
  { optimizer.step(model, 1.0) } -> std::same_as<double>;
  { fixed.steps() } -> std::same_as<std::int64_t>;
  requires std::constructible_from<Type, typename Type::Options>;
};

namespace detail {

inline void require_max_norm(double max_norm) {
  gshard::detail::require_option(max_norm >= 0, "max_norm", max_norm, "a number of 0 or more");
}

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
      using Refused [[maybe_unused]] = decltype(error::GradientOfOtherShape<Value, Given>{});
    else if constexpr (!Value::layout.partial.empty())
      using Refused [[maybe_unused]] = decltype(error::ParameterIsPartial<Value>{});
    else if constexpr (std::is_integral_v<T>)
      using Refused [[maybe_unused]] = decltype(error::ParameterOfIntegers<Value>{});
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
  typename Value::mesh_type state_mesh;
  Extents state_extents;
  Exact master{};
  Gradient gradient{};

  Slot(Options const& options, Value const& value)
      : state(options, value.mesh(), value.extents()), state_mesh(value.mesh()), state_extents(value.extents()) {
    if constexpr (has_master) {
      master = Exact(uninitialized, value.mesh(), value.extents(), value.name());
      assign(master, gshard::detail::reshard_or_share<typename Piece::spec_type>(value));
    }
  }

  /// Whether the state is that of a parameter on this mesh with these extents.
  bool belongs_to(Value const& value) const {
    return &state_mesh.state() == &value.mesh_state() && state_extents == value.extents();
  }

  /// Takes the gradient: an unreduced sum is reduced, by a reduce-scatter where the state is split over its axes; a
  /// whole one is sliced.
  void receive(Parameter& parameter) {
    gradient = gshard::detail::reshard_or_share<typename Gradient::spec_type>(parameter.gradient);
    parameter.clear_gradient();
  }

  auto measure(Options const& options, Step const& step, Value const& value) {
    if constexpr (has_master) return state.measure(options, step, gradient, master);
    else return state.measure(options, step, gradient, value);
  }

  /// Changes the piece, and gathers the parameter where it is held in larger ones.
  void apply(Options const& options, Step const& step, Value const& value, std::span<double const> sums) {
    gshard::detail::MeshState const& mesh = value.mesh_state();
    Piece const piece = piece_of(value);
    state.apply(options, step, gradient, WeightElements<T, has_master>{piece.data(), master_data()}, sums);
    gradient = {};
    if (gshard::detail::same_blocks(layout, Value::layout, mesh)) return;
    using Transfer = gshard::detail::Transfer<typename Value::memory_space, T>;
    gshard::detail::move_all_gather(Transfer{mesh, value.extents(), layout, Value::layout, piece.data(), value.data()},
                                    layout.split() - Value::layout.split());
  }

 private:
  Piece piece_of(Value const& value) const {
    if constexpr (has_master) {
      if (!gshard::detail::same_blocks(layout, Value::layout, value.mesh_state()))
        return Piece(uninitialized, value.mesh(), value.extents(), value.name());
    }
    return gshard::detail::reshard_or_share<typename Piece::spec_type>(value);
  }

  gshard::detail::Computed<T>* master_data() const {
    if constexpr (has_master) return master.data();
    else return nullptr;
  }
};

/// What all optimizers do alike. Its options are checked by the optimizer that passes them. `State<Exact>` holds what
/// one keeps of a parameter whose pieces are of type `Exact`, and has `apply(options, step, gradient, weights, sums)`;
/// where `State::sums` is not 0, `measure(options, step, gradient, value)` before it returns that many local sums,
/// which come back as global ones. A step communicates: one all-reduce of one number where gradients are clipped, one
/// all-reduce of all sums of all parameters, and what SplitOver says.
template <class GivenOptions, template <class> class State, class... Marks>
class OptimizerOf {
  static_assert(
      (std::is_base_of_v<HoldingMark, Marks> && ...),
      "gshard: an optimizer is told how to hold its state, by SplitOver<axes> and MasterWeights; it takes elements and memory from its parameters");

 public:
  using Options = GivenOptions;

  explicit OptimizerOf(Options const& options) : options_(options) {}

  /// Changes every parameter that has a gradient by one step, and forgets the gradients. Returns the norm of the
  /// gradients before any scaling; 0 where `max_norm` asks for none. Without it a NaN or an infinity in a gradient
  /// propagates to the parameter.
  ///
  /// Throws OptionError unless the learning rate is a finite number of 0 or more; StateError for an unset parameter;
  /// MeshError where parameters or gradients live on several meshes; ExtentError where a gradient has other extents
  /// than its parameter; StateError where the model has other parameters than at the first step; and, where
  /// `max_norm` is given, NonFiniteError where the norm is not finite. Each is thrown on all ranks, and none
  /// changes a parameter or the state; NonFiniteError leaves the model without gradients, ready for the next batch.
  template <class Model>
  double step(Model& model, double learning_rate) {
    gshard::detail::require_non_negative("learning_rate", learning_rate);
    check(model);
    if (steps_ == 0) slots_.clear();  // of a first step that was refused
    for_each_slot(model, [](auto& parameter, auto& slot) {
      if (parameter.has_gradient()) slot.receive(parameter);
    });
    double const norm = options_.max_norm > 0 ? norm_of_pieces(model) : 0;
    ++steps_;
    Step const step{steps_, learning_rate, norm > options_.max_norm ? options_.max_norm / norm : 1};
    std::vector<double> const sums = measured(model, step);
    std::size_t next = 0;
    for_each_gradient(model, [&](auto& parameter, auto& slot) {
      constexpr std::size_t count = decltype(slot.state)::sums;
      slot.apply(options_, step, parameter.value, std::span<double const>(sums).subspan(next, count));
      next += count;
    });
    return norm;
  }

  /// What is no Model: a compile error that says so.
  template <class Type>
    requires(!Model<Type>)
  double step(Type&, double) {
    return refuse_model<Type>();
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

  /// Refuses models that no step can be taken with.
  template <class Model>
  void check(Model& model) const {
    ParameterCheck parameters("optimizer");
    model.for_each_parameter([&]<class Parameter>(Parameter& parameter) {
      auto const position = static_cast<std::size_t>(parameters.count());
      parameters(parameter);
      if (steps_ == 0) return;
      bool const is_known = position < slots_.size() && slots_[position].type == typeid(SlotOf<Parameter>) &&
                            this->template slot_at<Parameter>(position).belongs_to(parameter.value);
      if (!is_known)
        throw StateError(
            gshard::detail::concat("optimizer: parameter ", position, " '", parameter.value.name(), "' ",
                                   gshard::detail::text_of(parameter.value.extents()),
                                   " is not the one of the first step; give each model its own optimizer"));
    });
    if (steps_ > 0 && parameters.count() != std::ssize(slots_))
      throw StateError(gshard::detail::concat("optimizer: a model of ", parameters.count(), " parameters after one of ",
                                              slots_.size(), "; give each model its own optimizer"));
  }

  template <class Model, class Action>
  void for_each_slot(Model& model, Action const& action) {
    std::size_t position = 0;
    model.for_each_parameter([&]<class Parameter>(Parameter& parameter) {
      if (position == slots_.size())
        slots_.push_back({std::make_shared<SlotOf<Parameter>>(options_, parameter.value), typeid(SlotOf<Parameter>)});
      action(parameter, this->template slot_at<Parameter>(position++));
    });
  }

  template <class Model, class Action>
  void for_each_gradient(Model& model, Action const& action) {
    for_each_slot(model, [&](auto& parameter, auto& slot) {
      if (slot.gradient.is_set()) action(parameter, slot);
    });
  }

  template <class Parameter>
  SlotOf<Parameter>& slot_at(std::size_t position) const {
    return *static_cast<SlotOf<Parameter>*>(slots_[position].slot.get());
  }

  /// The common norm. Throws NonFiniteError, and forgets the gradients, where it is not finite.
  template <class Model>
  double norm_of_pieces(Model& model) {
    SumsOverRanks squares;
    for_each_gradient(
        model, [&](auto&, auto& slot) { squares.add(slot.gradient.mesh_state(), local_squares(slot.gradient)); });
    double const norm = std::sqrt(squares.total());
    if (!std::isfinite(norm)) refuse(model, norm, squares.each());
    return norm;
  }

  template <class Model>
  [[noreturn]] void refuse(Model& model, double norm, std::vector<double> const& squares) {
    std::string culprit;
    std::size_t next = 0;
    std::int64_t position = 0;
    for_each_slot(model, [&](auto& parameter, auto& slot) {
      if (slot.gradient.is_set() && !std::isfinite(squares[next++]) && culprit.empty())
        culprit = gshard::detail::concat(", as is that of the gradient of parameter ", position, " '",
                                         parameter.value.name(), "'");
      slot.gradient = {};
      ++position;
    });
    throw NonFiniteError(
        gshard::detail::concat("optimizer: in step ", steps_ + 1, " the norm of the gradients is ", norm, culprit,
                               "; no parameter is changed: skip the batch, or lower the learning rate"));
  }

  template <class Model>
  std::vector<double> measured(Model& model, Step const& step) {
    SumsOverRanks sums;
    for_each_gradient(model, [&](auto& parameter, auto& slot) {
      if constexpr (decltype(slot.state)::sums > 0)
        for (LocalSum const& sum : slot.measure(options_, step, parameter.value))
          sums.add(parameter.value.mesh_state(), sum);
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
