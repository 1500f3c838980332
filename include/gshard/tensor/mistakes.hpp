// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <gshard/core/compile_error.hpp>
#include <gshard/tensor/layout.hpp>

// Compile errors of ShardedTensor, and the checks that select them.

namespace gshard {

template <class Mesh, class Spec, class T, class MemorySpace>
class ShardedTensor;

namespace error {

/// Compile error of `Given` extents for a tensor of `Wanted` dimensions.
template <int Given, int Wanted>
struct TensorExtentsCount {
  static_assert(
      always_false<std::integral_constant<int, Given>>,
      "gshard: the number of extents is not the number of dimensions of the spec; give one extent for each entry of Spec<...>");
};

/// Compile error of two specs that fix dimension `Dimension` at `Given` and at `Wanted`.
template <int Dimension, std::int64_t Given, std::int64_t Wanted>
struct TensorExtentsContradict {
  static_assert(
      always_false<std::integral_constant<int, Dimension>>,
      "gshard: the types of two tensors fix different extents for one dimension (0 is the first); give both specs the same extent(...), or leave "
      "one to run time by `_`");
};

/// Compile error of `Given` indices for an element of a tensor of `Wanted` dimensions.
template <int Given, int Wanted>
struct ElementIndices {
  static_assert(always_false<std::integral_constant<int, Given>>,
                "gshard: at and holds take one global index for each dimension of the tensor");
};

/// Compile error of access to an element of an unreduced sum.
template <class Tensor>
struct ElementOfPartial {
  static_assert(
      always_false<Tensor>,
      "gshard: no rank holds an element of an unreduced sum, but a part of it; reduce the tensor first, by reshard to a spec without partial");
};

/// Compile error of `x(i, j)` on a tensor.
template <class Spec, class... Indices>
struct TensorIsIndexed {
  static_assert(
      always_false<Spec>,
      "gshard: a tensor has no call operator, since each rank holds a block; x.at(i, j) is an element that this rank "
      "holds, x.local()(i, j) one by its local indices, to_vector(x) has all of them");
};

/// Compile error of `local`, `flat` or `data` of a temporary.
template <class Spec>
struct ElementsOfTemporary {
  static_assert(
      always_false<Spec>,
      "gshard: local(), flat() or data() is called on a temporary tensor, whose memory is free at the end of the "
      "statement; keep the tensor first, as in auto const y = eval(...), and call y.local()");
};

/// Compile error of a conversion between tensors of the specs `From` and `To`, which needs communication.
template <class From, class To>
struct ConvertedTensorMoves {
  static_assert(
      always_false<From>,
      "gshard: a tensor of one spec is given where another spec is declared, and tensors do not move unseen; write "
      "reshard<Spec<...>>(tensor)");
};

/// Compile error of a conversion between tensors of the element types `From` and `To`.
template <class From, class To>
struct ConvertedTensorOfOtherElements {
  static_assert(
      always_false<From>,
      "gshard: a tensor of one element type is given where another one is declared; write cast<double>(tensor)");
};

/// Compile error of a conversion between tensors of `From` and `To` dimensions.
template <int From, int To>
struct ConvertedTensorOfOtherRank {
  static_assert(
      always_false<std::integral_constant<int, From>>,
      "gshard: a tensor is given where one of another number of dimensions is declared; use reshape, or correct "
      "the declared Spec<...>");
};

/// Compile error of a conversion between tensors on the mesh types `From` and `To`.
template <class From, class To>
struct ConvertedTensorOfOtherMesh {
  static_assert(always_false<From>,
                "gshard: a tensor on a mesh of one type is given where another one is declared; write "
                "reshard<Spec<...>>(tensor, mesh)");
};

/// Compile error of a conversion between tensors in the memory spaces `From` and `To`.
template <class From, class To>
struct ConvertedTensorOfOtherMemory {
  static_assert(always_false<From>,
                "gshard: a tensor in one memory space is given where another one is declared; make both in one space");
};

}  // namespace error

namespace detail {

template <class Spec, class Other>
struct ExtentsMistakeOf {
  static constexpr int dimension = contradiction(Spec::static_extents(), Other::static_extents());
  static constexpr auto find() {
    if constexpr (dimension < 0) return std::type_identity<void>{};
    else
      return std::type_identity<error::TensorExtentsContradict<dimension, Spec::static_extents()[dimension],
                                                               Other::static_extents()[dimension]>>{};
  }
  using type = typename decltype(find())::type;
};

/// Compile error of two specs of one rank that fix different extents; void if they agree.
template <class Spec, class Other>
using ExtentsMistake = typename ExtentsMistakeOf<Spec, Other>::type;

/// Whether two tensor types differ at most in the extents that their specs fix.
template <class Tensor, class Other>
inline constexpr bool same_but_extents = false;
template <class Mesh, class Spec, class OtherSpec, class T, class MemorySpace>
inline constexpr bool
    same_but_extents<ShardedTensor<Mesh, Spec, T, MemorySpace>, ShardedTensor<Mesh, OtherSpec, T, MemorySpace>> =
        layout_of<Mesh, Spec> == layout_of<Mesh, OtherSpec>;

template <class From, class To>
struct ConversionMistakeOf;
template <class Mesh, class Spec, class T, class MemorySpace, class OtherMesh, class OtherSpec, class OtherT,
          class OtherSpace>
struct ConversionMistakeOf<ShardedTensor<Mesh, Spec, T, MemorySpace>,
                           ShardedTensor<OtherMesh, OtherSpec, OtherT, OtherSpace>> {
  static constexpr auto find() {
    if constexpr (!std::is_same_v<Mesh, OtherMesh>)
      return std::type_identity<error::ConvertedTensorOfOtherMesh<Mesh, OtherMesh>>{};
    else if constexpr (!std::is_same_v<MemorySpace, OtherSpace>)
      return std::type_identity<error::ConvertedTensorOfOtherMemory<MemorySpace, OtherSpace>>{};
    else if constexpr (!std::is_same_v<T, OtherT>)
      return std::type_identity<error::ConvertedTensorOfOtherElements<T, OtherT>>{};
    else if constexpr (Spec::rank != OtherSpec::rank)
      return std::type_identity<error::ConvertedTensorOfOtherRank<Spec::rank, OtherSpec::rank>>{};
    else return std::type_identity<error::ConvertedTensorMoves<Spec, OtherSpec>>{};
  }
  using type = typename decltype(find())::type;
};

/// Compile error for the first difference of two tensor types that are not `same_but_extents`.
template <class From, class To>
using ConversionMistake = typename ConversionMistakeOf<From, To>::type;

}  // namespace detail
}  // namespace gshard
