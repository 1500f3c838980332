// SPDX-License-Identifier: Apache-2.0
// The local half of an einsum against the bare library on the same data: the counter vs_bare is the median time of
// gshard over the median time of the calls that a program would make by hand (1.00: no cost at all). Both are run in
// turn, after their results have been compared.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <cblas.h>

#include <gshard/core/memory_pool.hpp>
#include <gshard/core/runtime.hpp>
#include <gshard/einsum/local/contract.hpp>

namespace {

using namespace gshard;
using namespace gshard::detail;
using Kokkos::HostSpace;
using Sizes = std::map<char, std::int64_t>;

struct Buffers {
  std::vector<float> a, b, c, expected;
};

/// The same work without gshard, into `expected`.
using Bare = std::function<void(Sizes const&, Buffers&)>;

int narrow(std::int64_t value) { return static_cast<int>(value); }

Labels labels(std::string const& text) {
  Labels result;
  for (char letter : text) result.push_back(letter);
  return result;
}

Extents extents_of(Labels const& letters, Sizes const& sizes) {
  Extents result;
  for (char letter : letters) result.push_back(sizes.at(letter));
  return result;
}

struct Case {
  std::string name;
  std::string subscripts;  // "mk,kn->mn", or with one operand "ab->ba"
  Sizes sizes;
  Bare bare;
  // where the bare library works on operands and a result in another order of letters
  std::string bare_subscripts = subscripts;
};

struct Parts {
  Labels a, b, c;

  explicit Parts(std::string const& subscripts) {
    std::size_t const comma = subscripts.find(',');
    std::size_t const arrow = subscripts.find("->");
    bool const binary = comma != std::string::npos;
    a = labels(subscripts.substr(0, binary ? comma : arrow));
    if (binary) b = labels(subscripts.substr(comma + 1, arrow - comma - 1));
    c = labels(subscripts.substr(arrow + 2));
  }
};

/// The elements in another order of letters.
std::vector<float> reordered(std::vector<float> const& elements, Labels const& from, Labels const& to,
                             Sizes const& sizes) {
  std::vector<float> result(elements.size());
  MemoryPool pool;
  Scratch<HostSpace> scratch(pool);
  contract<HostSpace>(LocalTensor<float const>{elements.data(), from, extents_of(from, sizes)},
                      LocalTensor<float>{result.data(), to, extents_of(to, sizes)}, false, scratch);
  return result;
}

void fill(std::vector<float>& values, std::uint32_t seed) {
  for (float& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<float>(seed >> 16) / 65536.0f - 0.5f;
  }
}

bool agree(std::vector<float> const& left, std::vector<float> const& right) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(left[i]) - static_cast<double>(right[i])));
    size = std::max(size, std::abs(static_cast<double>(right[i])));
  }
  return difference <= 1e-4 * size;
}

template <class Function>
double seconds_of(Function const& function) {
  auto const start = std::chrono::steady_clock::now();
  function();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void measure(benchmark::State& state, Case const& row) {
  auto const [a, b, c] = Parts(row.subscripts);
  Parts const bare_order(row.bare_subscripts);
  bool const binary = !b.empty();
  Buffers buffers;
  buffers.a.resize(static_cast<std::size_t>(product(extents_of(a, row.sizes))));
  buffers.b.resize(static_cast<std::size_t>(product(extents_of(b, row.sizes))));
  buffers.c.resize(static_cast<std::size_t>(product(extents_of(c, row.sizes))));
  buffers.expected.resize(buffers.c.size());
  fill(buffers.a, 1);
  fill(buffers.b, 2);
  LocalTensor<float const> const tensor_a{buffers.a.data(), a, extents_of(a, row.sizes)};
  LocalTensor<float const> const tensor_b{buffers.b.data(), b, extents_of(b, row.sizes)};
  LocalTensor<float> const tensor_c{buffers.c.data(), c, extents_of(c, row.sizes)};
  MemoryPool pool;
  auto const einsum = [&] {
    Scratch<HostSpace> scratch(pool);
    if (binary) contract<HostSpace>(tensor_a, tensor_b, tensor_c, false, scratch);
    else contract<HostSpace>(tensor_a, tensor_c, false, scratch);
  };
  Buffers for_bare{reordered(buffers.a, a, bare_order.a, row.sizes),
                   binary ? reordered(buffers.b, b, bare_order.b, row.sizes) : buffers.b,
                   {},
                   buffers.expected};
  auto const bare = [&] { row.bare(row.sizes, for_bare); };

  einsum();
  bare();
  if (!agree(buffers.c, reordered(for_bare.expected, bare_order.c, c, row.sizes))) {
    state.SkipWithError("the results differ");
    return;
  }
  // Several calls at a time, so that the clock sees about a millisecond.
  int const calls = static_cast<int>(std::clamp(1e-3 / std::max(seconds_of(bare), 1e-8), 1.0, 1e4));
  auto const repeated = [&](auto const& function) {
    for (int i = 0; i < calls; ++i) function();
  };
  std::vector<double> ours;
  std::vector<double> theirs;
  for ([[maybe_unused]] auto iteration : state) {
    theirs.push_back(seconds_of([&] { repeated(bare); }) / calls);
    ours.push_back(seconds_of([&] { repeated(einsum); }) / calls);
    state.SetIterationTime(ours.back());
  }
  double flops = binary ? 2 : 1;
  for (auto const& [letter, extent] : row.sizes) flops *= static_cast<double>(extent);
  state.counters["vs_bare"] = median(ours) / median(theirs);
  state.counters["flop/s"] =
      benchmark::Counter(flops / median(ours), benchmark::Counter::kDefaults, benchmark::Counter::kIs1000);
  std::size_t const elements = buffers.a.size() + buffers.b.size() + buffers.c.size();
  state.counters["byte/s"] = benchmark::Counter(static_cast<double>(elements * sizeof(float)) / median(ours),
                                                benchmark::Counter::kDefaults, benchmark::Counter::kIs1000);
}

void product_nn(std::int64_t m, std::int64_t n, std::int64_t k, float const* a, float const* b, float* c) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, narrow(m), narrow(n), narrow(k), 1, a, narrow(k), b, narrow(n),
              0, c, narrow(n));
}

