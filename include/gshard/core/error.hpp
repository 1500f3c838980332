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

/// The root of all exceptions of gshard. The text says what is wrong, where, with which values, and what to do.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A mesh that does not fit the job, or operands on different meshes.
struct MeshError : Error {
  using Error::Error;
};

/// Extents that are negative, or that disagree between tensors.
struct ExtentError : Error {
  using Error::Error;
};

/// A communication that cannot be carried out as asked, or a failure that MPI reports.
struct CommunicationError : Error {
  using Error::Error;
};

/// An option with a value that is not allowed.
struct OptionError : Error {
  using Error::Error;
};

/// An index, or an id among the elements of a tensor, outside its range.
struct IndexError : Error {
  using Error::Error;
};

/// An object that cannot do what is asked in its present state: an unset tensor, a tape that has run.
struct StateError : Error {
  using Error::Error;
};

/// Memory that cannot be had.
struct MemoryError : Error {
  using Error::Error;
};

/// A NaN or an infinity where a computation needs a finite number.
struct NonFiniteError : Error {
  using Error::Error;
};

namespace detail {

/// A word or a number of a message, for the length of one call. Not a stream: what puts messages together is compiled
/// once, not for each message.
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

inline std::string concatenated(std::initializer_list<TextPart> parts) {
  std::string result;
  for (TextPart const& part : parts) result += part.words();
  return result;
}

/// The printed forms of the arguments, one after the other.
template <class... Parts>
std::string concat(Parts const&... parts) {
  return concatenated({TextPart(parts)...});
}

}  // namespace detail
}  // namespace gshard
