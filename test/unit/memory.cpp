// SPDX-License-Identifier: Apache-2.0
// The pool behind tensors: steady steps allocate nothing, and what is let go serves again.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/core/arena.hpp>
#include <gshard/core/closure.hpp>
#include <gshard/einsum.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;
using Space = On<_>::memory_space;

/// What a request takes, with the poisoned bytes behind it where there is an address sanitizer.
std::size_t block_size(std::size_t bytes) { return MemoryPool::rounded(bytes + gshard::detail::poisoned_bytes); }

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
  CHECK(pool.bytes_reserved<Space>() == 2 * block_size(1000));
  CHECK(pool.allocate<Space>(0) == nullptr);
}

// 1.45 times the peak of 64000 bytes has room for the first two blocks of 9000 beside the free one of 64000.
TEST_CASE("beyond 1.45 times the peak, a larger free block is cut, and is one block again when its parts are let go") {
  MemoryPool pool;
  auto const* const whole = pool.allocate<Space>(64000).get();
  {
    std::vector<std::shared_ptr<void>> parts;
    for (int i = 0; i < 7; ++i) parts.push_back(pool.allocate<Space>(9000));
    CHECK(parts[2].get() == whole);
    parts.erase(parts.begin() + 4);  // between two that are in use
    parts.push_back(pool.allocate<Space>(9000));
    CHECK(pool.allocations<Space>() == 3);
    std::swap(parts[2], parts[5]);  // let go in another order
  }
  CHECK(pool.allocate<Space>(64000).get() == whole);
  CHECK(pool.allocations<Space>() == 3);
}

// Segments of 3072, 4096 and 5120 bytes; a fourth one of 6144 beside them would be more than 1.45 * 12000.
TEST_CASE("beyond 1.45 times the peak, the unused segment that was used least recently is given back") {
  MemoryPool pool;
  auto first = pool.allocate<Space>(3000);
  auto second = pool.allocate<Space>(4000);
  auto third = pool.allocate<Space>(5000);
  second.reset();
  first.reset();
  third.reset();
  auto const fourth = pool.allocate<Space>(6000);
  CHECK(pool.allocations<Space>() == 4);
  CHECK(pool.bytes_reserved<Space>() == 3072 + 5120 + 6144);
  first = pool.allocate<Space>(3000);
  third = pool.allocate<Space>(5000);
  CHECK(pool.allocations<Space>() == 4);
}

TEST_CASE("trim gives back what nothing uses; the ledger tells what is in use and what is reserved") {
  MemoryPool pool;
  auto const kept = pool.allocate<Space>(1000);
  pool.allocate<Space>(100000);
  CHECK(pool.ledger().bytes_in_use() == 1000);
  CHECK(pool.ledger().peak_bytes() == 101000);
  CHECK(pool.ledger().bytes_reserved() >= 101000);
  pool.trim<Space>();
  CHECK(pool.bytes_reserved<Space>() == block_size(1000));
  CHECK(pool.ledger().bytes_reserved() == static_cast<std::int64_t>(block_size(1000)));
  CHECK(pool.ledger().peak_bytes_reserved() >= 101000);
  std::ostringstream text;
  text << pool.ledger();
  CHECK(text.str().find("memory of one device: 101000 bytes at most, 1000 now; reserved for it: ") !=
        std::string::npos);
  pool.allocate<Space>(100000);
  CHECK(pool.allocations<Space>() == 3);
}

TEST_CASE("an arena gives out aligned pieces that do not overlap, of any size") {
  gshard::detail::Arena arena;
  std::vector<std::pair<std::byte*, std::size_t>> pieces;
  for (std::size_t i = 0; i < 300; ++i) {
    std::size_t const bytes = i % 50 == 0 ? 100000 : 1 + i * 7 % 500;
    std::size_t const alignment = std::size_t{1} << (i % 7);
    auto* const piece = static_cast<std::byte*>(arena.take(bytes, alignment));
    CHECK(reinterpret_cast<std::uintptr_t>(piece) % alignment == 0);
    std::fill_n(piece, bytes, static_cast<std::byte>(i % 251));
    pieces.emplace_back(piece, bytes);
  }
  for (std::size_t i = 0; i < pieces.size(); ++i)
    CHECK(std::all_of(pieces[i].first, pieces[i].first + pieces[i].second,
                      [&](std::byte value) { return value == static_cast<std::byte>(i % 251); }));
}

TEST_CASE("a closure owns what it captured until it is reset, replaced or destroyed, and passes it on when moved") {
  using gshard::detail::Closure;
  gshard::detail::Arena arena;
  auto const counted = std::make_shared<int>(0);
  auto const closure = [&] { return Closure::in(arena, [counted](void* sum) { *static_cast<int*>(sum) += 1; }); };
  int sum = 0;
  {
    Closure first = closure();
    Closure second = std::move(first);
    second(&sum);
    CHECK(counted.use_count() == 2);
    second.reset();
    CHECK(counted.use_count() == 1);
    second = closure();
    second = closure();
    second(&sum);
    CHECK(counted.use_count() == 2);
  }
  CHECK(counted.use_count() == 1);
  CHECK(sum == 2);
}

// The shapes of a batch change with the longest of its sentences. In each step, as in a training step, what layers keep
// is let go in the opposite order, and each layer has temporaries of its own.
TEST_CASE("with sentences of random lengths over 1,000 steps, what is reserved stays below 1.5 times the most in use") {
  for (std::size_t width : {std::size_t{16}, std::size_t{4096}}) {
    MemoryPool pool;
    std::mt19937 random(7);
    auto const parameters = pool.allocate<Space>(100 * width);
    for (int step = 0; step < 1000; ++step) {
      std::size_t const words = 1 + random() % 100;
      std::vector<std::shared_ptr<void>> activations;
      for (int layer = 0; layer < 12; ++layer) {
        activations.push_back(pool.allocate<Space>(words * width));
        auto const hidden = pool.allocate<Space>(4 * words * width);
        auto const weights = pool.allocate<Space>(words * words * 8);
        activations.push_back(pool.allocate<Space>(words * width));
      }
      while (!activations.empty()) {
        auto const gradient = pool.allocate<Space>(words * width);
        activations.pop_back();
      }
    }
    // In the last layer: parameters, 24 activations and 2 temporaries, each with what the sanitizer keeps behind it.
    std::int64_t const poisoned = 27 * static_cast<std::int64_t>(gshard::detail::poisoned_bytes);
    CHECK(2 * pool.ledger().peak_bytes_reserved() < 3 * (pool.ledger().peak_bytes() + poisoned));
  }
}

TEST_CASE("steps that repeat take no memory after the first few, whatever their shapes") {
  std::mt19937 random(8);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::size_t> sizes(40);
    std::vector<std::size_t> lives(40);
    for (std::size_t& size : sizes) size = 1 + random() % (random() % 2 == 0 ? 1000 : 1000000);
    for (std::size_t& life : lives) life = random() % 10;
    MemoryPool pool;
    auto const step = [&] {
      std::vector<std::pair<std::size_t, std::shared_ptr<void>>> held;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        std::erase_if(held, [&](auto const& block) { return block.first <= i; });
        held.emplace_back(i + lives[i], pool.allocate<Space>(sizes[i]));
      }
    };
    for (int i = 0; i < 6; ++i) step();
    auto const allocations = pool.allocations<Space>();
    for (int i = 0; i < 5; ++i) step();
    CHECK(pool.allocations<Space>() == allocations);
  }
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
  CHECK(pool.bytes_reserved<Space>() == block_size(1000));
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
