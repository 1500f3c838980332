// SPDX-License-Identifier: Apache-2.0
// Halos and convolutions over split space against loops over all elements, on every mesh of two axes; elements are
// small integers, so results are exact.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>
#include <gshard/spatial.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

// ---- The plain convolution

/// y by loops over outputs and window positions; an element exists where the position is a multiple of the base
/// dilation, and inside.
template <int Rank>
Dense dense_convolution(Dense const& x, Dense const& w, ConvolutionOptions<Rank> const& options) {
  Dense y;
  y.extents = x.extents;
  y.extents.back() = w.extents.back();
  for (int d = 0; d < Rank; ++d) {
    std::size_t const i = static_cast<std::size_t>(d);
    std::int64_t const base = x.extents[d + 1] == 0 ? 0 : (x.extents[d + 1] - 1) * options.base_dilation[i] + 1;
    std::int64_t const room =
        base + options.low[i] + options.high[i] - (1 + (w.extents[d] - 1) * options.window_dilation[i]);
    y.extents[d + 1] = room < 0 ? 0 : room / options.stride[i] + 1;
  }
  y.values.assign(static_cast<std::size_t>(product(y.extents)), 0);
  Extents const x_strides = packed_strides(x.extents);
  Extents const w_strides = packed_strides(w.extents);
  std::int64_t const inputs = w.extents[Rank];
  std::int64_t const outputs = w.extents[Rank + 1];
  std::int64_t positions = 1;
  for (int d = 0; d < Rank; ++d) positions *= w.extents[d];
  for (std::size_t at = 0; at < y.values.size(); ++at) {
    Extents index = y.extents;
    std::int64_t rest = static_cast<std::int64_t>(at);
    for (int d = y.extents.size() - 1; d >= 0; --d) {
      index[d] = rest % y.extents[d];
      rest /= y.extents[d];
    }
    for (std::int64_t position = 0; position < positions; ++position) {
      std::int64_t from = index[0] * x_strides[0];
      std::int64_t weight = index.back();
      bool exists = true;
      std::int64_t left = position;
      for (int d = Rank - 1; d >= 0; --d) {
        std::size_t const i = static_cast<std::size_t>(d);
        std::int64_t const k = left % w.extents[d];
        left /= w.extents[d];
        std::int64_t const place = index[d + 1] * options.stride[i] - options.low[i] + k * options.window_dilation[i];
        exists = exists && place >= 0 && place % options.base_dilation[i] == 0 &&
                 place / options.base_dilation[i] < x.extents[d + 1];
        from += place / options.base_dilation[i] * x_strides[d + 1];
        weight += k * w_strides[d];
      }
      for (std::int64_t i = 0; exists && i < inputs; ++i)
        y.values[at] +=
            x.values[static_cast<std::size_t>(from + i)] * w.values[static_cast<std::size_t>(weight + i * outputs)];
    }
  }
  return y;
}

template <class Y, class X, class W>
void check_convolution(TwoAxes const& mesh, Extents const& x_extents, Extents const& w_extents,
                       ConvolutionOptions<X::rank - 2> const& options) {
  X const x = filled<X>(mesh, x_extents, 1);
  W const w = filled<W>(mesh, w_extents, 2);
  Dense const expected =
      dense_convolution<X::rank - 2>({x_extents, dense_values_of(x, 1)}, {w_extents, dense_values_of(w, 2)}, options);
  INFO("x ", gshard::detail::text_of(x_extents), " ", gshard::detail::text_of<TwoAxes>(X::layout), ", w ",
       gshard::detail::text_of(w_extents), " ", gshard::detail::text_of<TwoAxes>(W::layout), ", stride ",
       options.stride[0], ", low ", options.low[0], ", high ", options.high[0], ", dilations ",
       options.window_dilation[0], " and ", options.base_dilation[0], " on mesh (", mesh.text(), ")");
  Y const y = convolution(x, w, options);
  CHECK(y.extents() == expected.extents);
  CHECK(difference(y, expected.values) == "");
}

template <int Rank>
ConvolutionOptions<Rank> options_of(std::int64_t stride, std::int64_t low, std::int64_t high,
                                    std::int64_t window_dilation, std::int64_t base_dilation) {
  using gshard::detail::all_of;
  return {all_of<Rank>(stride), all_of<Rank>(low), all_of<Rank>(high), all_of<Rank>(window_dilation),
          all_of<Rank>(base_dilation)};
}

