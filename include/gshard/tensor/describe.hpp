// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <gshard/core/bfloat16.hpp>
#include <gshard/tensor/holders.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard {

namespace detail {

/// Returns an element type as "float", "bfloat16", "int32".
template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, float>) return "float";
  else if constexpr (std::is_same_v<T, double>) return "double";
  else if constexpr (std::is_same_v<T, BFloat16>) return "bfloat16";
  else if constexpr (std::is_integral_v<T>)
    return (std::is_signed_v<T> ? "int" : "uint") + std::to_string(8 * sizeof(T));
  else return std::to_string(sizeof(T)) + "-byte elements";
}

/// Returns the name, element type, extents, layout and mesh of a tensor in one line.
template <AnyTensor Tensor>
std::string title_of(Tensor const& tensor) {
  return concat(tensor.name().empty() ? "tensor" : tensor.name(), ": ", type_name<typename Tensor::value_type>(), " ",
                text_of(tensor.extents()), " ", text_of<typename Tensor::mesh_type>(Tensor::layout), " on mesh (",
                tensor.mesh().text(), ")");
}

/// Returns the placement of a tensor. Throws StateError, naming `operation`, if the tensor is unset.
template <AnyTensor Tensor>
HeldTensor held(std::string_view operation, Tensor const& tensor) {
  require_set(operation, {{"tensor", tensor}});
  return {title_of(tensor), Tensor::layout, tensor.extents(), tensor.mesh_state()};
}

/// Returns a block as "[0, 4) x [0, 3)"; "the scalar" if it has rank 0.
inline std::string text_of(Block const& block) {
  std::string result;
  for (int d = 0; d < block.extents.size(); ++d)
    result += concat(d == 0 ? "" : " x ", "[", block.offsets[d], ", ", block.offsets[d] + block.extents[d], ")");
  return block.extents.empty() ? "the scalar" : result;
}

inline std::string describe(HeldTensor const& tensor) {
  struct Line {
    std::string block;
    std::string count;
    std::string word;
    std::string ranks;
  };
  std::vector<std::int64_t> const filled = tensor.filled_blocks();
  std::size_t const shown = filled.size() > 16 ? 4 : filled.size();
  std::vector<Line> lines;
  auto add_block = [&](std::int64_t number) {
    Block const block = tensor.block(number);
    std::int64_t const count = product(block.extents);
    lines.push_back({text_of(block), std::to_string(count), count == 1 ? " element" : " elements",
                     text_of_holders(tensor.holders(tensor.position(number), ", ", " + "))});
  };
  for (std::size_t i = 0; i < shown; ++i) add_block(filled[i]);
  if (shown < filled.size()) {
    lines.push_back({concat("... ", filled.size() - 2 * shown, " blocks ..."), "", "", ""});
    for (std::size_t i = filled.size() - shown; i < filled.size(); ++i) add_block(filled[i]);
  }
  if (std::vector<int> const idle = tensor.idle_ranks(); !idle.empty())
    lines.push_back({"nothing", "", "", text_of_holders(text_of_ranks(idle, ", "))});

  auto width = [&](std::string Line::* column) {
    std::size_t widest = 0;
    for (Line const& line : lines) widest = std::max(widest, (line.*column).size());
    return widest;
  };
  std::size_t const block_width = width(&Line::block);
  std::size_t const count_width = width(&Line::count);
  std::size_t const word_width = width(&Line::word);
  std::string result = tensor.title();
  for (Line const& line : lines) {
    result += "\n  " + line.block;
    if (line.ranks.empty()) continue;
    result.append(block_width - line.block.size() + 2 + count_width - line.count.size(), ' ');
    result += line.count + line.word;
    result.append(word_width - line.word.size() + (word_width > 0 ? 2 : 0), ' ');
    result += line.ranks;
  }
  return result;
}

}  // namespace detail

/// Returns a table of the blocks of a tensor: a title, then one line per non-empty block.
/// Title: name, element type, global extents, layout, mesh.
/// Line: global indices of the block, its number of elements, the ranks that hold it. Commas separate replicas; a plus
/// separates the addends of an unreduced sum. Of more than 16 lines, the table shows the first 4 and the last 4.
/// A last line lists the ranks whose block is empty, if any.
/// Communication: none. All ranks get the same text.
/// Throws StateError if the tensor is unset.
template <AnyTensor Tensor>
std::string describe(Tensor const& tensor) {
  return detail::describe(detail::held("describe", tensor));
}

}  // namespace gshard
