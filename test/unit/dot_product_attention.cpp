// SPDX-License-Identifier: Apache-2.0
// dot_product_attention against plain loops over a matrix of scores, on every mesh: values, gradients, padding, what
// travels around a ring, and memory.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include <gshard/nn/dot_product_attention.hpp>
#include <gshard/reduce.hpp>
#include <gshard/tensor/from_vector.hpp>

#include "dense_reference.hpp"
#include "two_ledgers.hpp"
#include "wrong_inputs.hpp"

using namespace gshard;
using namespace gshard::test;
using nn::AttentionOptions;
using nn::Masking;

namespace {

using Cube = Mesh<Axis<"data">, Axis<"sequence">, Axis<"model">>;

template <class T, AxisNames... Entries>
using Of = ShardedTensor<Cube, Spec<Entries...>, T>;

template <class Action>
void on_every_cube(Action const& action) {
  for (int data = 1; data <= ranks(); ++data)
    for (int sequence = 1; sequence <= ranks(); ++sequence)
      if (ranks() % (data * sequence) == 0) {
        Cube const mesh(runtime(), {data, sequence, ranks() / (data * sequence)});
        INFO("mesh (", mesh.text(), ")");
        action(mesh);
      }
}

// ---- The reference

/// Extents and options of a call.
struct Problem {
  std::int64_t groups = 2, sequences = 2, queries, keys, heads = 4, kv_heads = 2, head_dim = 3;
  std::vector<int> lengths;  ///< (G, N)
  AttentionOptions options{};

  Extents of_queries() const { return {groups, sequences, queries, heads, head_dim}; }
  Extents of_keys() const { return {groups, sequences, keys, kv_heads, head_dim}; }
};

struct Operands {
  Values q, k, v;
};

/// Whether query i of sequence s sees key j.
bool sees(Problem const& p, std::size_t s, std::int64_t i, std::int64_t j) {
  bool const is_causal = p.options.masking == Masking::causal || p.options.window;
  return j < p.lengths[s] && (!is_causal || j <= i) && (!p.options.window || i - j < *p.options.window);
}

/// The result, and the gradients of the operands if the gradient of the result is `dy`.
struct Attention {
  Values y;
  Operands gradient;
};

Attention attention_of(Problem const& p, Operands const& in, Values const& dy) {
  auto const at = [&](std::size_t s, std::int64_t position, std::int64_t positions, std::int64_t head,
                      std::int64_t heads) {
    return static_cast<std::size_t>(((static_cast<std::int64_t>(s) * positions + position) * heads + head) *
                                    p.head_dim);
  };
  double const scale = p.options.scale.value_or(1 / std::sqrt(static_cast<double>(p.head_dim)));
  auto const dim = static_cast<std::size_t>(p.head_dim);
  auto const dot = [&](Values const& left, std::size_t l, Values const& right, std::size_t r) {
    double sum = 0;
    for (std::size_t d = 0; d < dim; ++d) sum += left[l + d] * right[r + d];
    return sum;
  };
  Attention out{Values(in.q.size()), {Values(in.q.size()), Values(in.k.size()), Values(in.v.size())}};
  auto const keys = static_cast<std::size_t>(p.keys);
  for (std::size_t s = 0; s < p.lengths.size(); ++s)
    for (std::int64_t i = 0; i < p.queries; ++i)
      for (std::int64_t h = 0; h < p.heads; ++h) {
        std::size_t const row = at(s, i, p.queries, h, p.heads);
        auto const key = [&](std::size_t j) {
          return at(s, static_cast<std::int64_t>(j), p.keys, h / (p.heads / p.kv_heads), p.kv_heads);
        };
        Values weights(keys, 0);
        double largest = -std::numeric_limits<double>::infinity(), total = 0;
        std::vector<std::size_t> visible;
        for (std::size_t j = 0; j < keys; ++j)
          if (sees(p, s, i, static_cast<std::int64_t>(j))) visible.push_back(j);
        for (std::size_t j : visible) largest = std::max(largest, weights[j] = scale * dot(in.q, row, in.k, key(j)));
        for (std::size_t j : visible) total += weights[j] = std::exp(weights[j] - largest);
        for (std::size_t j : visible) weights[j] /= total;
        for (std::size_t j : visible)
          for (std::size_t d = 0; d < dim; ++d) out.y[row + d] += weights[j] * in.v[key(j) + d];
        double const projection = dot(out.y, row, dy, row);
        for (std::size_t j : visible) {
          double const score = scale * weights[j] * (dot(dy, row, in.v, key(j)) - projection);
          for (std::size_t d = 0; d < dim; ++d) {
            out.gradient.q[row + d] += score * in.k[key(j) + d];
            out.gradient.k[key(j) + d] += score * in.q[row + d];
            out.gradient.v[key(j) + d] += weights[j] * dy[row + d];
          }
        }
      }
  return out;
}

/// The same number as an element of type T.
template <class T>
Values rounded(Values values) {
  for (double& value : values) value = static_cast<double>(static_cast<T>(value));
  return values;
}

template <class T>
Operands operands_of(Problem const& p) {
  return {rounded<T>(smooth_values(p.of_queries(), 1).values), rounded<T>(smooth_values(p.of_keys(), 2).values),
          rounded<T>(smooth_values(p.of_keys(), 3).values)};
}

/// NaN in keys or values behind the length of their sequence.
Values with_rubbish(Problem const& p, Values values) {
  std::size_t const row = static_cast<std::size_t>(p.kv_heads * p.head_dim);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::size_t const position = i / row % static_cast<std::size_t>(p.keys);
    std::size_t const sequence = i / row / static_cast<std::size_t>(p.keys);
    if (static_cast<int>(position) >= p.lengths[sequence]) values[i] = std::numeric_limits<double>::quiet_NaN();
  }
  return values;
}