/// Strides, paddings (negative ones leave elements out), and dilations of window and base: all cases of paper A.4.
template <int Rank>
std::vector<ConvolutionOptions<Rank>> all_options() {
  return {options_of<Rank>(1, 0, 0, 1, 1), options_of<Rank>(1, 1, 1, 1, 1),  options_of<Rank>(2, 1, 1, 1, 1),
          options_of<Rank>(3, 0, 2, 1, 1), options_of<Rank>(1, 2, 2, 2, 1),  options_of<Rank>(2, 3, 1, 2, 1),
          options_of<Rank>(3, 1, 1, 1, 3), options_of<Rank>(1, 0, 0, 1, 3),  options_of<Rank>(2, 2, 1, 1, 3),
          options_of<Rank>(4, 1, 2, 2, 2), options_of<Rank>(1, -1, 0, 1, 1), options_of<Rank>(2, 0, -2, 1, 2),
          options_of<Rank>(1, 9, 9, 1, 1)};
}

}  // namespace

TEST_CASE("convolutions in one dimension, split over batch, space and channels") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (auto const& options : all_options<1>())
      for (std::int64_t length : {0, 1, 2, 5, 12, 17})
        for (std::int64_t window : {1, 3, 4}) {
          Extents const x{3, length, 2};
          Extents const w{window, 2, 3};
          check_convolution<On<_, "x", _>, On<_, "x", _>, On<_, _, _>>(mesh, x, w, options);
          check_convolution<On<_, "x,y", _>, On<_, "x,y", _>, On<_, _, _>>(mesh, x, w, options);
          check_convolution<On<"x", "y", _>, On<"x", "y", _>, On<_, _, _>>(mesh, x, w, options);
          check_convolution<On<_, "y", "x">, On<_, "y", _>, On<_, _, "x">>(mesh, x, w, options);
          check_convolution<On<_, "y", _>, On<_, "y", "x">, On<_, "x", _>>(mesh, x, w, options);  // all-reduce
        }
  });
}

TEST_CASE("convolutions in two dimensions: corners, sums that are scattered or kept, results held otherwise") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (auto const& options : all_options<2>())
      for (auto const& size : {Extents{7, 5}, Extents{3, 8}, Extents{1, 4}, Extents{0, 3}}) {
        Extents const x{2, size[0], size[1], 2};
        Extents const w{3, 2, 2, 3};
        check_convolution<On<_, "x", "y", _>, On<_, "x", "y", _>, On<_, _, _, _>>(mesh, x, w, options);
        // reduce-scatter
        check_convolution<On<"y", "x", _, _>, On<_, "x", _, "y">, On<_, _, "y", _>>(mesh, x, w, options);
        check_convolution<On<_, _, "x", _, partial("y")>, On<_, _, "x", "y">, On<_, _, "y", _>>(mesh, x, w, options);
        check_convolution<On<_, "y", "x", _>, On<_, "x", "y", _>, On<_, _, _, _>>(mesh, x, w, options);
      }
  });
}

TEST_CASE("convolutions in three dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (auto const& options :
         {options_of<3>(1, 1, 1, 1, 1), options_of<3>(2, 1, 0, 1, 1), options_of<3>(2, 1, 1, 2, 3)})
      check_convolution<On<_, "x", _, "y", _>, On<_, "x", _, "y", _>, On<_, _, _, _, _>>(mesh, {2, 5, 3, 4, 2},
                                                                                         {2, 3, 2, 2, 2}, options);
  });
}

// ---- Values that are known

namespace {

/// One dimension, one channel.
struct Known {
  char const* name;
  std::vector<double> x;
  std::vector<double> window;
  ConvolutionOptions<1> options;
  std::vector<double> y;
};

std::vector<double> counting(int from, int to) {
  std::vector<double> result;
  for (int i = from; i <= to; ++i) result.push_back(i);
  return result;
}

template <class Tensor>
Tensor tensor_of(TwoAxes const& mesh, Extents const& extents, std::vector<double> const& elements) {
  return from_vector<Tensor>(mesh, extents, elements);
}

std::vector<Known> const known = {
    {"T49", counting(1, 12), {1, 10, 100}, options_of<1>(2, 1, 1, 1, 1), {210, 432, 654, 876, 1098, 1320}},
    {"T55: base dilation, case 1",
     counting(1, 8),
     {1, 10, 100, 1000, 10000},
     options_of<1>(3, 1, 0, 1, 3),
     {20010, 30020, 40030, 50040, 60050, 70060, 80070}},
    {"T56: base dilation, case 2", counting(1, 8), {1, 10, 100}, options_of<1>(1, 0, 0, 1, 3), {1, 200, 20, 2, 300, 30,
                                                                                                3, 400, 40, 4, 500, 50,
                                                                                                5, 600, 60, 6, 700, 70,
                                                                                                7, 800}},
    {"L1: a strided convolution over split space",
     counting(0, 11),
     {1, 1, 1},
     options_of<1>(2, 1, 1, 1, 1),
     {1, 6, 12, 18, 24, 30}},
    {"L3: shards of unequal size", counting(1, 5), {1, 1, 1}, options_of<1>(1, 1, 1, 1, 1), {3, 6, 9, 12, 9}},
};

}  // namespace

