// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gshard/core/error.hpp>
#include <gshard/tensor/holders.hpp>

// Contents of pictures of tensors, common to text and SVG.

namespace gshard::detail {

/// One dimension along an edge of a picture: the parts shown, and their places.
/// Of more than 8 non-empty parts, the first 4 and the last 3 are shown; one part without a number stands for the rest.
struct Ruler {
  /// Index of the part that stands for the parts left out.
  static constexpr std::int64_t left_out = -1;

  /// A part: its number, its global indices, and its place [begin, begin + size) on the ruler.
  struct Part {
    std::int64_t index = left_out;
    Range range;
    std::int64_t begin = 0;
    std::int64_t size = 0;
  };

  std::vector<Part> parts;
  /// Sum of the sizes of all parts.
  std::int64_t length = 0;

  /// Makes the one part of a ruler that no dimension of the tensor belongs to.
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

  /// Places the parts one after the other. A part takes `scale` places per element, fewer if all elements together
  /// would take more than `most`, and at least `least(part)` places.
  template <class Least>
  void lay_out(std::int64_t scale, std::int64_t most, Least const& least) {
    std::int64_t elements = 0;
    for (Part const& part : parts) elements += part.index == left_out ? 0 : part.range.size();
    for (Part& part : parts) {
      std::int64_t const size = part.index == left_out ? 0 : part.range.size();
      part.begin = length;
      std::int64_t const share = elements <= std::numeric_limits<std::int64_t>::max() / most ? size * most / elements
                                                                                             : size / (elements / most);
      part.size = std::max<std::int64_t>(elements <= most / scale ? size * scale : share, least(part));
      length += part.size;
    }
  }
};

/// Slices of a tensor along at most two drawn dimensions.
/// Drawn are the last two dimensions that axes split, and, if fewer are split, the first of the others.
/// There is one slice for each non-empty block of the remaining dimensions.
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

  /// Returns which dimensions run down and to the right; "" up to rank 2, where the order says it.
  std::string directions() const {
    if (tensor_.rank() <= 2) return "";
    return concat("dimension ", drawn_.front(), " down, ", drawn_.back(), " to the right");
  }

  /// Calls `draw(slice)` for each slice. Of more than 4 slices, draws the first 2 and the last, and calls `skip(words)`
  /// between them, once for all others.
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

  /// Returns a slice as "dimension 0 in [0, 4)"; "" if all split dimensions are drawn.
  std::string name_of(Extents const& slice) const {
    std::string result;
    for (int d = 0; d < tensor_.rank(); ++d) {
      if (is_drawn(d) || !tensor_.is_split(d)) continue;
      Range const range = tensor_.range(d, slice[d]);
      result += concat(result.empty() ? "" : ", ", "dimension ", d, " in [", range.begin, ", ", range.end, ")");
    }
    return result;
  }

  /// Returns the ranks that hold a block of a slice; "..." for parts left out.
  std::string label(Extents slice, Ruler::Part const& row, Ruler::Part const& column) const {
    if (row.index == Ruler::left_out || column.index == Ruler::left_out) return "...";
    if (has_rows()) slice[drawn_.front()] = row.index;
    if (has_columns()) slice[drawn_.back()] = column.index;
    return tensor_.holders(slice);
  }

  /// Returns a line about the ranks whose block is empty; "" if there are none.
  std::string rest() const {
    std::vector<int> const idle = tensor_.idle_ranks();
    return idle.empty() ? "" : "nothing: " + text_of_holders(text_of_ranks(idle, ", "));
  }

 private:
  /// Returns, for each slice, the part of each dimension; 0 for drawn dimensions.
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
