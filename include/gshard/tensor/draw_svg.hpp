// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include <gshard/tensor/describe.hpp>
#include <gshard/tensor/picture.hpp>

namespace gshard {

namespace detail {

inline std::string escaped_xml(std::string_view words) {
  std::string result;
  for (char letter : words) {
    if (letter == '<') result += "&lt;";
    else if (letter == '>') result += "&gt;";
    else if (letter == '&') result += "&amp;";
    else if (letter == '"') result += "&quot;";
    else result += letter;
  }
  return result;
}

/// SVG document that is filled from the top down. Lengths are in pixels.
class Svg {
 public:
  /// Bottom of what is drawn so far.
  std::int64_t y = 12;

  void put_text(std::int64_t x, std::int64_t baseline, std::string_view kind, std::string_view words) {
    body_ +=
        concat("  <text class=\"", kind, "\" x=\"", x, "\" y=\"", baseline, "\">", escaped_xml(words), "</text>\n");
    width_ = std::max(width_, x + width_of(words) + 16);
  }

  /// Adds a line of text below all else.
  void put_line(std::string_view kind, std::string_view words) {
    y += 18;
    put_text(16, y - 4, kind, words);
  }

  /// Draws a block. Its colour depends on the first rank in `label`, so that blocks of one rank look alike.
  void put_box(std::int64_t x, std::int64_t top, std::int64_t width, std::int64_t height, std::string_view label) {
    static constexpr std::array<std::string_view, 8> shades = {"#d9e8f5", "#fbe3cd", "#dcefd9", "#f1dfee",
                                                               "#fdf2c3", "#d5eeec", "#ecdcd3", "#e2e2f3"};
    std::size_t rank = 0;
    std::from_chars(label.data(), label.data() + label.size(), rank);
    body_ += concat("  <rect x=\"", x, "\" y=\"", top, "\" width=\"", width, "\" height=\"", height, "\" fill=\"",
                    label == "..." ? std::string_view("#ffffff") : shades[(rank + rank / 8) % 8], "\"/>\n");
    put_text(x + width / 2, top + height / 2 + 5, "holders", label);
    width_ = std::max(width_, x + width + 16);
  }

  std::string str() const {
    return concat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", width_, "\" height=\"", y + 12,
                  "\" viewBox=\"0 0 ", width_, " ", y + 12,
                  "\">\n"
                  "  <style>\n"
                  "    text { font: 13px sans-serif; fill: #222222; }\n"
                  "    .note, .row, .column { font-size: 11px; fill: #666666; }\n"
                  "    .row { text-anchor: end; }\n"
                  "    .column { text-anchor: middle; }\n"
                  "    .holders { text-anchor: middle; }\n"
                  "    rect { stroke: #444444; }\n"
                  "  </style>\n"
                  "  <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\" style=\"stroke: none\"/>\n",
                  body_, "</svg>\n");
  }

  /// Returns the approximate width of a text: 7 pixels per character.
  static std::int64_t width_of(std::string_view words) { return static_cast<std::int64_t>(words.size()) * 7; }

 private:
  std::string body_;
  std::int64_t width_ = 0;
};

inline void draw_slice(Svg& svg, Picture const& picture, Extents const& slice) {
  Ruler rows = picture.rows();
  Ruler columns = picture.columns();
  std::int64_t left = 16;
  if (picture.has_rows()) left += Svg::width_of(std::to_string(rows.parts.back().range.end)) + 6;
  rows.lay_out(24, 320, [](Ruler::Part const&) { return 24; });
  columns.lay_out(24, 480, [&](Ruler::Part const& column) {
    std::int64_t widest = Svg::width_of(std::to_string(column.range.begin));
    for (Ruler::Part const& row : rows.parts)
      widest = std::max(widest, Svg::width_of(picture.label(slice, row, column)));
    return widest + 14;
  });
  svg.y += 8;
  if (picture.has_columns()) {
    svg.y += 14;
    for (Ruler::Part const& column : columns.parts)
      svg.put_text(left + column.begin, svg.y - 4, "column", std::to_string(column.range.begin));
    svg.put_text(left + columns.length, svg.y - 4, "column", std::to_string(columns.parts.back().range.end));
  }
  for (Ruler::Part const& row : rows.parts) {
    for (Ruler::Part const& column : columns.parts)
      svg.put_box(left + column.begin, svg.y + row.begin, column.size, row.size, picture.label(slice, row, column));
    if (picture.has_rows()) svg.put_text(left - 6, svg.y + row.begin + 4, "row", std::to_string(row.range.begin));
  }
  if (picture.has_rows())
    svg.put_text(left - 6, svg.y + rows.length + 4, "row", std::to_string(rows.parts.back().range.end));
  svg.y += rows.length + 8;
}

inline std::string draw_svg(Picture const& picture) {
  Svg svg;
  svg.put_line("title", picture.tensor().title());
  if (std::string const directions = picture.directions(); !directions.empty()) svg.put_line("note", directions);
  picture.for_each_slice(
      [&](Extents const& slice) {
        if (std::string const name = picture.name_of(slice); !name.empty()) svg.put_line("name", name);
        draw_slice(svg, picture, slice);
      },
      [&](std::string const& words) { svg.put_line("name", words); });
  if (std::string const rest = picture.rest(); !rest.empty()) svg.put_line("note", rest);
  return svg.str();
}

}  // namespace detail

/// Writes the picture that `draw` describes to `stream`, as an SVG document.
/// Communication: none. The document is the same on all ranks, so one rank is enough to write it.
/// Throws StateError if the tensor is unset.
template <AnyTensor Tensor>
void draw_svg(std::ostream& stream, Tensor const& tensor) {
  stream << detail::draw_svg(detail::Picture(detail::held("draw_svg", tensor)));
}

}  // namespace gshard
