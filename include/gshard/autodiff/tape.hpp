// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/autodiff/accumulate.hpp>
#include <gshard/autodiff/parameter.hpp>
#include <gshard/autodiff/var.hpp>
#include <gshard/core/closure.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/unevaluated.hpp>

namespace gshard {

/// Records operations as they run, and runs their gradients backwards, once. Activations are kept until their
/// operation's gradient is done; then their memory is free for the next ones. After the backward pass, recording and a
/// second pass throw StateError.
class Tape {
 public:
  Tape() = default;
  ~Tape() { *handle_ = nullptr; }
  /// A tape that leaves the gradients of parameters unreduced in `sums`, where operations give them so.
  explicit Tape(Accumulation& sums) : accumulation_(&sums) {}
  /// A tape for a part of what is recorded on another one.
  struct Within {
    Tape const& tape;
  };
  explicit Tape(Within const& outer) : accumulation_(outer.tape.accumulation_) {}
  Tape(Tape const&) = delete;
  Tape& operator=(Tape const&) = delete;

  /// Returns input data as an operand of a recorded computation. No gradient of it is computed or communicated, and it
  /// may be of integers. Throws StateError if `tensor` is unset.
  template <AnyTensor Tensor>
  Input<Tensor> input(Tensor const& tensor) {
    require_unrun();
    detail::require_set("Tape::input", {{"tensor", tensor}});
    return {*this, no_node, tensor};
  }

  /// Records a leaf: `gradient(leaf)` returns its gradient after the backward pass. Throws StateError if `tensor` is
  /// unset.
  template <AnyTensor Tensor>
  Var<Tensor> watch(Tensor const& tensor) {
    detail::require_set("Tape::watch", {{"tensor", tensor}});
    if constexpr (std::is_integral_v<typename Tensor::value_type>)
      using Refused [[maybe_unused]] = decltype(error::GradientOfIntegers<Tensor>{});
    int const node = add_node(tensor.handle());
    nodes_.back().is_leaf = true;
    return {*this, node, tensor};
  }

  /// Records a parameter: the backward pass adds its gradient to `parameter.gradient`. A parameter that is watched
  /// several times is one leaf, and its gradient is reduced once. Throws StateError if its value is unset.
  template <AnyTensor Tensor>
  Var<Tensor> watch(Parameter<Tensor>& parameter) {
    if constexpr (std::is_integral_v<typename Tensor::value_type>)
      using Refused [[maybe_unused]] = decltype(error::GradientOfIntegers<Tensor>{});
    require_unrun();
    detail::require_set("Tape::watch", {{"parameter", parameter.value}});
    auto const [known, is_new] = parameters_.try_emplace(&parameter, static_cast<int>(nodes_.size()));
    if (is_new) {
      add_node(parameter.value.handle());
      nodes_.back().vjp = detail::Closure::of(
          [target = &parameter](void* sum) { static_cast<Sum<Tensor>*>(sum)->move_to(target->gradient); });
      nodes_.back().parameter = &parameter;
    }
    return {*this, known->second, parameter.value};
  }

  template <Unevaluated Operation>
  auto watch(Operation const& operation) {
    return watch(detail::refuse_unevaluated(operation));
  }
  template <AnyTensor Tensor>
  Var<Tensor> watch(Parameter<Tensor> const& parameter) {
    using Refused [[maybe_unused]] = decltype(error::GradientOfConstParameter<typename Tensor::spec_type>{});
    return watch(parameter.value);
  }

  /// The result of an operation, and what to do with its gradient: `vjp(gradient)` adds to the slots of the operands.
  template <AnyTensor Tensor, class Vjp>
  Var<Tensor> record(Tensor const& value, Vjp vjp) {
    int const node = add_node(value.handle());
    nodes_.back().vjp =
        detail::Closure::of([vjp = std::move(vjp)](void* sum) { vjp(static_cast<Sum<Tensor>*>(sum)->take()); });
    return {*this, node, value};
  }

