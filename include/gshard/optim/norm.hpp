// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <vector>

#include <gshard/autodiff/tape.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/reduce/total.hpp>

namespace gshard::optim {

namespace detail {

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

/// The norm of the gradients of all parameters of `model` together: each element counts once, however many ranks hold
/// it. One all-reduce of one number over the axes that split any of them; gradients that are unreduced sums are reduced
/// first.
template <class Model>
double gradient_norm(Model& model) {
  detail::SumsOverRanks squares;
  model.for_each_parameter([&](auto& parameter) {
    if (!parameter.has_gradient()) return;
    using Gradient = Cotangent<std::remove_cvref_t<decltype(parameter.gradient)>>;
    squares.add(parameter.gradient.mesh().state(),
                detail::local_squares(gshard::detail::held_as<typename Gradient::spec_type>(parameter.gradient)));
  });
  return std::sqrt(squares.total());
}

/// Forgets the gradients of all parameters of `model`.
template <class Model>
void clear_gradients(Model& model) {
  model.for_each_parameter([](auto& parameter) { parameter.clear_gradient(); });
}

}  // namespace gshard::optim
