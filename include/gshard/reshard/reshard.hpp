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

/// Compile error: a tensor of `Before` dimensions is resharded to a spec of `After` dimensions.
template <int Before, int After>
struct ReshardChangesRank {
  static_assert(
      always_false<std::integral_constant<int, Before>>,
      "gshard: the new spec has another number of dimensions than the tensor; give one entry for each dimension, `_` where no axis splits it");
};

}  // namespace error

/// Plan of `reshard<To>` of a tensor of type `Tensor`, as a constant. Example, for `x` of spec `Spec<"x", _>`:
/// `static_assert(reshard_plan_of<decltype(x), Spec<_, "x">>.all_to_all == 1)`.
template <AnyTensor Tensor, class To>
inline constexpr ReshardPlan reshard_plan_of = plan_reshard(Tensor::layout, layout_of<typename Tensor::mesh_type, To>,
                                                            static_sizes_of<typename Tensor::mesh_type>());

/// Result type of `reshard<To>` of a tensor of type `Tensor`. Extents that either spec fixes are fixed.
template <AnyTensor Tensor, class To>
using Resharded = with_spec<Tensor, with_extents_of<To, typename Tensor::spec_type>>;

/// Returns the elements of the largest block or message buffer that any rank needs during `reshard<To>` of a tensor
/// of type `Tensor`, the result included. Example:
/// `static_assert(largest_buffer<decltype(x), Spec<_, "x">>({64, 64}) == 1024)`.
/// `extents` are global; `sizes` are those of the mesh's axes. The defaults are the values that the types fix.
/// Throws ExtentError if a number of values is wrong, or if a value is neither given nor fixed by a type.
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

/// Maps a wrong reshard to its compile error; `type` is void if the reshard is valid.
template <class Tensor, class To>
struct ReshardMistakeOf {
  using type = ExtentsMistake<typename Tensor::spec_type, To>;
};
template <class Tensor, class To>
  requires(Tensor::rank != To::rank)
struct ReshardMistakeOf<Tensor, To> {
  using type = error::ReshardChangesRank<Tensor::rank, To::rank>;
};

/// Reshards `tensor`; `original` says how its memory may be used.
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

/// Reshards a tensor for reading only. If every rank holds the same elements before and after, the result shares the
/// memory of the tensor.
template <class To, AnyTensor Tensor>
Resharded<Tensor, To> reshard_or_share(Tensor const& tensor) {
  return reshard_into<To>(tensor, Original::is_read);
}

}  // namespace detail

/// Returns the tensor in the layout of spec `To`.
/// If the layouts are equal, the result shares the memory of the tensor. If `tensor` is an rvalue and the sole owner
/// of its memory, the result may overwrite that memory.
/// Precondition: every rank of the mesh calls it.
/// Communication: the steps of `reshard_plan_of<Tensor, To>`; `explain<To>(tensor)` lists the bytes per rank.
/// Does not compile if the number of dimensions differs or both specs fix different extents.
/// Throws StateError if the tensor is unset, ExtentError if its extents differ from those that `To` fixes, MemoryError
/// if a block cannot be allocated, CommunicationError if MPI fails.
template <class To, AnyTensor Tensor>
Resharded<std::remove_cvref_t<Tensor>, To> reshard(Tensor&& tensor) {
  bool const is_given_up = !std::is_lvalue_reference_v<Tensor> && tensor.is_sole_owner();
  return detail::reshard_into<To, std::remove_cvref_t<Tensor>>(
      tensor, is_given_up ? detail::Original::is_given_up : detail::Original::stays);
}
/// Does not compile: an operation has to be evaluated first.
template <class To, Unevaluated Operation>
auto reshard(Operation&& x) {
  return reshard<To>(detail::refuse_unevaluated(std::forward<Operation>(x)));
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

}  // namespace detail

/// Returns the tensor replicated: every rank holds all elements, and unreduced sums are reduced.
/// Communication, preconditions and exceptions: as reshard.
/// Source: paper 3.2.
template <AnyTensor Tensor>
auto replicate(Tensor&& tensor) {
  using Original = std::remove_cvref_t<Tensor>;
  return reshard<spec_of<typename Original::mesh_type, detail::replicated_layout(Original::rank)>>(
      std::forward<Tensor>(tensor));
}
/// Does not compile: an operation has to be evaluated first.
template <Unevaluated Operation>
auto replicate(Operation&& x) {
  return replicate(detail::refuse_unevaluated(std::forward<Operation>(x)));
}

/// Returns the tensor with dimension `Dimension` split over the axes `Names` only, as in `split<1, "expert">(x)`. The
/// other dimensions and the partial axes keep their layout. Negative dimensions count from the end: -1 is the last one.
/// Does not compile if the mesh has no such axis, or if an axis of `Names` splits another dimension or is partial.
/// Communication, preconditions and exceptions: as reshard.
/// Source: paper 3.2.
template <int Dimension, AxisNames Names, AnyTensor Tensor>
auto split(Tensor&& tensor) {
  using Original = std::remove_cvref_t<Tensor>;
  using Mesh = typename Original::mesh_type;
  constexpr int dimension = detail::dimension_of<Dimension, Original::rank>;
  static constexpr Layout target =
      detail::split_layout(Original::layout, dimension, detail::checked_layout<Mesh, Spec<Names>>().dimensions[0]);
  return reshard<spec_of<Mesh, target>>(std::forward<Tensor>(tensor));
}
/// Does not compile: an operation has to be evaluated first.
template <int Dimension, AxisNames Names, Unevaluated Operation>
auto split(Operation&& x) {
  return split<Dimension, Names>(detail::refuse_unevaluated(std::forward<Operation>(x)));
}

/// Returns `reshard<To>(tensor)`. The paper's name of reshard.
/// Source: paper 3.2.
template <class To, AnyTensor Tensor>
auto shard(Tensor&& tensor) {
  return reshard<To>(std::forward<Tensor>(tensor));
}
/// Does not compile: an operation has to be evaluated first. An einsum, a reduction and a convolution have overloads of
/// their own, for which To is the declared spec of the result.
template <class To, Unevaluated Operation>
auto shard(Operation&& x) {
  return shard<To>(detail::refuse_unevaluated(std::forward<Operation>(x)));
}

}  // namespace gshard