  /// An operation of several results: once the gradients of all of them are done, and if any of them put something into
  /// `gradients<Gradients>(node)`, `vjp(gradients)` adds to the slots of the operands. The results are recorded after
  /// it.
  template <class Gradients, class Vjp>
  int record_several(Vjp vjp) {
    require_unrun();
    nodes_.push_back({.vjp = detail::Closure::of(
                          [vjp = std::move(vjp)](void* gradients) { vjp(*static_cast<Gradients*>(gradients)); })});
    return static_cast<int>(nodes_.size()) - 1;
  }

  /// What the results of an operation have left at its node.
  template <class Gradients>
  Gradients& gradients(int node) {
    auto& slot = nodes_[static_cast<std::size_t>(node)].gradient;
    if (!slot) slot = detail::owned(new Gradients());
    return *static_cast<Gradients*>(slot.get());
  }

  /// Adds to the gradient of a node of type `Tensor`. Throws MeshError and ExtentError where it is not of the node's.
  template <AnyTensor Tensor, AnyTensor Gradient>
  void accumulate(int node, Gradient const& gradient) {
    require_fits(node, {"gradient", gradient});
    detail::running_sum<Cotangent<Tensor>>(nodes_[static_cast<std::size_t>(node)].gradient).add(gradient);
  }

  /// The same of a part of it, which is reduced when all of this node's have come; or, of a parameter, later with those
  /// of other passes.
  template <AnyTensor Tensor, AnyTensor Part>
  void accumulate_part(int index, Part part) {
    require_fits(index, {"gradient", part});
    Node& node = nodes_[static_cast<std::size_t>(index)];
    if (accumulation_ != nullptr && node.parameter != nullptr)
      accumulation_->add<Cotangent<Tensor>>(node.parameter, std::move(part), node.vjp);
    else if constexpr (std::is_same_v<Part, Cotangent<Tensor>>) accumulate<Tensor>(index, part);
    else node.parts.template add<Cotangent<Tensor>>(std::move(part));
  }

  /// Throws StateError where the backward pass has run.
  void require_unrun() const {
    if (has_run_)
      throw StateError(
          "Tape: the backward pass has run already; record the next pass on a new Tape, or add losses up "
          "before the first");
  }

  /// Runs the gradients of everything that led to `loss`, a scalar. Throws StateError where the tape has run already,
  /// or did not record the loss.
  template <AnyTensor Tensor>
  void backward(Var<Tensor> const& loss) {
    static_assert(Tensor::rank == 0 && Tensor::layout.partial.empty(),
                  "gshard: backward starts at a scalar, such as mean(...) or a loss");
    Cotangent<Tensor> one(uninitialized, loss.value().mesh(), Extents{});
    detail::fill_elements<typename Tensor::memory_space>(one.data(), 1, typename Tensor::value_type(1));
    backward(loss, one);
  }

  /// What is no recorded tensor: a compile error that says so.
  template <class Loss>
  void backward(Loss const&) {
    using Refused [[maybe_unused]] = decltype(error::BackwardOfUnrecorded<Loss>{});
  }

  /// Runs the gradients of everything that led to `result`, whose own gradient is `seed`. Throws as above, and
  /// MeshError and ExtentError where the seed does not have the mesh and extents of the result.
  template <AnyTensor Tensor>
  void backward(Var<Tensor> const& result, Cotangent<Tensor> const& seed) {
    require_unrun();
    require_own("backward", result.tape());
    detail::require_same_shape("Tape::backward", {{"result", result.value()}, {"seed", seed}});
    accumulate<Tensor>(result.node(), seed);
    backward();
  }

  /// Runs the gradients of everything that led to what `accumulate` gave a gradient.
  void backward() {
    require_unrun();
    has_run_ = true;
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
      if (!node->parts.empty()) node->parts.reduce(node->gradient);
      if (node->is_leaf) continue;
      if (node->gradient) node->vjp(node->gradient.get());
      node->gradient.reset();
      node->vjp = {};
    }
  }