template <class Tensor>
Tensor tensor_of(Cube const& mesh, Extents const& extents, Values const& values) {
  using T = typename Tensor::value_type;
  std::vector<T> elements;
  for (double value : values) elements.push_back(static_cast<T>(value));
  return from_vector<Tensor>(mesh, extents, elements);
}

// ---- The comparison

/// A way to split the operands.
template <class Queries, class Keys, class Lengths>
struct Split {
  using Q = Queries;
  using K = Keys;
  using L = Lengths;
};
template <class T>
using HeadsSplit =
    Split<Of<T, "data", _, "sequence", "model", _>, Of<T, "data", _, "sequence", "model", _>, Of<int, "data", _>>;
template <class T>
using KeyHeadsWhole =
    Split<Of<T, "data", _, "sequence", "model", _>, Of<T, "data", _, "sequence", _, _>, Of<int, "data", _>>;
template <class T>
using TwoSequenceAxes = Split<Of<T, _, _, "model,data", _, _>, Of<T, _, _, "model,data", _, _>, Of<int, _, _>>;

/// Values and gradients on one mesh.
template <class Held>
void check_attention(Cube const& mesh, Problem const& p, double tolerance) {
  using T = typename Held::Q::value_type;
  INFO("L ", p.queries, ", K ", p.keys, ", H ", p.heads, ", J ", p.kv_heads, ", causal ",
       p.options.masking == Masking::causal, ", window ", p.options.window.value_or(0));
  Operands const in = operands_of<T>(p);
  auto const q = tensor_of<typename Held::Q>(mesh, p.of_queries(), in.q);
  auto const k = tensor_of<typename Held::K>(mesh, p.of_keys(), with_rubbish(p, in.k));
  auto const v = tensor_of<typename Held::K>(mesh, p.of_keys(), with_rubbish(p, in.v));
  auto const lengths = from_vector<typename Held::L>(mesh, {p.groups, p.sequences}, p.lengths);
  Values const dy = rounded<T>(smooth_values(p.of_queries(), 4).values);
  Attention const right = attention_of(p, in, dy);
  CHECK(difference(nn::dot_product_attention(q, k, v, lengths, p.options), right.y, tolerance) == "");

  Tape tape;
  auto const vars = std::array{tape.watch(k), tape.watch(v)};
  auto const query = tape.watch(q);
  auto const y = nn::dot_product_attention(query, vars[0], vars[1], lengths, p.options);
  CHECK(difference(y.value(), right.y, tolerance) == "");
  tape.backward(sum(eval(y * tensor_of<typename Held::Q>(mesh, p.of_queries(), dy))));
  CHECK(difference(tape.gradient(query), right.gradient.q, tolerance) == "");
  CHECK(difference(tape.gradient(vars[0]), right.gradient.k, tolerance) == "");
  CHECK(difference(tape.gradient(vars[1]), right.gradient.v, tolerance) == "");
}

