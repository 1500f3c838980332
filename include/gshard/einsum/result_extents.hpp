// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gshard/core/error.hpp>
#include <gshard/einsum/subscripts.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::detail {

/// Names an einsum in messages, such as `einsum "ab,bc->ac"`. A convolution gives the einsum that plans it, and its own
/// name as `operation`.
struct EinsumName {
  std::string_view subscripts;
  std::string_view operation = "einsum";
};

/// Returns the name as messages print it.
inline std::string text_of(EinsumName const& name) { return concat(name.operation, " \"", name.subscripts, "\""); }

/// Returns the global extents of the result.
/// Throws StateError if an operand is unset, MeshError if the operands live on two meshes, and ExtentError if a letter
/// has two extents; on all ranks alike.
inline Extents result_extents(EinsumName const& name, Subscripts const& subscripts, HandleList operands) {
  auto operand = [&](std::size_t i) { return Operand(role_of_operand(static_cast<int>(i)), *operands[i]); };
  for (TensorHandle const* tensor : operands) {
    if (*tensor && *operands[0] && (*tensor)->mesh == (*operands[0])->mesh) continue;
    std::vector<Operand> all;
    for (std::size_t i = 0; i < operands.size(); ++i) all.push_back(operand(i));
    require_one_mesh(text_of(name), all);
  }
  StaticVector<char, max_letters> letters;
  StaticVector<std::int64_t, max_letters> of_letter;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    Labels const& labels = subscripts.operands[static_cast<int>(i)];
    for (int dimension = 0; dimension < labels.size(); ++dimension) {
      std::int64_t const extent = (*operands[i])->extents[dimension];
      int const known = letters.find(labels[dimension]);
      if (known < 0) {
        letters.push_back(labels[dimension]);
        of_letter.push_back(extent);
      } else if (of_letter[known] != extent) {
        throw ExtentError(concat(text_of(name), ": letter '", labels[dimension], "' has extent ", of_letter[known],
                                 ", but dimension ", dimension, " of ", text_of(operand(i)), " has ", extent,
                                 place_of(operand(i))));
      }
    }
  }
  Extents result;
  for (char letter : subscripts.result) result.push_back(of_letter[letters.find(letter)]);
  return result;
}

/// Checks that an existing tensor can take the result of an einsum: extents `extents`, and the mesh of `first`.
/// Throws StateError if one of the two is unset, MeshError if they live on two meshes, and ExtentError if the extents
/// differ; on all ranks alike.
inline void check_result_tensor(EinsumName const& name, Operand const& result, Extents const& extents,
                                Operand const& first) {
  if (result.mesh == nullptr || result.mesh != first.mesh) require_one_mesh(text_of(name), {first, result});
  if (!(*result.extents == extents))
    throw ExtentError(concat(text_of(name), " gives extents ", text_of(extents), ", which are not those of ",
                             text_of(result), place_of(result)));
}

}  // namespace gshard::detail