  /// The gradient of a leaf after the backward pass: zeros where the loss does not depend on it. Throws StateError
  /// before that pass, and where `var` is no leaf of this tape: results do not keep their gradients, and those of
  /// parameters are in the Parameter.
  template <AnyTensor Tensor>
  Cotangent<Tensor> gradient(Var<Tensor> const& var) const {
    require_own("gradient", var.tape());
    Node const& node = nodes_[static_cast<std::size_t>(var.node())];
    if (!has_run_) throw StateError("Tape::gradient: the backward pass has not run; call backward first");
    if (node.parameter != nullptr)
      throw StateError("Tape::gradient: the recorded tensor is a Parameter; its gradient is parameter.gradient");
    if (!node.is_leaf)
      throw StateError("Tape::gradient: the recorded tensor is a result; watch(tensor) what is to keep its gradient");
    if (node.gradient) return static_cast<Sum<Tensor> const*>(node.gradient.get())->rounded();
    return Cotangent<Tensor>(var.value().mesh(), var.value().extents());
  }

  /// Does not compile: input data has no gradient.
  template <AnyTensor Tensor>
  Cotangent<Tensor> gradient(Input<Tensor> const&) const {
    using Refused [[maybe_unused]] = decltype(error::GradientOfInput<typename Tensor::spec_type>{});
    return {};
  }

 private:
  /// What gradients of a node of type `Tensor` add up in.
  template <AnyTensor Tensor>
  using Sum = detail::RunningSum<Cotangent<Tensor>>;

  struct Node {
    std::shared_ptr<void> gradient{};  ///< a Sum, or what the results of an operation leave
    detail::Closure vjp{};
    bool is_leaf = false;
    void const* parameter = nullptr;
    detail::Unreduced parts{};
    detail::MeshState const* mesh = nullptr;  ///< of the value, and its extents; null where an operation has several
    Extents extents{};
  };

  friend detail::TapeHandle const& detail::handle_of(Tape const& tape);

  void require_own(char const* function, Tape const& tape) const {
    if (&tape != this)
      throw StateError(detail::concat("Tape::", function, ": the recorded tensor is on another Tape; ask that one"));
  }

  void require_fits(int node, detail::Operand const& gradient) const {
    Node const& of = nodes_[static_cast<std::size_t>(node)];
    detail::require_set("Tape", {gradient});
    if (gradient.mesh != of.mesh)
      throw MeshError(detail::concat("Tape: ", detail::text_of(gradient), " on mesh (", gradient.mesh->text(),
                                     ") is given to a recorded tensor on another mesh"));
    if (!(*gradient.extents == of.extents))
      throw ExtentError(detail::concat("Tape: ", detail::text_of(gradient),
                                       " is given to a recorded tensor of extents ", detail::text_of(of.extents),
                                       detail::place_of(gradient)));
  }

  /// Adds a node for a recorded tensor of this value and returns its number.
  int add_node(detail::TensorHandle const& value) {
    require_unrun();
    detail::require_set("Tape", {{"recorded tensor", value}});
    nodes_.push_back({.mesh = value->mesh.get(), .extents = value->extents});
    return static_cast<int>(nodes_.size()) - 1;
  }

  static constexpr int no_node = -1;

  std::vector<Node> nodes_;
  std::unordered_map<void const*, int> parameters_;  ///< nodes of parameters, by address
  Accumulation* accumulation_ = nullptr;
  bool has_run_ = false;
  detail::TapeHandle handle_ = std::make_shared<Tape*>(this);
};

inline detail::TapeHandle const& detail::handle_of(Tape const& tape) { return tape.handle_; }

template <AnyTensor Tensor>
void OperandGradient<Tensor>::add(Cotangent<Tensor> const& gradient) const {
  tape_->accumulate<Tensor>(node_, gradient);
}

template <AnyTensor Tensor>
template <class Gradient>
  requires(detail::is_rounded<typename Tensor::value_type> &&
           std::is_same_v<Gradient, detail::Widened<Cotangent<Tensor>>>)
void OperandGradient<Tensor>::add(Gradient const& gradient) const {
  tape_->accumulate<Tensor>(node_, gradient);
}

template <AnyTensor Tensor>
template <AnyTensor Part>
void OperandGradient<Tensor>::add_part(Part part) const {
  tape_->accumulate_part<Tensor>(node_, std::move(part));
}

}  // namespace gshard