/// What differs between the problems: L, K, options and lengths.
std::vector<Problem> all_problems() {
  std::vector<int> const some{7, 3, 0, 9}, most{9, 8, 5, 30};
  return {
      {.queries = 5, .keys = 7, .lengths = some},
      {.queries = 6, .keys = 6, .lengths = some, .options = {.masking = Masking::causal}},
      {.queries = 5, .keys = 8, .lengths = most, .options = {.masking = Masking::causal}},
      {.queries = 8, .keys = 5, .lengths = some, .options = {.scale = 100, .masking = Masking::causal}},
      {.queries = 9, .keys = 9, .lengths = most, .options = {.masking = Masking::causal, .window = 2}},
      {.queries = 9, .keys = 9, .lengths = most, .options = {.window = 1}},
      {.queries = 12, .keys = 4, .lengths = {4, -1, 2, 4}, .options = {.window = 3}},
      {.queries = 4, .keys = 12, .lengths = {12, 1, 5, 4}, .options = {.scale = 0.3, .window = 100}},
      {.queries = 1, .keys = 1, .lengths = {1, 0, 1, 1}},
      {.queries = 2, .keys = 3, .lengths = {3, 2, 1, 0}, .options = {.masking = Masking::causal}},
      {.queries = 3, .keys = 0, .lengths = {0, 0, 1, 2}},
      {.queries = 0, .keys = 3, .lengths = {0, 0, 1, 2}},
  };
}

}  // namespace

