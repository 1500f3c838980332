// SPDX-License-Identifier: Apache-2.0
#include "layouts.hpp"

namespace gshard::test {

Training const& trained_alone() {
  static Training const result = [] {
    Runtime alone(MPI_COMM_SELF);
    return train<nn::Parallelism>(Cube(alone, {1, 1, 1}));
  }();
  return result;
}

}  // namespace gshard::test
