// SPDX-License-Identifier: Apache-2.0
// A program in which something goes wrong on one rank, or on all. Its argument says what.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include <gshard/einsum.hpp>
#include <gshard/reduce.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"expert">>;
using Matrix = ShardedTensor<Grid, Spec<_, _>>;
using Split = ShardedTensor<Grid, Spec<_, "expert">>;

namespace {

std::optional<Matrix> outliving;

/// A program that hangs, or ends in the middle of MPI, without checks.
void lose_each_other(Runtime& runtime, std::string_view what) {
  runtime.check_communication(true, std::chrono::seconds(2));
  bool const is_last = runtime.rank() == runtime.size() - 1;
  Grid const grid(runtime, {1, runtime.size()});
  Split const x(grid, {2, 6}, "x");
  sum(x);
  if (what == "ends early" && is_last) return;
  if (what == "waits elsewhere" && is_last) Grid const another(runtime, {runtime.size(), 1});
  if (what == "computes for long" && is_last) std::this_thread::sleep_for(std::chrono::seconds(20));
  if (what == "another collective" && is_last) replicate(x);
  sum(x);
}

int run_program(int argc, char** argv, std::string_view what) {
  return run(argc, argv, [&](Runtime& runtime) {
    bool const is_last = runtime.rank() == runtime.size() - 1;
    if (what == "one rank" && is_last) throw std::runtime_error("the last rank alone has no luck");
    if (what == "one rank, no exception type" && is_last) throw 7;
    if (what == "all ranks") throw Error("nobody has any luck");
    if (what == "all ranks, differently")
      throw Error(runtime.rank() == 0 ? "only the first has this" : std::string(700, 'x') + " is of the others");
    if (what == "buffered output" && is_last) {
      std::ios::sync_with_stdio(false);
      std::cout << "printed before the failure";
      throw Error("the end");
    }
    if (what == "mesh") Grid const mesh(runtime, {2, 2});
    if (what == "extents") {
      Grid const grid(runtime, {1, runtime.size()});
      Matrix const product = einsum<"ab,bc->ac">(Matrix(grid, {2, 3}, "x"), Matrix(grid, {4, 5}, "w"));
    }
    if (what == "memory") {
      Grid const grid(runtime, {1, runtime.size()});
      if (is_last) Matrix(grid, {1LL << 59, 1}, "much");
    }
    if (what == "outlives") outliving.emplace(Grid(runtime, {1, runtime.size()}), Extents{2, 3}, "x");
    if (what.starts_with("checked: ")) lose_each_other(runtime, what.substr(9));
    else MPI_Barrier(runtime.communicator());
    return what == "exit code" ? 3 : 0;
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::string const what = argc > 1 ? argv[1] : "";
  int const code = run_program(argc, argv, what);
  if (what == "twice") return run_program(argc, argv, what) == 1 ? 0 : 5;
  return code;
}
