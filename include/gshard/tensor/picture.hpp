// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gshard/core/error.hpp>
#include <gshard/tensor/holders.hpp>

// What pictures of tensors have in common, whether they are drawn by letters or by lines.

namespace gshard::detail {

/// One dimension along an edge of a picture: the parts that are shown, and the places that they take. Of more than
/// eight the first and the last ones are shown, and what is between them as one part without a number.
struct Ruler {
  static constexpr std::int64_t left_out = -1;

  struct Part {
    std::int64_t index = left_out;
    Range range;
    std::int64_t begin = 0;
    std::int64_t size = 0;
  };

  std::vector<Part> parts;
  std::int64_t length = 0;

  /// A picture of a tensor without this dimension has one part here.
  Ruler() : parts{{0, {0, 1}, 0, 0}} {}

  Ruler(HeldTensor const& tensor, int dimension) {
    std::vector<std::int64_t> const filled = tensor.filled_parts(dimension);
    for (std::size_t i = 0; i < filled.size(); ++i) {
      Range const range = tensor.range(dimension, filled[i]);
      if (filled.size() <= 8 || i < 4 || i + 3 >= filled.size()) parts.push_back({filled[i], range, 0, 0});
      else if (parts.back().index != left_out) parts.push_back({left_out, range, 0, 0});
      else parts.back().range.end = range.end;
    }
  }

  /// Gives each part room: `scale` places an element, less where all together would take more than `most`, and at least
  /// `least(part)`.
  template <class Least>
  void lay_out(std::int64_t scale, std::int64_t most, Least const& least) {
    std::int64_t elements = 0;
    for (Part const& part : parts) elements += part.index == left_out ? 0 : part.range.size();
    for (Part& part : parts) {
      std::int64_t const size = part.index == left_out ? 0 : part.range.size();
      part.begin = length;
      part.size = std::max<std::int64_t>(elements * scale <= most ? size * scale : size * most / elements, least(part));
      length += part.size;
    }
  }
};

/// A tensor as pictures show it: two dimensions, or one, or none, of each slice. Drawn are the last two dimensions that
/// axes split, or others where fewer are split; there is one slice for each block of the rest.
class Picture {
 public:
  explicit Picture(HeldTensor tensor) : tensor_(std::move(tensor)) {
    for (int d = tensor_.rank() - 1; d >= 0 && drawn_.size() < 2; --d)
      if (tensor_.is_split(d)) drawn_.push_back(d);
    for (int d = 0; d < tensor_.rank() && drawn_.size() < 2; ++d)
      if (!is_drawn(d)) drawn_.push_back(d);
    std::ranges::sort(drawn_);
  }

  HeldTensor const& tensor() const { return tensor_; }
  bool has_rows() const { return drawn_.size() == 2; }
  bool has_columns() const { return !drawn_.empty(); }
  Ruler rows() const { return has_rows() ? Ruler(tensor_, drawn_.front()) : Ruler(); }
  Ruler columns() const { return has_columns() ? Ruler(tensor_, drawn_.back()) : Ruler(); }

  /// Which dimensions run down and to the right, where a reader could ask.
  std::string directions() const {
    if (tensor_.rank() <= 2) return "";
    return concat("dimension ", drawn_.front(), " down, ", drawn_.back(), " to the right");
  }

  /// Calls `draw(slice)` for the slices that are shown, at most four, and `skip(words)` in the place of the others.
  template <class Draw, class Skip>
  void for_each_slice(Draw const& draw, Skip const& skip) const {
    std::vector<Extents> const all = slices();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all.size() > 4 && i == 2) {
        skip(concat("... ", all.size() - 3, " slices ..."));
        i = all.size() - 1;
      }
      draw(all[i]);
    }
  }

  /// A slice as "dimension 0 in [0, 4)"; "" where there is only one.
  std::string name_of(Extents const& slice) const {
    std::string result;
    for (int d = 0; d < tensor_.rank(); ++d) {
      if (is_drawn(d) || !tensor_.is_split(d)) continue;
      Range const range = tensor_.range(d, slice[d]);
      result += concat(result.empty() ? "" : ", ", "dimension ", d, " in [", range.begin, ", ", range.end, ")");
    }
    return result;
  }

  /// What is written on a block of a slice: the ranks that hold it.
  std::string label(Extents slice, Ruler::Part const& row, Ruler::Part const& column) const {
    if (row.index == Ruler::left_out || column.index == Ruler::left_out) return "...";
    if (has_rows()) slice[drawn_.front()] = row.index;
    if (has_columns()) slice[drawn_.back()] = column.index;
    return tensor_.holders(slice);
  }

  /// What is written below: the ranks that hold nothing.
  std::string rest() const {
    std::vector<int> const idle = tensor_.idle_ranks();
    return idle.empty() ? "" : "nothing: " + text_of_holders(text_of_ranks(idle, ", "));
  }

 private:
  /// For each slice the parts of the dimensions that are not drawn.
  std::vector<Extents> slices() const {
    std::vector<Extents> result(tensor_.is_empty() ? 0 : 1);
    for (int d = 0; d < tensor_.rank(); ++d) {
      std::vector<std::int64_t> const parts = is_drawn(d) ? std::vector<std::int64_t>{0} : tensor_.filled_parts(d);
      std::vector<Extents> longer;
      for (Extents const& slice : result)
        for (std::int64_t part : parts) {
          longer.push_back(slice);
          longer.back().push_back(part);
        }
      result = std::move(longer);
    }
    return result;
  }

  bool is_drawn(int dimension) const { return std::ranges::find(drawn_, dimension) != drawn_.end(); }

  HeldTensor tensor_;
  std::vector<int> drawn_;
};

}  // namespace gshard::detail
