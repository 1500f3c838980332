// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include <gshard/core/runtime.hpp>
#include <gshard/core/static_vector.hpp>

int main(int argc, char** argv) {
  return gshard::run(argc, argv, [](gshard::Runtime& runtime) {
    gshard::Extents const extents{runtime.size(), 3};
    if (runtime.is_root()) std::cout << gshard::product(extents) << " elements on " << runtime.size() << " ranks\n";
  });
}
