// SPDX-License-Identifier: Apache-2.0
// The pool behind tensors: steady steps allocate nothing, and what is let go serves again.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <gshard/autodiff.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;
using Space = On<_>::memory_space;

}  // namespace

TEST_CASE("size classes: at most an eighth is wasted") {
  for (std::size_t bytes : {std::size_t{1}, std::size_t{64}, std::size_t{65}, std::size_t{511}, std::size_t{513},
                            std::size_t{100000}, std::size_t{1} << 40}) {
    CHECK(MemoryPool::rounded(bytes) >= bytes);
    CHECK(MemoryPool::rounded(bytes) <= bytes + std::max(bytes / 8, std::size_t{63}));
    CHECK(MemoryPool::rounded(MemoryPool::rounded(bytes)) == MemoryPool::rounded(bytes));
  }
}

TEST_CASE("memory that is let go serves the next request of its size, and no other at the same time") {
  MemoryPool pool;
  void const* first = nullptr;
  {
    auto const block = pool.allocate<Space>(1000);
    first = block.get();
    CHECK(pool.allocate<Space>(1000).get() != first);
  }
  CHECK(pool.allocations<Space>() == 2);
  auto const again = pool.allocate<Space>(1000);
  auto const another = pool.allocate<Space>(1000);
  CHECK(pool.allocations<Space>() == 2);
  CHECK(again.get() != another.get());
  CHECK(pool.bytes_reserved<Space>() == 2 * MemoryPool::rounded(1000));
  CHECK(pool.allocate<Space>(0) == nullptr);
}

TEST_CASE("a block may outlive its pool") {
  std::shared_ptr<void> block;
  {
    MemoryPool pool;
    block = pool.allocate<Space>(64);
  }
  static_cast<char*>(block.get())[0] = 'x';
  CHECK(static_cast<char*>(block.get())[0] == 'x');
}

TEST_CASE("tensors give their memory back when the last handle is gone") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto reserved = [&] { return mesh.memory().bytes_reserved<Space>(); };
  Extents const extents{4096, 3};
  {
    On<_, _> const warm_up(mesh, extents);
  }
  auto const before = reserved();
  for (int i = 0; i < 10; ++i) {
    On<_, _> const tensor(mesh, extents);
    auto const handle = tensor;
    CHECK(handle.data() == tensor.data());
  }
  CHECK(reserved() == before);
}

TEST_CASE("a training step that repeats allocates nothing after its first run") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    Parameter<On<"x", "y">> first{filled<On<"x", "y">>(mesh, {6, 8}, 1, smooth), {}};
    Parameter<On<"y", _>> second{filled<On<"y", _>>(mesh, {8, 5}, 2, smooth), {}};
    auto const input = filled<On<"x", _>>(mesh, {7, 6}, 3, smooth);
    auto step = [&] {
      Tape tape;
      auto const x = tape.watch(input);
      auto const hidden = relu(eval(einsum<"ab,bc->ac">(x, movable(tape.watch(first)))));
      Var<On<"x", _>> const output = einsum<"ac,cd->ad">(hidden, tape.watch(second));
      auto const moved = reshard<Spec<_, "x">>(output);
      tape.backward(mean(square(moved)));
      assign(first.value, first.value - 0.1 * first.gradient);
      assign(second.value, second.value - 0.1 * second.gradient);
      first.clear_gradient();
      second.clear_gradient();
    };
    step();
    auto const allocations = mesh.memory().allocations<Space>();
    auto const bytes = mesh.memory().bytes_reserved<Space>();
    for (int i = 0; i < 5; ++i) step();
    CHECK(mesh.memory().allocations<Space>() == allocations);
    CHECK(mesh.memory().bytes_reserved<Space>() == bytes);
  }
}
