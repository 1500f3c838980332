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
#include <gshard/core/arena.hpp>
#include <gshard/core/closure.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/unevaluated.hpp>

namespace gshard {

/// Records operations as they run, and runs their vjps in reverse order, once. Saved values are kept until the vjp of
/// their operation has run; later vjps reuse their memory. After the backward pass, recording and a second pass throw
/// StateError.
class Tape {
 public:
  Tape() = default;
  ~Tape() { *handle_ = nullptr; }
  /// Constructs a tape that leaves the gradients of parameters unreduced in `sums`, where operations give unreduced
  /// sums.
  explicit Tape(Accumulation& sums) : accumulation_(&sums) {}
  /// Argument of the constructor of a tape for a part of what is recorded on another one.
  struct Within {
    Tape const& tape;
  };
  /// Constructs a tape that treats the gradients of parameters as the outer one does.
  explicit Tape(Within const& outer) : accumulation_(outer.tape.accumulation_) {}
  Tape(Tape const&) = delete;
  Tape& operator=(Tape const&) = delete;

  /// Returns input data as an operand of a recorded computation. No gradient of it is computed or communicated, and it
  /// may be of integers.
  /// Throws StateError if `tensor` is unset.
  template <AnyTensor Tensor>
  Input<Tensor> input(Tensor const& tensor) {
    require_unrun();
    require_set("Tape::input", "tensor", tensor.handle());
    return {*this, no_node, tensor};
  }

  /// Records a leaf: `gradient(leaf)` returns its gradient after the backward pass.
  /// Throws StateError if `tensor` is unset.
  template <AnyTensor Tensor>
  Var<Tensor> watch(Tensor const& tensor) {
    require_set("Tape::watch", "tensor", tensor.handle());
    if constexpr (std::is_integral_v<typename Tensor::value_type>)
      using Refused [[maybe_unused]] = decltype(error::GradientOfIntegers<Tensor>{});
    int const node = add_node(tensor.handle());
    nodes_.back().is_leaf = true;
    return {*this, node, tensor};
  }

