// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/routes.hpp>

namespace gshard::nn::detail {

/// The C tokens of a group whose gates of one expert rank highest, kept in the expert's slots as a heap whose root is
/// the first to go.
template <class T>
struct MostProbable {
  int* tokens;          ///< C places
  std::int64_t most;    ///< C
  T const* gates;       ///< of the group's first token, at this expert
  std::int64_t stride;  ///< from token to token

  /// Whether token a is taken sooner than token b: the gate that ranks above, of equals the first token. A total order,
  /// NaN included.
  KOKKOS_FORCEINLINE_FUNCTION bool precedes(int a, int b) const {
    T const gate_a = gates[a * stride];
    T const gate_b = gates[b * stride];
    return is_larger(gate_a, gate_b) || (!is_larger(gate_b, gate_a) && a < b);
  }

  /// Takes the token, in place of the last one where all slots are full; `count` tokens are in.
  KOKKOS_FORCEINLINE_FUNCTION void offer(int token, int& count) const {
    if (count < most) {
      int place = count++;
      for (; place > 0 && precedes(tokens[(place - 1) / 2], token); place = (place - 1) / 2)
        tokens[place] = tokens[(place - 1) / 2];
      tokens[place] = token;
    } else if (most > 0 && precedes(token, tokens[0])) {
      sink(token, count);
    }
  }

  /// Puts the tokens in order, the highest gate in slot 0.
  KOKKOS_FORCEINLINE_FUNCTION void sort(int count) const {
    for (int last = count - 1; last > 0; --last) {
      int const token = tokens[last];
      tokens[last] = tokens[0];
      sink(token, last);
    }
  }

  /// The slot of a token among `count` tokens in order, or -1.
  KOKKOS_FORCEINLINE_FUNCTION int slot_of(int token, int count) const {
    if (count == 0 || precedes(tokens[count - 1], token)) return -1;
    int first = 0;
    for (int after = count - 1; first < after;) {
      int const middle = (first + after) / 2;
      if (precedes(tokens[middle], token)) first = middle + 1;
      else after = middle;
    }
    return tokens[first] == token ? first : -1;
  }

 private:
  /// Puts a token in place of the root of a heap of `count`.
  KOKKOS_FORCEINLINE_FUNCTION void sink(int token, int count) const {
    int place = 0;
    for (int child = 1; child < count; child = 2 * place + 1) {
      if (child + 1 < count && precedes(tokens[child], tokens[child + 1])) ++child;
      if (!precedes(token, tokens[child])) break;
      tokens[place] = tokens[child];
      place = child;
    }
    tokens[place] = token;
  }
};

}  // namespace gshard::nn::detail