TEST_CASE("convolutions whose values are known: T49, T55, T56, L1, L3") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Known const& row : known) {
      INFO(row.name, " on mesh (", mesh.text(), ")");
      auto const x = tensor_of<On<_, "x,y", _>>(mesh, {1, static_cast<std::int64_t>(row.x.size()), 1}, row.x);
      auto const w = tensor_of<On<_, _, _>>(mesh, {static_cast<std::int64_t>(row.window.size()), 1, 1}, row.window);
      auto const y = eval(convolution(x, w, row.options));
      CHECK(difference(y, row.y) == "");
    }
  });
}

TEST_CASE("L2: a split of the batch alone sends no halo, whatever the window") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x,y", _, _, _>>(mesh, {2, 9, 9, 1}, 1);
    auto const w = filled<On<_, _, _, _>>(mesh, {7, 7, 1, 2}, 2);
    HaloBytes const bytes = halo_bytes(convolution(x, w, options_of<2>(2, 3, 3, 1, 1)));
    CHECK(bytes.sent == 0);
    CHECK(bytes.received == 0);
    static_assert(plan_of<convolution_subscripts<2>, decltype(x), decltype(w)>.total() == 0);
  });
}

TEST_CASE("T52: windows side by side on even blocks send no halo; T50: one element on each inner side otherwise") {
  on_every_mesh([](TwoAxes const& mesh) {
    std::int64_t const shards = ranks();
    auto const x = filled<On<_, "x,y", _>>(mesh, {2, 6 * shards, 3}, 1);
    auto const w = filled<On<_, _, _>>(mesh, {3, 3, 1}, 2);
    CHECK(halo_bytes(convolution(x, w, options_of<1>(3, 0, 0, 1, 1))).received == 0);
    std::int64_t const sides = (x.range(1).begin > 0 ? 1 : 0) + (x.range(1).end < 6 * shards ? 1 : 0);
    CHECK(halo_bytes(convolution(x, w, options_of<1>(1, 1, 1, 1, 1))).received == sides * 2 * 3 * 8);
  });
}

TEST_CASE("what is wrong with a convolution is said before anything is sent") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  On<_, "x", _> const x(mesh, {2, 8, 3});
  On<_, _, _> const w(mesh, {3, 2, 4});
  CHECK_THROWS_WITH_AS(eval(convolution(x, w)),
                       doctest::Contains("letter 'i' has extent 3, but dimension 1 of operand 1"), ExtentError);
  On<_, _, _> const fits(mesh, {3, 3, 4});
  CHECK_THROWS_WITH_AS(eval(convolution(x, fits, {.stride = {0}})), doctest::Contains("stride 0"), ExtentError);
}

// ---- Halos