  /// Records a parameter: the backward pass adds its gradient to `parameter.gradient`. A parameter that is watched
  /// several times is one leaf, and its gradient is reduced once.
  /// Throws StateError if its value is unset, MeshError or ExtentError if its gradient so far is of another mesh or
  /// shape.
  template <AnyTensor Tensor>
  Var<Tensor> watch(Parameter<Tensor>& parameter) {
    if constexpr (std::is_integral_v<typename Tensor::value_type>)
      using Refused [[maybe_unused]] = decltype(error::GradientOfIntegers<Tensor>{});
    require_unrun();
    require_set("Tape::watch", "parameter", parameter.value.handle());
    if (parameter.gradient.is_set())
      detail::require_same_shape("Tape::watch", {{"parameter", parameter.value}, {"its gradient", parameter.gradient}});
    auto const [known, is_new] = parameters_.try_emplace(&parameter, static_cast<int>(nodes_.size()));
    if (is_new) {
      add_node(parameter.value.handle());
      nodes_.back().target = {&parameter, [](void* target, detail::SumHandles& sum) {
                                Sum<Tensor>(sum).move_to(static_cast<Parameter<Tensor>*>(target)->gradient);
                              }};
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

  /// Records the result of an operation. `vjp(gradient)` adds to the gradients of the operands; it runs in the backward
  /// pass if the result has a gradient.
  /// Throws StateError if the tape has run, or `value` is unset.
  template <AnyTensor Tensor, class Vjp>
  Var<Tensor> record(Tensor const& value, Vjp vjp) {
    int const node = add_node(value.handle());
    nodes_.back().vjp = detail::Closure::in(closures_, [vjp = std::move(vjp)](void* sum) {
      vjp(Sum<Tensor>(*static_cast<detail::SumHandles*>(sum)).take());
    });
    return {*this, node, value};
  }

  /// Records an operation of several results and returns its node. The results are recorded after it; their vjps store
  /// their gradients in `gradients<Gradients>(node)`. Then `vjp(gradients)` adds to the gradients of the operands; it
  /// runs if a result has a gradient.
  /// Throws StateError if the tape has run.
  template <class Gradients, class Vjp>
  int record_several(Vjp vjp) {
    require_unrun();
    nodes_.push_back({.vjp = detail::Closure::in(closures_, [vjp = std::move(vjp)](void* gradients) {
                        vjp(*static_cast<Gradients*>(gradients));
                      })});
    return static_cast<int>(nodes_.size()) - 1;
  }

  /// Returns the gradients of the results of an operation recorded by `record_several`.
  template <class Gradients>
  Gradients& gradients(int node) {
    auto& gradients = known_node(node).gradients_of_results;
    if (!gradients) gradients = std::make_shared<Gradients>();
    return *static_cast<Gradients*>(gradients.get());
  }

  /// Adds to the gradient of a node of type `Tensor`.
  /// Throws StateError if there is no such node or `gradient` is unset, MeshError or ExtentError if it does not have
  /// the mesh and the extents of the recorded tensor.
  template <AnyTensor Tensor, AnyTensor Gradient>
  void accumulate(int node, Gradient const& gradient) {
    Sum<Tensor>(fitting_node(node, gradient.handle()).gradient).add(gradient);
  }

  /// Adds `reshard<spec of the gradient>(part)` to the gradient of a node. Parts are added first and resharded in the
  /// backward pass; with an Accumulation, those of a parameter are resharded by `Accumulation::reduce`.
  /// Throws as `accumulate`.
  template <AnyTensor Tensor, AnyTensor Part>
  void accumulate_part(int index, Part const& part) {
    Node& node = fitting_node(index, part.handle());
    if (accumulation_ != nullptr && node.target) accumulation_->add<Cotangent<Tensor>>(node.target, part);
    else if constexpr (std::is_same_v<Part, Cotangent<Tensor>>) Sum<Tensor>(node.gradient).add(part);
    else node.parts.template add<Cotangent<Tensor>>(part);
  }

  /// Throws StateError if the backward pass has run.
  void require_unrun() const {
    if (has_run_)
      throw StateError(
          "Tape: the backward pass has run already; record the next pass on a new Tape, or add losses up "
          "before the first");
  }

  /// Computes the gradients of all leaves that `loss`, a scalar, depends on.
  /// Throws StateError if the tape has run already or did not record the loss.
  template <AnyTensor Tensor>
  void backward(Var<Tensor> const& loss) {
    static_assert(Tensor::rank == 0 && Tensor::layout.partial.empty(),
                  "gshard: backward starts at a scalar, such as mean(...) or a loss");
    Cotangent<Tensor> one(uninitialized, loss.value().mesh(), Extents{});
    detail::fill_elements<typename Tensor::memory_space>(one.data(), 1, typename Tensor::value_type(1));
    backward(loss, one);
  }

  /// Does not compile: the loss is not a recorded tensor.
  template <class Loss>
  void backward(Loss const&) {
    using Refused [[maybe_unused]] = decltype(error::BackwardOfUnrecorded<Loss>{});
  }

  /// Computes the gradients of all leaves that `result` depends on, from the gradient `seed` of `result`.
  /// Throws StateError as above, MeshError or ExtentError if the seed does not have the mesh and extents of the result.
  template <AnyTensor Tensor>
  void backward(Var<Tensor> const& result, Cotangent<Tensor> const& seed) {
    require_unrun();
    require_own("backward", result.tape());
    detail::require_same_shape("Tape::backward", {{"result", result.value()}, {"seed", seed}});
    accumulate<Tensor>(result.node(), seed);
    backward();
  }

  /// Runs the backward pass from the gradients that `accumulate` has added. If a vjp throws, the gradients of
  /// parameters have part of the pass: clear them before the next one. Throws StateError if the tape has run already.
  void backward() {
    require_unrun();
    has_run_ = true;
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
      if (!node->parts.empty()) node->parts.reduce(node->gradient);
      if (node->is_leaf) continue;
      if (node->gradient.is_set() && node->target) node->target.add_all_of(node->gradient);
      else if (node->gradient.is_set()) node->vjp(&node->gradient);
      else if (node->gradients_of_results) node->vjp(node->gradients_of_results.get());
      node->gradient = {};
      node->gradients_of_results.reset();
      node->vjp.reset();
    }
    is_complete_ = true;
  }

  /// Returns the gradient of a leaf after the backward pass: zeros if the loss does not depend on the leaf.
  /// Throws StateError before that pass or if it has failed, and if `var` is not a leaf of this tape: results do not
  /// keep their gradients, and those of parameters are in the Parameter.
  template <AnyTensor Tensor>
  Cotangent<Tensor> gradient(Var<Tensor> const& var) const {
    require_own("gradient", var.tape());
    Node const& node = nodes_[static_cast<std::size_t>(var.node())];
    if (!has_run_) throw StateError("Tape::gradient: the backward pass has not run; call backward first");
    if (!is_complete_) throw StateError("Tape::gradient: the backward pass has failed, so that there are no gradients");
    if (node.target)
      throw StateError("Tape::gradient: the recorded tensor is a Parameter; its gradient is parameter.gradient");
    if (!node.is_leaf)
      throw StateError("Tape::gradient: the recorded tensor is a result; watch(tensor) what is to keep its gradient");
    if (node.gradient.is_set()) return Sum<Tensor>::unshared_rounded(node.gradient);
    return Cotangent<Tensor>(var.value().mesh(), var.value().extents());
  }

  /// Does not compile: input data has no gradient.
  template <AnyTensor Tensor>
  Cotangent<Tensor> gradient(Input<Tensor> const&) const {
    using Refused [[maybe_unused]] = decltype(error::GradientOfInput<typename Tensor::spec_type>{});
    return {};
  }

 private:
  /// Sum of the gradients of a node of type `Tensor`.
  template <AnyTensor Tensor>
  using Sum = detail::RunningSum<Cotangent<Tensor>>;

  struct Node {
    detail::SumHandles gradient{};
    std::shared_ptr<void> gradients_of_results{};  ///< of an operation of several results
    detail::Closure vjp{};                         ///< null for leaves and parameters
    bool is_leaf = false;
    detail::GradientTarget target{};  ///< of a parameter, else null
    detail::Unreduced parts{};
    detail::MeshState const* mesh = nullptr;  ///< mesh of the value; null for an operation of several results
    Extents extents{};                        ///< global extents of the value
  };

  friend detail::TapeHandle const& detail::handle_of(Tape const& tape);

  void require_own(char const* function, Tape const& tape) const {
    if (&tape != this)
      throw StateError(detail::concat("Tape::", function, ": the recorded tensor is on another Tape; ask that one"));
  }

  static void require_set(char const* function, char const* role, detail::TensorHandle const& tensor) {
    if (!tensor) detail::require_set(function, {{role, tensor}});
  }

  /// Returns a node. Throws StateError if there is none of this number, as for input data.
  Node& known_node(int index) {
    if (index < 0 || static_cast<std::size_t>(index) >= nodes_.size())
      throw StateError(detail::concat("Tape: there is no node ", index, " for a gradient; input data has none"));
    return nodes_[static_cast<std::size_t>(index)];
  }

  /// Returns the node. Throws StateError if there is none or the gradient is unset, MeshError or ExtentError if it does
  /// not have the mesh and the extents of the recorded tensor.
  Node& fitting_node(int index, detail::TensorHandle const& gradient) {
    Node& node = known_node(index);
    if (!gradient || gradient->mesh.get() != node.mesh || gradient->extents != node.extents)
      refuse_gradient(node, {"gradient", gradient});
    return node;
  }

  [[noreturn, gnu::cold]] static void refuse_gradient(Node const& node, detail::Operand const& gradient) {
    detail::require_set("Tape", {gradient});
    if (gradient.mesh != node.mesh)
      throw MeshError(detail::concat("Tape: ", detail::text_of(gradient), " on mesh (", gradient.mesh->text(),
                                     ") is given to a recorded tensor on another mesh"));
    throw ExtentError(detail::concat("Tape: ", detail::text_of(gradient), " is given to a recorded tensor of extents ",
                                     detail::text_of(node.extents), detail::place_of(gradient)));
  }

  /// Adds a node for a recorded tensor of this value and returns its number.
  int add_node(detail::TensorHandle const& value) {
    require_unrun();
    require_set("Tape", "recorded tensor", value);
    nodes_.push_back({.mesh = value->mesh.get(), .extents = value->extents});
    return static_cast<int>(nodes_.size()) - 1;
  }

  static constexpr int no_node = -1;

  detail::Arena closures_;  ///< memory of the vjps; outlives the nodes
  std::vector<Node> nodes_;
  std::unordered_map<void const*, int> parameters_;  ///< nodes of parameters, by address
  Accumulation* accumulation_ = nullptr;
  bool has_run_ = false;
  bool is_complete_ = false;  ///< no vjp has thrown
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
