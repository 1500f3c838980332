// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gshard/autodiff/tape.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/optim/model.hpp>
#include <gshard/reduce/total.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::optim {

namespace detail {

/// Checks the parameters of a model, one after the other: all are set and live on one mesh, and a gradient lives on
/// that mesh and has the extents of its parameter. Throws StateError, MeshError, or ExtentError.
class ParameterCheck {
 public:
  explicit ParameterCheck(std::string_view operation) : operation_(operation) {}

  template <class Parameter>
  void operator()(Parameter const& parameter) {
    std::string const role = gshard::detail::concat("parameter ", count_++);
    std::string const gradient_role = "the gradient of " + role;
    gshard::detail::Operand const value(role, parameter.value);
    gshard::detail::require_set(operation_, {value});
    if (!first_) {
      first_role_ = role;
      first_.emplace(first_role_, parameter.value);
    }
    gshard::detail::require_one_mesh(operation_, {*first_, value});
    if (parameter.has_gradient())
      gshard::detail::require_same_shape(operation_, {value, {gradient_role, parameter.gradient}});
  }

  std::int64_t count() const { return count_; }

 private:
  std::string_view operation_;
  std::int64_t count_ = 0;
  std::string first_role_;
  std::optional<gshard::detail::Operand> first_;
};

/// A sum over the elements that this rank holds of a tensor, and the axes that split the tensor.
struct LocalSum {
  AxisSet split;
  double value;
};

/// The local sum of squares of a tensor.
template <AnyTensor Tensor>
LocalSum local_squares(Tensor const& tensor) {
  return {Tensor::layout.split(), gshard::detail::local_total<gshard::detail::Norming>(tensor)};
}

/// Local sums of many tensors of one mesh on their way to global ones. Each block counts once, on the first of the
/// ranks that hold it; what is sent goes over the axes that split any of the tensors.
class SumsOverRanks {
 public:
  void add(gshard::detail::MeshState const& mesh, LocalSum sum) {
    mesh_ = &mesh;
    axes_ |= sum.split;
    sums_.push_back(sum);
  }

  /// The sum of all: one all-reduce of one number.
  double total() const {
    double result = 0;
    for (LocalSum const& sum : sums_) result += counted(sum);
    if (mesh_ != nullptr) comm::all_reduce(mesh_->group(axes_), &result, 1);
    return result;
  }

  /// Each of the sums: one all-reduce of them all.
  std::vector<double> each() const {
    std::vector<double> result;
    for (LocalSum const& sum : sums_) result.push_back(counted(sum));
    if (mesh_ != nullptr) comm::all_reduce(mesh_->group(axes_), result.data(), std::ssize(result));
    return result;
  }

 private:
  double counted(LocalSum const& sum) const {
    AxisSet const replicas = axes_ - sum.split;
    for (int axis = 0; axis < mesh_->axis_count(); ++axis)
      if (replicas.contains(axis) && mesh_->coordinate(axis) != 0) return 0;
    return sum.value;
  }

  gshard::detail::MeshState const* mesh_ = nullptr;
  AxisSet axes_;
  std::vector<LocalSum> sums_;
};

}  // namespace detail

/// Returns the norm of the gradients of all parameters of `model` together: each element counts once, however many
/// ranks hold it. NaN and infinity propagate. One all-reduce of one number over the axes that split any of them;
/// gradients that are unreduced sums are reduced first. Throws StateError for an unset parameter, MeshError where
/// parameters or gradients live on several meshes, and ExtentError where a gradient has other extents than its
/// parameter.
template <Model Type>
double gradient_norm(Type& model) {
  detail::ParameterCheck check("gradient_norm");
  model.for_each_parameter([&](auto& parameter) { check(parameter); });
  detail::SumsOverRanks squares;
  model.for_each_parameter([&](auto& parameter) {
    if (!parameter.has_gradient()) return;
    using Gradient = Cotangent<std::remove_cvref_t<decltype(parameter.gradient)>>;
    squares.add(
        parameter.gradient.mesh_state(),
        detail::local_squares(gshard::detail::reshard_or_share<typename Gradient::spec_type>(parameter.gradient)));
  });
  return std::sqrt(squares.total());
}

/// Forgets the gradients of all parameters of `model`.
template <Model Type>
void clear_gradients(Type& model) {
  model.for_each_parameter([](auto& parameter) { parameter.clear_gradient(); });
}

/// What is no Model: a compile error that says so.
template <class Type>
double gradient_norm(Type&) {
  return detail::refuse_model<Type>();
}
template <class Type>
void clear_gradients(Type&) {
  detail::refuse_model<Type>();
}

}  // namespace gshard::optim
