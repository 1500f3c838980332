// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/compile_error.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/core/options.hpp>
#include <gshard/nn/kernels/rotary_embedding.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/tensor/dimension.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard {

namespace error {

template <class Tensor>
struct RotaryEntriesSplit {
  static_assert(always_false<Tensor>,
                "gshard: rotary_embedding works on a whole last dimension; reshard x so that it is `_`");
};

template <int Positions, class Tensor>
struct RotaryPositionsAreEntries {
  static_assert(
      always_false<Tensor>,
      "gshard: rotary_embedding rotates the entries of the last dimension, which cannot be that of the positions too; name another dimension");
};

}  // namespace error

namespace nn {

/// Which two entries of a row a rotary embedding rotates together. Weights trained with one do not fit the other.
enum class RotaryPairs {
  interleaved,  ///< (2i, 2i + 1) ("RoFormer", "GPT-J")
  halves,       ///< (i, i + rotated / 2) ("GPT-NeoX", "Llama")
};

/// Positions are below this bound: an angle, computed in double, is then right to 2^-13.
inline constexpr std::int64_t max_rotary_position = std::int64_t{1} << 40;

struct RotaryOptions {
  double base = 10000;
  /// position of global index 0: in incremental decoding, the number of positions before those of x
  std::int64_t first_position = 0;
  RotaryPairs pairs = RotaryPairs::interleaved;
  /// number of leading entries of a row that are rotated; all unless set ("partial rotary")
  std::optional<std::int64_t> rotated = {};
};

namespace detail {

/// rotary_embedding along dimension `Positions`, as an operation with a gradient. It is linear: an unreduced sum stays
/// one.
template <int Positions>
struct RotaryEmbedding {
  RotaryOptions options;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    if constexpr (Positions == Tensor::rank - 1)
      using Refused [[maybe_unused]] = decltype(error::RotaryPositionsAreEntries<Positions, Tensor>{});
    else if constexpr (!Tensor::layout.dimensions[Tensor::rank - 1].empty())
      using Refused [[maybe_unused]] = decltype(error::RotaryEntriesSplit<typename Tensor::spec_type>{});
    require_floating_point<Tensor>();
    gshard::detail::require_set("rotary_embedding", {{"x", x}});
    gshard::detail::require_option(options.base >= 1 && options.base <= std::numeric_limits<double>::max(), "base",
                                   options.base, "a finite number of 1 or more");
    std::int64_t const positions = x.extent(Positions);
    gshard::detail::require_option(
        options.first_position >= 0 && positions <= max_rotary_position &&
            options.first_position <= max_rotary_position - positions,
        "first_position", options.first_position,
        gshard::detail::concat("a number of 0 or more, with all ", positions, " positions of x below 2^40"));
    std::int64_t const entries = x.extent(Tensor::rank - 1);
    std::int64_t const rotated = options.rotated.value_or(entries);
    if (rotated < 0 || rotated > entries || rotated % 2 != 0)
      gshard::detail::refuse_option(
          "rotated", rotated, gshard::detail::concat("an even number from 0 to ", entries, ", the last extent of x"));
    return rotate("rotary_embedding", x, false);
  }

  void vjp(auto const&, auto const& gradient, auto const& gradients) const {
    auto const& [dx] = gradients;
    dx.add(rotate("rotary_embedding gradient", gradient, true));
  }

 private:
  /// Returns x rotated, by the negative angles if `is_inverse`; `operation` is the name in the ledger.
  template <AnyTensor Tensor>
  Tensor rotate(char const* operation, Tensor const& x, bool is_inverse) const {
    using T = typename Tensor::value_type;
    using Space = typename Tensor::memory_space;
    std::int64_t const entries = x.extent(Tensor::rank - 1);
    std::int64_t const rotated = options.rotated.value_or(entries);
    Rotation rotation{.base = options.base,
                      .first_position = options.first_position + x.range(Positions).begin,
                      .outer = 1,
                      .positions = x.local_extent(Positions),
                      .inner = 1,
                      .rotated = rotated,
                      .kept = entries - rotated,
                      .is_halves = options.pairs == RotaryPairs::halves,
                      .is_inverse = is_inverse};
    for (int d = 0; d < Positions; ++d) rotation.outer *= x.local_extent(d);
    for (int d = Positions + 1; d + 1 < Tensor::rank; ++d) rotation.inner *= x.local_extent(d);
    Tensor const result = empty_like(x);
    record_kernel(operation, result, x);
    if (result.local_size() == 0) return result;
    Scratch<Space> scratch(x.memory());
    rotary_embedding<Space, T>(
        rotation, x.data(), result.data(),
        scratch.template get<gshard::detail::Computed<T>>(2 * rotation.positions * rotation.pairs()));
    return result;
  }
};

}  // namespace detail

/// Returns x (.., L, H, D) with positions encoded as rotations (RoPE; Su et al. 2021, arXiv 2104.09864): pair i of the
/// first R entries of each row at global index l of dimension `Positions` is rotated by the angle
/// (first_position + l) * base^(-2i / R), R = D unless `options.rotated` is set. Other entries are copied.
/// Dimension `Positions`, the third from the end by default, is L; a negative one counts from the end. Of queries and
/// keys rotated so, scalar products depend on the difference of positions alone.
/// x: any split but of D; an unreduced sum is rotated in its parts, and stays one. Computes angles in double. Keeps
/// nothing for the backward pass; the gradient is rotated by the negative angles.
/// Communication: none.
/// Throws StateError if x is unset; OptionError unless base is finite and 1 or more, first_position is 0 or more and
/// all positions are below 2^40, and R is even, 0 or more, and at most D.
template <int Positions = -3, TensorOperand X>
auto rotary_embedding(X&& x, RotaryOptions const& options = {}) {
  constexpr int positions = gshard::detail::dimension_of<Positions, gshard::detail::ValueTensor<X>::rank>;
  return Differentiable(detail::RotaryEmbedding<positions>{options})(std::forward<X>(x));
}

}  // namespace nn
}  // namespace gshard