namespace {

template <class Tensor>
void check_halo(Tensor const& x, Widths<Tensor> const& low, Widths<Tensor> const& high) {
  double const border = 77;
  auto const block = exchange_halo(x, low, high, border);
  std::vector<double> const whole = dense_values_of(x, 1);
  Extents const strides = packed_strides(x.extents());
  std::vector<double> expected;
  for (std::int64_t at = 0; at < block.size(); ++at) {
    std::int64_t rest = at;
    std::int64_t position = 0;
    bool inside = true;
    for (int d = Tensor::rank - 1; d >= 0; --d) {
      std::int64_t const index = block.range(d).begin + rest % block.extents()[d];
      rest /= block.extents()[d];
      inside = inside && index >= 0 && index < x.extent(d);
      position += index * strides[d];
    }
    expected.push_back(inside ? whole[static_cast<std::size_t>(position)] : border);
  }
  INFO(gshard::detail::text_of(x.extents()), " ", gshard::detail::text_of<TwoAxes>(Tensor::layout), ", low ", low[0],
       ", high ", high[0], " on mesh (", x.mesh().text(), ")");
  std::vector<double> const found(block.data(), block.data() + block.size());
  CHECK(difference(found, expected) == "");

  // The transpose: ones everywhere count how many ranks see each element, replicas apart.
  auto const ones = exchange_halo(x, low, high);
  for (std::int64_t i = 0; i < ones.size(); ++i) ones.data()[i] = 1;
  auto const seen = sum_halo(ones, low, high);
  std::vector<double> counts(static_cast<std::size_t>(x.size()), 0);
  auto const& mesh = x.mesh_state();
  for (int member = 0; member < mesh.group(Tensor::layout.split()).size; ++member) {
    auto const box = gshard::detail::WidenedBlock<Tensor>{
        x.mesh(), x.extents(), low, high}(mesh.member_coordinates(Tensor::layout.split(), member));
    for (std::size_t at = 0; at < counts.size(); ++at) {
      std::int64_t rest = static_cast<std::int64_t>(at);
      bool sees = product(box.extents) > 0;
      for (int d = Tensor::rank - 1; d >= 0; --d) {
        std::int64_t const index = rest % x.extent(d);
        rest /= x.extent(d);
        sees = sees && index >= box.offsets[d] && index < box.offsets[d] + box.extents[d];
      }
      counts[at] += sees ? 1 : 0;
    }
  }
  CHECK(difference(seen, counts) == "");
}

}  // namespace

TEST_CASE(
    "halos: wider than a block, of several dimensions with corners, negative, of empty blocks; zeros outside, and the transpose") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (std::int64_t length : {0, 1, 3, 8, 13})
      for (std::int64_t low : {0, 1, 5, -1})
        for (std::int64_t high : {0, 2, 7, -1}) {
          check_halo(filled<On<"x,y">>(mesh, {length}, 1), {low}, {high});
          check_halo(filled<On<"x", "y">>(mesh, {length, 4}, 1), {low, 1}, {high, 2});
          check_halo(filled<On<"y", _>>(mesh, {length, 2}, 1), {low, 0}, {high, 1});
        }
  });
}

TEST_CASE("G9: the halos of left and right do not change places, on two ranks either") {
  on_ranks(std::min(2, ranks()), [](Runtime& part) {
    TwoAxes const mesh(part, {part.size(), 1});
    On<"x"> const x = from_vector<On<"x">>(mesh, {4}, std::vector<double>{1, 2, 3, 4});
    auto const block = exchange_halo(x, {1}, {1});
    std::vector<double> const found(block.data(), block.data() + block.size());
    CHECK(found == (part.size() == 1   ? std::vector<double>{0, 1, 2, 3, 4, 0}
                    : part.rank() == 0 ? std::vector<double>{0, 1, 2, 3}
                                       : std::vector<double>{2, 3, 4, 0}));
  });
}

TEST_CASE("a block with its halo keeps the shape of the tensor, not its elements") {
  on_every_mesh([](TwoAxes const& mesh) {
    Ledger& ledger = mesh.memory().ledger();
    auto x = filled<On<"x", "y">>(mesh, {16, 24}, 1);
    std::int64_t const of_tensor = x.local_size() * static_cast<std::int64_t>(sizeof(double));
    auto const block = exchange_halo(x, {1, 1}, {1, 1});
    std::int64_t const with_both = ledger.bytes_in_use();
    x = {};
    CHECK(ledger.bytes_in_use() == with_both - of_tensor);
    CHECK(block.owner().extents() == Extents{16, 24});
    CHECK(sum_halo(block, {1, 1}, {1, 1}).extents() == Extents{16, 24});
  });
}

TEST_CASE("G10: a block that is smaller than what its interior leaves out has no interior, and nothing runs for ever") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x,y">>(mesh, {1}, 1);
    CHECK(exchange_halo(x, {-1}, {-1}).size() == 0);
  });
}

// ---- Pooling

