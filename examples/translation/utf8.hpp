// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace translation {

/// The code points of a UTF-8 text; nothing where the bytes are not UTF-8 (overlong forms and surrogates count as
/// wrong).
std::optional<std::u32string> decode_utf8(std::string_view bytes);

/// Code points as UTF-8.
std::string encode_utf8(std::u32string_view text);

}  // namespace translation
