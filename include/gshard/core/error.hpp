// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include <gshard/core/static_vector.hpp>

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

/// A communication that cannot be carried out as asked, found before any message is sent.
struct CommunicationError : Error {
  using Error::Error;
};

namespace detail {

/// Concatenates the printed forms of its arguments.
template <class... Parts>
std::string text(Parts const&... parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
}

/// Extents as "(4, 8, 16)".
inline std::string text_of(Extents const& extents) {
  std::string result = "(";
  for (int i = 0; i < extents.size(); ++i) result += (i == 0 ? "" : ", ") + std::to_string(extents[i]);
  return result + ")";
}

}  // namespace detail
}  // namespace gshard