namespace {

/// Pooling by loops, in two dimensions.
template <class Tensor>
void check_pools(Tensor const& x, PoolOptions<2> const& options) {
  std::vector<double> const whole = dense_values_of(x, 1);
  Extents const strides = packed_strides(x.extents());
  Extents extents = x.extents();
  std::array<std::int64_t, 2> const stride = options.stride.value_or(options.window);
  for (std::size_t d = 0; d < 2; ++d) {
    std::int64_t const room = x.extent(static_cast<int>(d) + 1) + options.low[d] + options.high[d] -
                              (1 + (options.window[d] - 1) * options.dilation[d]);
    extents[static_cast<int>(d) + 1] = room < 0 ? 0 : room / stride[d] + 1;
  }
  std::vector<double> largest;
  std::vector<double> of_elements;
  std::vector<double> of_window;
  for (std::int64_t n = 0; n < extents[0]; ++n)
    for (std::int64_t i = 0; i < extents[1]; ++i)
      for (std::int64_t j = 0; j < extents[2]; ++j)
        for (std::int64_t c = 0; c < extents[3]; ++c) {
          double most = -std::numeric_limits<double>::infinity();
          double sum = 0;
          double count = 0;
          for (std::int64_t a = 0; a < options.window[0]; ++a)
            for (std::int64_t b = 0; b < options.window[1]; ++b) {
              std::int64_t const row = i * stride[0] - options.low[0] + a * options.dilation[0];
              std::int64_t const column = j * stride[1] - options.low[1] + b * options.dilation[1];
              if (row < 0 || row >= x.extent(1) || column < 0 || column >= x.extent(2)) continue;
              double const element =
                  whole[static_cast<std::size_t>(n * strides[0] + row * strides[1] + column * strides[2] + c)];
              most = std::max(most, element);
              sum += element;
              ++count;
            }
          largest.push_back(most);
          of_elements.push_back(count == 0 ? 0 : sum / count);
          of_window.push_back(sum / static_cast<double>(options.window[0] * options.window[1]));
        }
  INFO(gshard::detail::text_of(x.extents()), " ", gshard::detail::text_of<TwoAxes>(Tensor::layout), ", window ",
       options.window[0], " x ", options.window[1], " on mesh (", x.mesh().text(), ")");
  auto const found = max_pool(x, options);
  CHECK(found.extents() == extents);
  bool const has_empty_window = std::ranges::any_of(largest, [](double value) { return std::isinf(value); });
  if (!has_empty_window) CHECK(difference(found, largest) == "");
  CHECK(difference(average_pool(x, options), of_elements, 1e-12) == "");
  CHECK(difference(average_pool(x, options, AverageOver::window), of_window, 1e-12) == "");
}

}  // namespace

TEST_CASE("pooling over split space and channels") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (auto const& options : {PoolOptions<2>{.window = {2, 2}},
                                PoolOptions<2>{.window = {3, 2}, .stride = {{1, 1}}, .low = {1, 0}, .high = {1, 1}},
                                PoolOptions<2>{.window = {2, 3}, .stride = {{2, 1}}, .dilation = {2, 1}},
                                PoolOptions<2>{.window = {7, 7}, .stride = {{1, 3}}, .low = {3, 3}, .high = {3, 3}}})
      for (auto const& size : {Extents{2, 7, 6, 3}, Extents{1, 4, 9, 2}, Extents{3, 1, 2, 1}, Extents{2, 0, 4, 2}}) {
        check_pools(filled<On<_, "x", "y", _>>(mesh, size, 1), options);
        check_pools(filled<On<"y", "x", _, _>>(mesh, size, 1), options);
        check_pools(filled<On<_, _, "x", "y">>(mesh, size, 1), options);
      }
  });
}

TEST_CASE("the padding of a maximum is smaller than every element: negative ones stay") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = from_vector<On<_, "x,y", _>>(mesh, {1, 4, 1}, std::vector<double>{-3, -1, -2, -4});
    CHECK(difference(max_pool(x, {.window = {3}, .stride = {{1}}, .low = {1}, .high = {1}}), {-1, -1, -1, -2}) == "");
  });
}

TEST_CASE("a window without elements: its maximum is smaller than every number, its mean 0") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = from_vector<On<_, "x,y", _>>(mesh, {1, 2, 1}, std::vector<double>{3, 4});
    PoolOptions<1> const options{.window = {1}, .low = {2}, .high = {1}};
    double const none = -std::numeric_limits<double>::infinity();
    auto const same = [](auto const& found, std::vector<double> const& wanted) {
      std::vector<std::size_t> const positions = global_positions(found);
      bool all = true;
      for (std::size_t i = 0; i < positions.size(); ++i) all = all && found.data()[i] == wanted[positions[i]];
      return all;
    };
    CHECK(same(max_pool(x, options), {none, none, 3, 4, none}));
    CHECK(same(average_pool(x, options), {0, 0, 3, 4, 0}));
  });
}
