// SPDX-License-Identifier: Apache-2.0
// A program whose result is no exit code: true would be a failure.
// expect-error: the program given to run returns an exit code of type int, or nothing
#include <gshard/core/runtime.hpp>

using namespace gshard;

#ifdef GSHARD_EXPECT_ERROR
int main(int argc, char** argv) {
  return run(argc, argv, [](Runtime& runtime) { return runtime.is_root(); });
}
#else
int main(int argc, char** argv) {
  return run(argc, argv, [](Runtime& runtime) { return runtime.is_root() ? 0 : 1; });
}
#endif
