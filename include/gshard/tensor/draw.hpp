// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gshard/tensor/describe.hpp>
#include <gshard/tensor/picture.hpp>

namespace gshard {

namespace detail {

/// Lines of text that can be written at any line and column, both counted from 0.
class Canvas {
 public:
  void put(std::int64_t line, std::int64_t column, std::string const& words) {
    std::size_t const at = static_cast<std::size_t>(column);
    if (lines_.size() <= static_cast<std::size_t>(line)) lines_.resize(static_cast<std::size_t>(line) + 1);
    std::string& text = lines_[static_cast<std::size_t>(line)];
    if (text.size() < at + words.size()) text.resize(at + words.size(), ' ');
    text.replace(at, words.size(), words);
  }

  /// Draws a box with `label` in its middle. Adjacent boxes share their borders.
  void put_box(std::int64_t line, std::int64_t column, std::int64_t height, std::int64_t width,
               std::string const& label) {
    for (std::int64_t border : {line, line + height})
      put(border, column, "+" + std::string(static_cast<std::size_t>(width - 1), '-') + "+");
    for (std::int64_t i = 1; i < height; ++i)
      for (std::int64_t border : {column, column + width}) put(line + i, border, "|");
    put(line + height / 2, column + (width - static_cast<std::int64_t>(label.size()) + 1) / 2, label);
  }

  /// Returns all lines, each after a line break.
  std::string text() const {
    std::string result;
    for (std::string const& line : lines_) result += "\n" + line;
    return result;
  }

 private:
  std::vector<std::string> lines_;
};

/// Returns the boxes, labels and index ticks of one slice.
inline std::string draw_slice(Picture const& picture, Extents const& slice) {
  Ruler rows = picture.rows();
  Ruler columns = picture.columns();
  std::int64_t const margin = 2;
  std::int64_t ticks = 0;
  if (picture.has_rows())
    for (Ruler::Part const& row : rows.parts)
      ticks = std::max(ticks, static_cast<std::int64_t>(std::to_string(row.range.end).size()) + 1);
  rows.lay_out(1, 12, [](Ruler::Part const&) { return 1; });
  columns.lay_out(4, 60, [&](Ruler::Part const& column) {
    std::size_t longest = std::to_string(column.range.begin).size() - 1;
    for (Ruler::Part const& row : rows.parts) longest = std::max(longest, picture.label(slice, row, column).size());
    return static_cast<std::int64_t>(longest) + 3;
  });

  Canvas canvas;
  std::int64_t const left = margin + ticks;
  std::int64_t const top = picture.has_columns() ? 1 : 0;
  auto put_tick = [&](std::int64_t line, std::int64_t index) {
    std::string const words = std::to_string(index);
    canvas.put(line, left - 1 - static_cast<std::int64_t>(words.size()), words);
  };
  std::int64_t line = top;
  for (Ruler::Part const& row : rows.parts) {
    // One more line for the upper border of the box.
    std::int64_t const height = row.size + 1;
    for (Ruler::Part const& column : columns.parts) {
      if (picture.has_columns()) canvas.put(0, left + column.begin, std::to_string(column.range.begin));
      canvas.put_box(line, left + column.begin, height, column.size, picture.label(slice, row, column));
    }
    if (picture.has_rows()) put_tick(line, row.range.begin);
    line += height;
  }
  if (picture.has_columns()) canvas.put(0, left + columns.length, std::to_string(columns.parts.back().range.end));
  if (picture.has_rows()) put_tick(line, rows.parts.back().range.end);
  return canvas.text();
}

inline std::string draw(Picture const& picture) {
  std::string result = picture.tensor().title();
  if (std::string const directions = picture.directions(); !directions.empty()) result += "\n  " + directions;
  picture.for_each_slice(
      [&](Extents const& slice) {
        if (std::string const name = picture.name_of(slice); !name.empty()) result += "\n  " + name;
        result += draw_slice(picture, slice);
      },
      [&](std::string const& words) { result += "\n  " + words; });
  if (std::string const rest = picture.rest(); !rest.empty()) result += "\n  " + rest;
  return result;
}

}  // namespace detail

/// Returns a picture, in characters, of the blocks of a tensor, labelled with the ranks that hold them.
/// Commas separate replicas; a plus separates the addends of an unreduced sum.
/// Dimension 0 runs down and dimension 1 to the right; of a tensor of rank 1, dimension 0 runs to the right.
/// Of more than two dimensions, the picture shows the last two that axes split (others if fewer are split), with one
/// slice for each block of the other dimensions.
/// Shows at most 4 slices, and at most 8 parts of a dimension.
/// Communication: none. All ranks get the same text.
/// Throws StateError if the tensor is unset.
template <AnyTensor Tensor>
std::string draw(Tensor const& tensor) {
  return detail::draw(detail::Picture(detail::held("draw", tensor)));
}

}  // namespace gshard
