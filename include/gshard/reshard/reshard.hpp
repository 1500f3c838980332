// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/reshard/execute.hpp>
#include <gshard/reshard/plan.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

namespace error {

template <int Before, int After>
struct ReshardChangesRank {
  static_assert(always_false<std::integral_constant<int, Before>>,
                "gshard: the new spec has another number of dimensions than the tensor; give one entry for each dimension, `_` where no axis splits it");
};

}  // namespace error

/// The movements of `reshard<To>` of a tensor of type `Tensor`, as a constant.
template <AnyTensor Tensor, class To>
inline constexpr ReshardPlan reshard_plan_of = plan_reshard(Tensor::layout, layout_of<typename Tensor::mesh_type, To>,
                                                            static_sizes_of<typename Tensor::mesh_type>());

namespace detail {

/// Step `Index` of `reshard<To>` of a tensor that was an `Original`. Plans are named by types, not given as template arguments, which keeps symbols short.
template <class To, class Original, int Index, AnyTensor Tensor>
auto take_step(Tensor const& tensor, bool may_overwrite) {
  static constexpr ReshardStep step = reshard_plan_of<Original, To>.steps[Index];
  using Result = with_layout<Tensor, step.layout>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  MeshState const& mesh = tensor.mesh().state();
  if constexpr (step.movement == Movement::all_reduce) {
    auto result = may_overwrite && tensor.is_sole_owner() ? tensor.template reinterpreted<typename Result::spec_type>(tensor.extents())
                                                          : Result(uninitialized, tensor.mesh(), tensor.extents(), tensor.name());
    if (result.data() != tensor.data()) copy_elements<Space>(result.data(), tensor.data(), tensor.local_size());
    Transfer<Space, T>::fence();
    comm::all_reduce(mesh.group(step.axes), result.data(), result.local_size());
    return result;
  } else {
    Result result(uninitialized, tensor.mesh(), tensor.extents(), tensor.name());
    Transfer<Space, T> const transfer{mesh, tensor.extents(), Tensor::layout, Result::layout, tensor.data(), result.data()};
    if constexpr (step.movement == Movement::slice) transfer.slice();
    else if constexpr (step.movement == Movement::zero_fill) transfer.zero_fill(step.axes);
    else if constexpr (step.movement == Movement::all_gather) transfer.all_gather(step.axes);
    else if constexpr (step.movement == Movement::reduce_scatter) transfer.reduce_scatter(step.axes);
    else transfer.exchange(step.axes);
    return result;
  }
}

template <class To, int Done, AnyTensor Original, AnyTensor Tensor>
auto take_steps(Tensor&& tensor, bool may_overwrite) {
  if constexpr (Done == reshard_plan_of<Original, To>.steps.size()) {
    return std::forward<Tensor>(tensor);
  } else {
    return take_steps<To, Done + 1, Original>(take_step<To, Original, Done>(tensor, may_overwrite), true);
  }
}

}  // namespace detail

/// The same tensor held as `To` says. Communicates what `reshard_plan_of<Tensor, To>` lists; the tensor itself is returned where the layouts agree.
/// A tensor given as an rvalue may be overwritten where nobody else holds it.
template <class To, AnyTensor Tensor>
with_spec<std::remove_cvref_t<Tensor>, To> reshard(Tensor&& tensor) {
  using Original = std::remove_cvref_t<Tensor>;
  if constexpr (To::rank != Original::rank) {
    (void)sizeof(error::ReshardChangesRank<Original::rank, To::rank>);
  } else {
    Kokkos::Profiling::ScopedRegion const region("gshard::reshard");
    return detail::take_steps<To, 0, Original>(tensor, !std::is_lvalue_reference_v<Tensor>);
  }
}

namespace detail {

constexpr Layout replicated_layout(int rank) {
  Layout layout;
  for (int dimension = 0; dimension < rank; ++dimension) layout.dimensions.push_back({});
  return layout;
}

constexpr Layout split_layout(Layout layout, int dimension, AxisList const& axes) {
  layout.dimensions[dimension] = axes;
  return layout;
}

template <class Mesh, AxisNames Names>
constexpr AxisList axes_of() {
  AxisList axes;
  for (int i = 0; i < Names.count(); ++i) axes.push_back(Mesh::find(Names[i]));
  return axes;
}

}  // namespace detail

/// The whole tensor on every rank (paper 3.2).
template <AnyTensor Tensor>
auto replicate(Tensor&& tensor) {
  using Original = std::remove_cvref_t<Tensor>;
  return reshard<spec_of<typename Original::mesh_type, detail::replicated_layout(Original::rank)>>(std::forward<Tensor>(tensor));
}

/// Dimension `Dimension` split over `Names`, in place of what split it before; the other dimensions stay as they are (paper 3.2).
template <int Dimension, AxisNames Names, AnyTensor Tensor>
auto split(Tensor&& tensor) {
  using Original = std::remove_cvref_t<Tensor>;
  using Mesh = typename Original::mesh_type;
  static_assert(Dimension >= 0 && Dimension < Original::rank, "gshard: split<dimension, axes> names a dimension that the tensor does not have");
  static constexpr Layout target = detail::split_layout(Original::layout, Dimension, detail::axes_of<Mesh, Names>());
  return reshard<spec_of<Mesh, target>>(std::forward<Tensor>(tensor));
}

/// The tensor held as `To` says (paper 3.2); another name for reshard.
template <class To, AnyTensor Tensor>
auto shard(Tensor&& tensor) {
  return reshard<To>(std::forward<Tensor>(tensor));
}

}  // namespace gshard