void projection(Sizes const& at, Buffers& buffers) {
  product_nn(at.at('g') * at.at('s'), at.at('h'), at.at('m'), buffers.a.data(), buffers.b.data(),
             buffers.expected.data());
}

void weight_gradient(Sizes const& at, Buffers& buffers) {
  int const m = narrow(at.at('m'));
  int const h = narrow(at.at('h'));
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, h, narrow(at.at('g') * at.at('s')), 1, buffers.a.data(), m,
              buffers.b.data(), h, 0, buffers.expected.data(), h);
}

void experts(Sizes const& at, Buffers& buffers) {
  std::int64_t const rows = at.at('g') * at.at('c');
  std::int64_t const m = at.at('m');
  std::int64_t const h = at.at('h');
  for (std::int64_t e = 0; e < at.at('e'); ++e)
    product_nn(rows, h, m, buffers.a.data() + e * rows * m, buffers.b.data() + e * m * h,
               buffers.expected.data() + e * rows * h);
}

void dispatch(Sizes const& at, Buffers& buffers) {
  std::int64_t const s = at.at('s');
  std::int64_t const e = at.at('e');
  std::int64_t const c = at.at('c');
  std::int64_t const m = at.at('m');
  for (std::int64_t g = 0; g < at.at('g'); ++g)
    for (std::int64_t i = 0; i < e; ++i)
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, narrow(c), narrow(m), narrow(s), 1,
                  buffers.a.data() + (g * s * e + i) * c, narrow(e * c), buffers.b.data() + g * s * m, narrow(m), 0,
                  buffers.expected.data() + (i * at.at('g') + g) * c * m, narrow(m));
}

void scores(Sizes const& at, Buffers& buffers) {
  std::int64_t const l = at.at('l');
  std::int64_t const k = at.at('k');
  std::int64_t const d = at.at('d');
  std::int64_t const heads = at.at('h');
  for (std::int64_t n = 0; n < at.at('n'); ++n)
    for (std::int64_t h = 0; h < heads; ++h)
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, narrow(l), narrow(k), narrow(d), 1,
                  buffers.a.data() + (n * l * heads + h) * d, narrow(heads * d),
                  buffers.b.data() + (n * k * heads + h) * d, narrow(heads * d), 0,
                  buffers.expected.data() + (n * heads + h) * l * k, narrow(k));
}

/// "a..k" by "k..b": one matrix product, whose operands lie as it wants them.
void square(Sizes const& at, Buffers& buffers) {
  product_nn(at.at('a'), at.at('b'), at.at('k') * at.at('l'), buffers.a.data(), buffers.b.data(),
             buffers.expected.data());
}

void matrix_vector(Sizes const& at, Buffers& buffers) {
  cblas_sgemv(CblasRowMajor, CblasNoTrans, narrow(at.at('m')), narrow(at.at('k')), 1, buffers.a.data(),
              narrow(at.at('k')), buffers.b.data(), 1, 0, buffers.expected.data(), 1);
}

void copy(Sizes const&, Buffers& buffers) {
  std::memcpy(buffers.expected.data(), buffers.a.data(), buffers.a.size() * sizeof(float));
}