TEST_CASE("the reference: its gradients are central differences of its values") {
  Problem const p{.groups = 1, .queries = 4, .keys = 5, .lengths = {5, 3}, .options = {.masking = Masking::causal}};
  Operands in = operands_of<double>(p);
  Values const dy = smooth_values(p.of_queries(), 4).values;
  Operands const gradient = attention_of(p, in, dy).gradient;
  auto const loss = [&] {
    Values const y = attention_of(p, in, dy).y;
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  CHECK(difference(gradient.q, central_differences(loss, in.q), 1e-7) == "");
  CHECK(difference(gradient.k, central_differences(loss, in.k), 1e-7) == "");
  CHECK(difference(gradient.v, central_differences(loss, in.v), 1e-7) == "");
}

TEST_CASE("values and gradients: every masking, uneven and empty blocks, lengths, grouped queries; NaN in padding") {
  on_every_cube([](Cube const& mesh) {
    for (Problem p : all_problems()) {
      // Two heads of keys on four ranks would leave queries without theirs.
      if (mesh.size<"model">() > 3) p.kv_heads = 4;
      check_attention<HeadsSplit<double>>(mesh, p, 1e-12);
    }
  });
}

TEST_CASE("whole heads of keys beside split heads of queries: grouped and multi-query attention") {
  on_every_cube([](Cube const& mesh) {
    std::vector<Problem> const problems = all_problems();
    for (std::size_t i = 0; i < 5; ++i)
      for (std::int64_t kv_heads : {1, 2}) {
        Problem p = problems[i];
        p.kv_heads = kv_heads;
        check_attention<KeyHeadsWhole<double>>(mesh, p, 1e-12);
      }
  });
}

TEST_CASE("a sequence that two axes split, in the order that the mesh does not have") {
  on_every_cube([](Cube const& mesh) {
    for (Problem const& p : all_problems()) check_attention<TwoSequenceAxes<double>>(mesh, p, 1e-12);
  });
}

TEST_CASE("more keys and queries than a tile, and rows that lanes do not divide") {
  on_every_cube([](Cube const& mesh) {
    for (Masking const masking : {Masking::none, Masking::causal})
      check_attention<KeyHeadsWhole<double>>(mesh,
                                             {.groups = 1,
                                              .queries = 41,
                                              .keys = 53,
                                              .heads = 2,
                                              .kv_heads = 1,
                                              .head_dim = 19,
                                              .lengths = {50, 21},
                                              .options = {.masking = masking}},
                                             1e-12);
  });
}

TEST_CASE("the ranks of a ring enter the same permutes, also those for which nothing travels") {
  Runtime checked(runtime().communicator());
  checked.check_communication(true, std::chrono::seconds(20));
  Cube const mesh(checked, {1, ranks(), 1});
  for (Problem const& p : all_problems()) check_attention<HeadsSplit<double>>(mesh, p, 1e-12);
}

TEST_CASE("operands of fixed extents, and operations that have not run") {
  Problem const p{.queries = 4, .keys = 4, .lengths = {4, 3, 2, 0}};
  on_every_cube([&](Cube const& mesh) {
    using Q = Of<double, extent(2), _, extent("sequence", 4), _, extent(3)>;
    using K = Of<double, _, _, "sequence", extent(2), extent(3)>;
    Operands const in = operands_of<double>(p);
    auto const lengths = from_vector<Of<int, _, _>>(mesh, {2, 2}, p.lengths);
    Attention const right = attention_of(p, in, Values(in.q.size(), 1));
    Tape tape;
    auto const q = tape.watch(tensor_of<Q>(mesh, p.of_queries(), in.q));
    auto const k = tape.watch(tensor_of<K>(mesh, p.of_keys(), in.k));
    tape.backward(sum(nn::dot_product_attention(1 * q, k * 1, tensor_of<K>(mesh, p.of_keys(), in.v), lengths)));
    CHECK(difference(tape.gradient(q), right.gradient.q, 1e-12) == "");
    CHECK(difference(tape.gradient(k), right.gradient.k, 1e-12) == "");
  });
}

TEST_CASE("float and bfloat16") {
  on_every_cube([](Cube const& mesh) {
    Problem const p{.queries = 9, .keys = 9, .lengths = {9, 4, 7, 30}, .options = {.masking = Masking::causal}};
    check_attention<KeyHeadsWhole<float>>(mesh, p, 1e-5);
    check_attention<KeyHeadsWhole<BFloat16>>(mesh, p, 2e-2);
    check_attention<TwoSequenceAxes<BFloat16>>(mesh, p, 2e-2);
  });
}

TEST_CASE("scores beyond the range of exp") {
  on_every_cube([](Cube const& mesh) {
    Problem const p{.queries = 6, .keys = 6, .lengths = {6, 6, 6, 6}, .options = {.scale = -1e5}};
    Operands const in = operands_of<float>(p);
    using Held = TwoSequenceAxes<float>;
    auto const y = nn::dot_product_attention(
        tensor_of<Held::Q>(mesh, p.of_queries(), in.q), tensor_of<Held::K>(mesh, p.of_keys(), in.k),
        tensor_of<Held::K>(mesh, p.of_keys(), in.v), from_vector<Held::L>(mesh, {2, 2}, p.lengths), p.options);
    CHECK(difference(y, attention_of(p, in, in.q).y, 1e-2) == "");
  });
}

TEST_CASE("each gradient is the same, bit by bit, whichever others are wanted, and in every run") {
  on_every_cube([](Cube const& mesh) {
    Problem const p{.queries = 7, .keys = 7, .lengths = {7, 3, 0, 9}, .options = {.masking = Masking::causal}};
    Operands const in = operands_of<float>(p);
    using Held = TwoSequenceAxes<float>;
    auto const q = tensor_of<Held::Q>(mesh, p.of_queries(), in.q);
    auto const k = tensor_of<Held::K>(mesh, p.of_keys(), in.k), v = tensor_of<Held::K>(mesh, p.of_keys(), in.v);
    auto const lengths = from_vector<Held::L>(mesh, {2, 2}, p.lengths);
    auto const gradients = [&]<bool OfQ, bool OfK, bool OfV>(std::bool_constant<OfQ>, std::bool_constant<OfK>,
                                                             std::bool_constant<OfV>) {
      Tape tape;
      auto const operand = [&]<bool IsWanted>(std::bool_constant<IsWanted>, auto const& tensor) {
        if constexpr (IsWanted) return tape.watch(tensor);
        else return tape.input(tensor);
      };
      auto const a = operand(std::bool_constant<OfQ>{}, q);
      auto const b = operand(std::bool_constant<OfK>{}, k);
      auto const c = operand(std::bool_constant<OfV>{}, v);
      tape.backward(sum(square(nn::dot_product_attention(a, b, c, lengths, p.options))));
      std::array<Values, 3> found;
      if constexpr (OfQ) found[0] = collected(tape.gradient(a));
      if constexpr (OfK) found[1] = collected(tape.gradient(b));
      if constexpr (OfV) found[2] = collected(tape.gradient(c));
      return found;
    };
    constexpr std::true_type yes;
    constexpr std::false_type no;
    auto const all = gradients(yes, yes, yes);
    CHECK(gradients(yes, yes, yes) == all);
    CHECK(gradients(yes, no, no)[0] == all[0]);
    CHECK(gradients(no, yes, no)[1] == all[1]);
    CHECK(gradients(no, no, yes)[2] == all[2]);
    CHECK(gradients(no, yes, yes)[1] == all[1]);
  });
}

// ---- Communication and memory

namespace {

/// Bytes that this rank sends in forward and backward pass, in blocks of keys of double.
struct BlocksSent {
  double forward;
  double backward;
};

BlocksSent blocks_sent(std::int64_t positions, AttentionOptions const& options) {
  Cube const mesh(runtime(), {1, ranks(), 1});
  Of<double, _, _, "sequence", _, _> const q(mesh, {1, 2, ranks() * positions, 4, 5});
  Of<double, _, _, "sequence", _, _> const k(mesh, {1, 2, ranks() * positions, 2, 5}), v = zeros_like(k);
  Of<int, _, _> const lengths(mesh, {1, 2});
  Tape tape;
  auto const query = tape.watch(q), key = tape.watch(k), value = tape.watch(v);
  Ledger& ledger = runtime().ledger();
  double const block = static_cast<double>(k.local_size() * 8);
  ledger.clear();
  ledger.open();
  auto const y = nn::dot_product_attention(query, key, value, lengths, options);
  CHECK(ledger.bytes_sent() == ledger.bytes_sent(Collective::permute));
  double const forward = static_cast<double>(ledger.bytes_sent()) / block;
  auto const loss = sum(y);
  ledger.clear();
  tape.backward(loss);
  ledger.close();
  CHECK(ledger.bytes_sent() == ledger.bytes_sent(Collective::permute));
  return {forward, static_cast<double>(ledger.bytes_sent()) / block};
}

}  // namespace

TEST_CASE("the ring sends a block of keys and one of values in each of p - 1 steps, and as much for their gradients") {
  BlocksSent const sent = blocks_sent(3, {});
  CHECK(sent.forward == 2 * (ranks() - 1));
  CHECK(sent.backward == 4 * (ranks() - 1));
}

TEST_CASE("under causal masking blocks go to the end of the sequence, and their gradients back from there") {
  BlocksSent const sent = blocks_sent(3, {.masking = Masking::causal});
  bool const is_last = rank() == ranks() - 1;
  CHECK(sent.forward == (is_last ? 0 : 2 * (rank() + 1)));
  CHECK(sent.backward == (is_last ? 2 * (ranks() - 1) : 2 * (rank() + 1) + 2 * rank()));
}

TEST_CASE("with a window blocks go as far as the window") {
  BlocksSent const within = blocks_sent(3, {.window = 1});
  CHECK(within.forward == 0);
  CHECK(within.backward == 0);
  // Queries of the next rank see up to 3 keys before them, and 4 of them reach the block before that.
  BlocksSent const next = blocks_sent(3, {.window = 4});
  bool const is_last = rank() == ranks() - 1;
  CHECK(next.forward == (is_last ? 0 : 2));
  CHECK(next.backward == (is_last ? 0 : 2) + (rank() == 0 ? 0 : 2));
}

TEST_CASE("the ring follows the sequence where two axes split it in another order than that of the mesh") {
  int const data = ranks() % 2 == 0 ? 2 : 1;
  Cube const mesh(runtime(), {data, 1, ranks() / data});
  Of<float, _, _, "model,data", _, _> const x(mesh, {1, 1, 3 * ranks(), 1, 2});
  Of<int, _, _> const lengths(mesh, {1, 1});
  Ledger& ledger = runtime().ledger();
  ledger.clear();
  ledger.open();
  nn::dot_product_attention(x, x, x, lengths, {.window = 2});
  ledger.close();
  bool const is_last = x.range(2).end == x.extent(2);
  CHECK(ledger.bytes_sent() == (is_last ? 0 : 2 * x.local_size() * 4));
}

TEST_CASE("memory: result, one number for each row, and two blocks of keys and values; no matrix of scores") {
  Cube const mesh(runtime(), {1, ranks(), 1});
  std::int64_t const length = 256 * ranks();
  Of<double, _, _, "sequence", _, _> const q(mesh, {1, 1, length, 2, 4}), k(mesh, {1, 1, length, 1, 4}),
      v = zeros_like(k);
  auto const lengths = from_vector<Of<int, _, _>>(mesh, {1, 1}, std::vector<int>{100 * ranks()});
  Ledger& ledger = runtime().ledger();
  std::int64_t const block = k.local_size() * 8, rows = q.local_size() * 8, numbers = rows / 4;
  std::int64_t const travelling = std::min(ranks() - 1, 2) * 2 * block;
  std::int64_t const before = ledger.bytes_in_use();
  ledger.clear();
  auto const y = nn::dot_product_attention(q, k, v, lengths);
  CHECK(ledger.peak_bytes() - before == rows + numbers + travelling);
  CHECK(ledger.bytes_in_use() - before == rows);

  Tape tape;
  auto const loss = sum(nn::dot_product_attention(tape.watch(q), tape.watch(k), tape.watch(v), lengths));
  std::int64_t const recorded = ledger.bytes_in_use();
  ledger.clear();
  tape.backward(loss);
  // The gradient of the result and of the loss, dy . y, the gradients, and what travels: keys, values and theirs.
  CHECK(ledger.peak_bytes() - recorded <= rows + 64 + numbers + rows + 2 * block + 2 * travelling);
}

namespace {

template <class Space>
void attention_with_gradients(std::type_identity<Space>, TwoAxes const& mesh, AttentionOptions const& options) {
  using Q = ShardedTensor<TwoAxes, Spec<_, _, "x", "y", _>, BFloat16, Space>;
  using K = ShardedTensor<TwoAxes, Spec<_, _, "x", _, _>, BFloat16, Space>;
  ShardedTensor<TwoAxes, Spec<_, _>, int, Space> const lengths(mesh, {2, 1});
  Tape tape;
  auto const q = tape.watch(Q(mesh, {2, 1, 11, 4, 3}));
  auto const k = tape.watch(K(mesh, {2, 1, 9, 2, 3})), v = tape.watch(K(mesh, {2, 1, 9, 2, 3}));
  tape.backward(sum(nn::dot_product_attention(q, k, v, lengths, options)));
}

}  // namespace

TEST_CASE("an abstract run asks for the same work, messages and memory") {
  for (auto const& sizes : two_axis_shapes())
    for (AttentionOptions const& options :
         {AttentionOptions{}, AttentionOptions{.masking = Masking::causal}, AttentionOptions{.window = 3}}) {
      TwoMeshes<TwoAxes> meshes(sizes);
      check_same_ledgers(meshes,
                         [&](auto space, TwoAxes const& mesh) { attention_with_gradients(space, mesh, options); });
    }
}

TEST_CASE("work: 4 flops for each element of a pair that the mask shows") {
  Cube const mesh(runtime(), {1, ranks(), 1});
  Of<float, _, _, "sequence", _, _> const q(mesh, {1, 1, 2 * ranks(), 3, 5}), k = zeros_like(q), v = zeros_like(q);
  Of<int, _, _> const lengths(mesh, {1, 1});
  Ledger& ledger = runtime().ledger();
  auto const flops = [&](AttentionOptions const& options) {
    ledger.clear();
    ledger.open();
    nn::dot_product_attention(q, k, v, lengths, options);
    ledger.close();
    return ledger.flops();
  };
  CHECK(flops({}) == 4 * 2 * 2 * ranks() * 3 * 5);
  CHECK(flops({.masking = Masking::causal}) == 4 * (2 * 2 * rank() + 3) * 3 * 5);
  CHECK(flops({.window = 1}) == 4 * 2 * 3 * 5);
}

// ---- Mistakes

TEST_CASE("operands that do not fit each other") {
  using X = Of<float, "data", _, "sequence", "model", _>;
  using Ints = Of<int, "data", _>;
  Cube const mesh(runtime(), {1, ranks(), 1}), other(runtime(), {ranks(), 1, 1});
  X const q(mesh, {2, 3, 5, 4, 6}, "asked"), k(mesh, {2, 3, 7, 2, 6}), v = zeros_like(k);
  Ints const lengths(mesh, {2, 3});
  auto const attend = [&](X const& a, X const& b, X const& c, Ints const& l, AttentionOptions const& options = {}) {
    nn::dot_product_attention(a, b, c, l, options);
  };
  expect_refusal_of_unset<X>("dot_product_attention, queries", q, [&](X const& x) { attend(x, k, v, lengths); });
  expect_refusal_of_unset<X>("dot_product_attention, keys", k, [&](X const& x) { attend(q, x, v, lengths); });
  expect_refusal_of_unset<X>("dot_product_attention, values", v, [&](X const& x) { attend(q, k, x, lengths); });
  expect_refusal_of_unset<Ints>("dot_product_attention, lengths", lengths, [&](Ints const& l) { attend(q, k, v, l); });
  expect_refusal<MeshError>(
      "dot_product_attention: values of another mesh", [&] { attend(q, k, X(other, {2, 3, 7, 2, 6}), lengths); },
      "values (2, 3, 7, 2, 6)");
  expect_refusal<MeshError>(
      "dot_product_attention: lengths of another mesh", [&] { attend(q, k, v, Ints(other, {2, 3})); }, "key_lengths");
  auto const refused = [&](Extents const& extents, std::string_view words) {
    X const x(mesh, extents);
    expect_refusal<ExtentError>("dot_product_attention: other keys", [&] { attend(q, x, x, lengths); }, words);
  };
  refused({1, 3, 7, 2, 6}, "dimension 0 of keys (1, 3, 7, 2, 6)");
  refused({2, 4, 7, 2, 6}, "dimension 1 of keys");
  refused({2, 3, 7, 2, 5}, "dimension 4 of queries 'asked' (2, 3, 5, 4, 6)");
  refused({2, 3, 7, 3, 6}, "has to be a multiple of 3, dimension 3 of keys");
  refused({2, 3, 7, 8, 6}, "has to be a multiple of 8");
  refused({2, 3, 7, 0, 6}, "has to be a multiple of 0");
  expect_refusal<ExtentError>(
      "dot_product_attention: more values than keys", [&] { attend(q, k, X(mesh, {2, 3, 8, 2, 6}), lengths); },
      "values (2, 3, 8, 2, 6)");
  expect_refusal<ExtentError>(
      "dot_product_attention: lengths of fewer sequences", [&] { attend(q, k, v, Ints(mesh, {2, 2})); },
      "dimension 1 of key_lengths (2, 2)");
  for (double scale : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    expect_refusal<OptionError>(
        "dot_product_attention: scale", [&] { attend(q, k, v, lengths, {.scale = scale}); }, "option scale");
  for (std::int64_t window : {0, -1})
    expect_refusal<OptionError>(
        "dot_product_attention: window", [&] { attend(q, k, v, lengths, {.window = window}); }, "option window");
}

TEST_CASE("heads of keys that other ranks hold than the heads of queries that read them") {
  Cube const mesh(runtime(), {1, 1, ranks()});
  using X = Of<float, _, _, _, "model", _>;
  X const q(mesh, {1, 1, 2, 2 * ranks() + 2, 3}), k(mesh, {1, 1, 2, ranks() + 1, 3});
  Of<int, _, _> const lengths(mesh, {1, 1});
  if (ranks() == 1) {
    CHECK_NOTHROW(nn::dot_product_attention(q, k, k, lengths));
    return;
  }
  expect_refusal<ExtentError>(
      "dot_product_attention: uneven heads", [&] { nn::dot_product_attention(q, k, k, lengths); }, "split unevenly");
}
