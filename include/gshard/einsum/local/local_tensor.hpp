// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/static_vector.hpp>
#include <gshard/tensor/shard_range.hpp>

namespace gshard::detail {

/// Operand or result of a local contraction: a packed row-major block, or a box inside one, with a letter per
/// dimension.
template <class T>
struct LocalTensor {
  T* data;
  Labels labels;
  Extents extents;
  /// Strides of the block that contains the box; empty for a packed block.
  Extents strides{};

  /// Returns whether this is a whole packed block.
  constexpr bool is_packed() const { return strides.empty(); }

  /// Returns the box of indices `range` of the dimension with this letter; the tensor itself if it lacks the letter.
  constexpr LocalTensor narrowed(char letter, Range range) const {
    int const dimension = labels.find(letter);
    if (dimension < 0) return *this;
    LocalTensor box{data, labels, extents, is_packed() ? packed_strides(extents) : strides};
    box.extents[dimension] = range.size();
    if (product(box.extents) > 0) box.data += range.begin * box.strides[dimension];
    return box;
  }
};

/// Strides of a tensor with each letter once. A repeated letter ("iij") walks the diagonal: its stride is the sum of
/// the strides of its dimensions.
struct LabelledStrides {
  Labels labels;
  Extents extents;
  Extents strides;

  /// Returns the stride of a letter; 0 if the tensor lacks it.
  constexpr std::int64_t stride_of(char letter) const {
    int const i = labels.find(letter);
    return i < 0 ? 0 : strides[i];
  }
};

/// Merges repeated letters of a strided tensor.
constexpr LabelledStrides labelled_strides(Labels const& labels, Extents const& extents, Extents const& strides) {
  LabelledStrides result;
  for (int i = 0; i < labels.size(); ++i) {
    int const seen = result.labels.find(labels[i]);
    if (seen >= 0) {
      result.strides[seen] += strides[i];
      continue;
    }
    result.labels.push_back(labels[i]);
    result.extents.push_back(extents[i]);
    result.strides.push_back(strides[i]);
  }
  return result;
}

/// Merges repeated letters of a packed row-major block.
constexpr LabelledStrides labelled_strides(Labels const& labels, Extents const& extents) {
  return labelled_strides(labels, extents, packed_strides(extents));
}

template <class T>
constexpr LabelledStrides labelled_strides(LocalTensor<T> const& tensor) {
  return labelled_strides(tensor.labels, tensor.extents,
                          tensor.is_packed() ? packed_strides(tensor.extents) : tensor.strides);
}

}  // namespace gshard::detail
