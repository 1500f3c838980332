// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/reshard/execute.hpp>
#include <gshard/reshard/plan.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>
#include <gshard/tensor/unevaluated.hpp>

namespace gshard {

namespace error {

template <int Before, int After>
struct ReshardChangesRank {
  static_assert(
      always_false<std::integral_constant<int, Before>>,
      "gshard: the new spec has another number of dimensions than the tensor; give one entry for each dimension, `_` where no axis splits it");
};

}  // namespace error

/// The movements of `reshard<To>` of a tensor of type `Tensor`, as a constant.
template <AnyTensor Tensor, class To>
inline constexpr ReshardPlan reshard_plan_of = plan_reshard(Tensor::layout, layout_of<typename Tensor::mesh_type, To>,
                                                            static_sizes_of<typename Tensor::mesh_type>());

/// The type of `reshard<To>` of a tensor of type `Tensor`: extents that either spec fixes stay fixed.
template <AnyTensor Tensor, class To>
using Resharded = with_spec<Tensor, with_extents_of<To, typename Tensor::spec_type>>;

/// The elements of the largest block or message buffer that a rank needs during `reshard<To>` of a tensor of type
/// `Tensor` with these global extents, the result included, as a constant where extents and sizes are:
/// `static_assert(largest_buffer<decltype(x), Spec<_, "x">>({64, 64}) == 1024)`. To be given where the types do not fix
/// them: extents, and the `sizes` of the mesh's axes.
template <AnyTensor Tensor, class To>
constexpr std::int64_t largest_buffer(Extents const& extents = Tensor::static_extents,
                                      StaticSizes const& sizes = static_sizes_of<typename Tensor::mesh_type>()) {
  if (extents.size() != Tensor::rank || sizes.size() != Tensor::mesh_type::axis_count)
    throw ExtentError(detail::concat("largest_buffer: give ", Tensor::rank, " extents and ",
                                     Tensor::mesh_type::axis_count, " sizes of axes, not ", extents.size(), " and ",
                                     sizes.size()));
  if (extents.contains(dynamic_extent) || sizes.contains(dynamic_size))
    throw ExtentError("largest_buffer: give the extents and the sizes of the mesh that the types do not fix");
  return detail::largest_buffer(Tensor::layout, reshard_plan_of<Tensor, To>, extents, sizes);
}

namespace detail {

template <class Tensor, class To>
struct ReshardMistakeOf {
  using type = ExtentsMistake<typename Tensor::spec_type, To>;
};
template <class Tensor, class To>
  requires(Tensor::rank != To::rank)
struct ReshardMistakeOf<Tensor, To> {
  using type = error::ReshardChangesRank<Tensor::rank, To::rank>;
};

template <class To, AnyTensor Tensor>
Resharded<Tensor, To> reshard_into(Tensor const& tensor, Original original) {
  using Mistake = typename ReshardMistakeOf<Tensor, To>::type;
  if constexpr (!std::is_void_v<Mistake>) {
    using Refused [[maybe_unused]] = decltype(Mistake{});
    return {};
  } else {
    using Result = Resharded<Tensor, To>;
    static constexpr ReshardPlan const& plan = reshard_plan_of<Tensor, To>;
    return Result(run_reshard(tensor.handle(), plan,
                              movers_of<typename Tensor::memory_space, typename Tensor::value_type, plan.movements()>,
                              Result::type, original));
  }
}

/// As reshard, for what is only read: where no axis of more than one rank is in the way, the result shares the elements
/// of the tensor.
template <class To, AnyTensor Tensor>
Resharded<Tensor, To> reshard_or_share(Tensor const& tensor) {
  return reshard_into<To>(tensor, Original::is_read);
}

}  // namespace detail

/// The same tensor held as `To` says. Communicates what `reshard_plan_of<Tensor, To>` lists; the tensor itself is
/// returned where the layouts agree. The memory of a tensor that is given as an rvalue, and that nobody else holds, may
/// be used for the result.
template <class To, AnyTensor Tensor>
Resharded<std::remove_cvref_t<Tensor>, To> reshard(Tensor&& tensor) {
  bool const is_given_up = !std::is_lvalue_reference_v<Tensor> && tensor.is_sole_owner();
  return detail::reshard_into<To, std::remove_cvref_t<Tensor>>(
      tensor, is_given_up ? detail::Original::is_given_up : detail::Original::stays);
}
template <class To, Unevaluated Operation>
auto reshard(Operation const& x) {
  return reshard<To>(detail::refuse_unevaluated(x));
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
  return reshard<spec_of<typename Original::mesh_type, detail::replicated_layout(Original::rank)>>(
      std::forward<Tensor>(tensor));
}
template <Unevaluated Operation>
auto replicate(Operation const& x) {
  return replicate(detail::refuse_unevaluated(x));
}

/// Dimension `Dimension` split over `Names`, in place of what split it before; the other dimensions stay as they are
/// (paper 3.2). Negative dimensions count from the end.
template <int Dimension, AxisNames Names, AnyTensor Tensor>
auto split(Tensor&& tensor) {
  using Original = std::remove_cvref_t<Tensor>;
  using Mesh = typename Original::mesh_type;
  constexpr int dimension = detail::dimension_of<Dimension, Original::rank>;
  static constexpr Layout target = detail::split_layout(Original::layout, dimension, detail::axes_of<Mesh, Names>());
  return reshard<spec_of<Mesh, target>>(std::forward<Tensor>(tensor));
}
template <int Dimension, AxisNames Names, Unevaluated Operation>
auto split(Operation const& x) {
  return split<Dimension, Names>(detail::refuse_unevaluated(x));
}

/// The tensor held as `To` says (paper 3.2); another name for reshard.
template <class To, AnyTensor Tensor>
auto shard(Tensor&& tensor) {
  return reshard<To>(std::forward<Tensor>(tensor));
}

}  // namespace gshard
