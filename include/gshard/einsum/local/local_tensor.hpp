// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/static_vector.hpp>

namespace gshard::detail {

/// A packed row-major block with a letter for each dimension: one operand, or the result, of a local contraction.
template <class T>
struct LocalTensor {
  T* data;
  Labels labels;
  Extents extents;
};

/// The layout of a tensor with each letter once: a letter that is repeated ("iij") walks the diagonal, so its strides add up.
struct LabelledStrides {
  Labels labels;
  Extents extents;
  Extents strides;

  constexpr std::int64_t stride_of(char letter) const {
    int const i = labels.find(letter);
    return i < 0 ? 0 : strides[i];
  }
};

/// The layout of a packed row-major block.
constexpr LabelledStrides labelled_strides(Labels const& labels, Extents const& extents) {
  Extents const packed = packed_strides(extents);
  LabelledStrides result;
  for (int i = 0; i < labels.size(); ++i) {
    int const seen = result.labels.find(labels[i]);
    if (seen >= 0) {
      result.strides[seen] += packed[i];
      continue;
    }
    result.labels.push_back(labels[i]);
    result.extents.push_back(extents[i]);
    result.strides.push_back(packed[i]);
  }
  return result;
}

}  // namespace gshard::detail
