// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace translation {

/// One translated message: the English forms (singular, then plural where there is one) beside the forms of the
/// translation.
struct MoEntry {
  std::string context;
  std::vector<std::string> english;
  std::vector<std::string> translation;
};

/// What a GNU message catalogue holds, in UTF-8, in the order of the file. Messages without a translation are left out.
struct MoFile {
  std::string charset;        ///< as the header names it; "UTF-8" where there is no header
  bool known_charset = true;  ///< false: no converter from `charset` is installed, and `entries` is empty
  std::vector<MoEntry> entries;
};

/// Reads a catalogue from memory: either byte order, revisions 0 and 1 (the system-dependent strings of 1.1 are passed
/// over). `name` stands in the messages.
/// @throws DataError for a wrong magic number or revision, a table or string outside the file, or text that is not in
/// the charset.
MoFile parse_mo(std::string_view bytes, std::string const& name);

/// Reads a catalogue from a file.
/// @throws DataError as parse_mo, and where the file cannot be read.
MoFile read_mo(std::filesystem::path const& path);

/// The whole content of a file.
/// @throws DataError where the file cannot be read.
std::string read_file(std::filesystem::path const& path);

}  // namespace translation
