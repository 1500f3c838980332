// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/core/error.hpp>

namespace translation {

/// Text that cannot be read or used. The message names the file, the place in it, and what is wrong there.
struct DataError : gshard::Error {
  using gshard::Error::Error;
};

}  // namespace translation
