// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gshard {

/// Base class of all exceptions of gshard. `what()` says what is wrong, where, with which values, and what to do.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Error of a mesh that does not fit the job, or of operands on different meshes.
struct MeshError : Error {
  using Error::Error;
};

/// Error of extents that are negative, too large, or that disagree between tensors.
struct ExtentError : Error {
  using Error::Error;
};

/// Error of a communication that cannot be carried out as asked, or a failure reported by MPI.
struct CommunicationError : Error {
  using Error::Error;
};

/// Error of an option whose value is not allowed.
struct OptionError : Error {
  using Error::Error;
};

/// Error of an index, or of an id among the elements of a tensor, outside its range.
struct IndexError : Error {
  using Error::Error;
};

/// Error of an object in the wrong state for a call: an unset tensor, a tape that has run.
struct StateError : Error {
  using Error::Error;
};

/// Error of memory that cannot be allocated.
struct MemoryError : Error {
  using Error::Error;
};

/// Error of a NaN or an infinity where a computation needs a finite number.
struct NonFiniteError : Error {
  using Error::Error;
};

namespace detail {

/// Word or printed number as an argument of `concat`. Refers to the argument: valid for one call only.
/// Not a stream: the concatenation is compiled once, not once per message and combination of types.
class TextPart {
 public:
  TextPart(std::string_view words) : words_(words) {}
  TextPart(std::string const& words) : words_(words) {}
  TextPart(char const* words) : words_(words) {}
  TextPart(char letter) : digits_{letter}, words_(digits_, 1) {}
  template <std::integral Number>
  TextPart(Number number)
      : words_(digits_, std::to_chars(digits_, digits_ + sizeof(digits_), static_cast<std::int64_t>(number)).ptr) {}
  TextPart(double number)
      : words_(digits_, std::to_chars(digits_, digits_ + sizeof(digits_), number, std::chars_format::general, 6).ptr) {}
  TextPart(TextPart const&) = delete;
  TextPart& operator=(TextPart const&) = delete;

  std::string_view words() const { return words_; }

 private:
  char digits_[24];
  std::string_view words_;
};

/// Joins the parts without separators.
inline std::string concatenated(std::initializer_list<TextPart> parts) {
  std::string result;
  for (TextPart const& part : parts) result += part.words();
  return result;
}

/// Joins the printed forms of the arguments; a double has six significant digits.
template <class... Parts>
std::string concat(Parts const&... parts) {
  return concatenated({TextPart(parts)...});
}

}  // namespace detail
}  // namespace gshard