void row_copies(Sizes const& at, Buffers& buffers) {
  std::size_t const d = static_cast<std::size_t>(at.at('d'));
  std::int64_t const l = at.at('l');
  std::int64_t const heads = at.at('h');
  float* to = buffers.expected.data();
  for (std::int64_t n = 0; n < at.at('n'); ++n)
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t i = 0; i < l; ++i, to += d)
        std::memcpy(to, buffers.a.data() + static_cast<std::size_t>((n * l + i) * heads + h) * d, d * sizeof(float));
}

void transpose(Sizes const& at, Buffers& buffers) {
  std::int64_t const rows = at.at('a');
  std::int64_t const columns = at.at('b');
  for (std::int64_t j = 0; j < columns; ++j)
    for (std::int64_t i = 0; i < rows; ++i)
      buffers.expected[static_cast<std::size_t>(j * rows + i)] = buffers.a[static_cast<std::size_t>(i * columns + j)];
}

void column_sums(Sizes const& at, Buffers& buffers) {
  std::size_t const h = static_cast<std::size_t>(at.at('h'));
  std::fill(buffers.expected.begin(), buffers.expected.end(), 0.0f);
  for (std::size_t row = 0; row < buffers.a.size() / h; ++row)
    for (std::size_t i = 0; i < h; ++i) buffers.expected[i] += buffers.a[row * h + i];
}

Case const cases[] = {
    {"projection/4096x512x512", "gsm,mh->gsh", {{'g', 8}, {'s', 512}, {'m', 512}, {'h', 512}}, projection},
    {"projection/64x64x64", "gsm,mh->gsh", {{'g', 2}, {'s', 32}, {'m', 64}, {'h', 64}}, projection},
    {"projection/16x16x16", "gsm,mh->gsh", {{'g', 2}, {'s', 8}, {'m', 16}, {'h', 16}}, projection},
    {"weight_gradient/4096x512x512", "gsm,gsh->mh", {{'g', 8}, {'s', 512}, {'m', 512}, {'h', 512}}, weight_gradient},
    {"experts/8x256x256x1024", "egcm,emh->egch", {{'e', 8}, {'g', 4}, {'c', 64}, {'m', 256}, {'h', 1024}}, experts},
    {"experts/16x32x64x128", "egcm,emh->egch", {{'e', 16}, {'g', 2}, {'c', 16}, {'m', 64}, {'h', 128}}, experts},
    {"dispatch/2x256x8x64x256", "gsec,gsm->egcm", {{'g', 2}, {'s', 256}, {'e', 8}, {'c', 64}, {'m', 256}}, dispatch},
    {"scores/16x64x64x8x64", "nlhd,nkhd->nhlk", {{'n', 16}, {'l', 64}, {'k', 64}, {'h', 8}, {'d', 64}}, scores},
    {"scores/64x16x16x4x16", "nlhd,nkhd->nhlk", {{'n', 64}, {'l', 16}, {'k', 16}, {'h', 4}, {'d', 16}}, scores},
    // What gshard permutes first, the bare product finds in order.
    {"permuted_left/512", "alk,klb->ab", {{'a', 512}, {'b', 512}, {'k', 16}, {'l', 32}}, square, "akl,klb->ab"},
    {"permuted_both/512", "lak,kbl->ab", {{'a', 512}, {'b', 512}, {'k', 16}, {'l', 32}}, square, "akl,klb->ab"},
    {"permuted_right/1024", "akl,lbk->ab", {{'a', 1024}, {'b', 1024}, {'k', 32}, {'l', 32}}, square, "akl,klb->ab"},
    {"permuted_all/1024", "lak,kbl->ba", {{'a', 1024}, {'b', 1024}, {'k', 32}, {'l', 32}}, square, "akl,klb->ab"},
    {"matrix_vector/2048x2048", "mk,k->m", {{'m', 2048}, {'k', 2048}}, matrix_vector},
    {"copy/4KB", "a->a", {{'a', 1024}}, copy},
    {"copy/16MB", "a->a", {{'a', 4 << 20}}, copy},
    {"permute/heads", "nlhd->nhld", {{'n', 16}, {'l', 64}, {'h', 8}, {'d', 64}}, row_copies},
    {"transpose/2000x3000", "ab->ba", {{'a', 2000}, {'b', 3000}}, transpose},
    {"column_sums/8192x512", "gsh->h", {{'g', 16}, {'s', 512}, {'h', 512}}, column_sums},
};

}  // namespace

int main(int argc, char** argv) {
  return gshard::run(argc, argv, [&](gshard::Runtime&) {
    benchmark::Initialize(&argc, argv);
    for (Case const& row : cases)
      benchmark::RegisterBenchmark(row.name.c_str(), [&row](benchmark::State& state) { measure(state, row); })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond)
          ->Iterations(30);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
  });
}
