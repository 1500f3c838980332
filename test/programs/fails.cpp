// SPDX-License-Identifier: Apache-2.0
// A program in which something goes wrong on one rank, or on all. Its argument says what.
#include <stdexcept>
#include <string_view>

#include <gshard/einsum.hpp>

using Grid = gshard::Mesh<gshard::Axis<"data">, gshard::Axis<"expert">>;
using Matrix = gshard::ShardedTensor<Grid, gshard::Spec<gshard::_, gshard::_>>;

int main(int argc, char** argv) {
  return gshard::run(argc, argv, [&](gshard::Runtime& runtime) {
    std::string_view const what = argc > 1 ? argv[1] : "";
    bool const is_last = runtime.rank() == runtime.size() - 1;
    if (what == "one rank" && is_last) throw std::runtime_error("the last rank alone has no luck");
    if (what == "one rank, no exception type" && is_last) throw 7;
    if (what == "all ranks") throw gshard::Error("nobody has any luck");
    if (what == "mesh") Grid const mesh(runtime, {2, 2});
    if (what == "extents") {
      Grid const grid(runtime, {1, runtime.size()});
      Matrix const product = gshard::einsum<"ab,bc->ac">(Matrix(grid, {2, 3}, "x"), Matrix(grid, {4, 5}, "w"));
    }
    MPI_Barrier(runtime.communicator());
    return what == "exit code" ? 3 : 0;
  });
}
