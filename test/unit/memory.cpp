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

TEST_CASE("memory that cannot be had: the tensor, its spec and the bytes of a rank are named, and nothing is held") {
  TwoAxes const mesh(runtime(), {1, ranks()});
  auto const text = [](auto const& action) -> std::string {
    try {
      action();
    } catch (MemoryError const& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  auto const before = mesh.memory().ledger().bytes_in_use();
  std::int64_t const rows = std::int64_t{1} << 58;  // 2^61 bytes of double on each rank
  std::string const refusal = text([&] { On<_, _>(mesh, {rows, 1}, "logits"); });
  CHECK(
      refusal.starts_with("tensor 'logits' with spec [_ | _] of extents (288230376151711744, 1) needs "
                          "2305843009213693952 bytes on rank " +
                          std::to_string(rank()) + " of mesh (x=1, y=" + std::to_string(ranks()) +
                          "): memory of 2305843009213693952 bytes in "));
  CHECK(mesh.memory().ledger().bytes_in_use() == before);
  Scratch<Space> scratch(mesh.memory());
  CHECK(text([&] { scratch.get<double>(std::int64_t{1} << 61); }).find("exceeds 64 bits") != std::string::npos);
  CHECK(text([&] { scratch.get<double>(-1); }).find("a temporary of -1 elements") != std::string::npos);
  CHECK(On<_, _>(mesh, {8, 1}).local_size() == 8);

  AbstractRuntime abstract;
  TwoAxes const large(abstract, {1, 1});
  using Abstract = ShardedTensor<TwoAxes, Spec<_, _>, double, AbstractSpace>;
  Abstract const first(large, {rows, 1});
  CHECK(text([&] { Abstract(large, {rows, 2}, "second"); }).find("tensor 'second'") != std::string::npos);
}

TEST_CASE("memory that waits for reuse is given back before a request fails") {
  MemoryPool pool;
  pool.allocate<Space>(1000);
  CHECK(pool.bytes_reserved<Space>() == MemoryPool::rounded(1000));
  CHECK_THROWS_AS(pool.allocate<Space>(std::size_t{1} << 60), MemoryError);
  CHECK(pool.bytes_reserved<Space>() == 0);
  CHECK(pool.allocate<Space>(1000) != nullptr);
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
