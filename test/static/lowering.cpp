// SPDX-License-Identifier: Apache-2.0
// Which einsums are matrix products of tensors as they lie in memory, and which letters the products run over.
#include <string_view>

#include <gshard/einsum/local/lowering.hpp>

namespace {

using gshard::Labels;
using gshard::detail::lower;
using gshard::detail::Lowering;
using gshard::detail::needs_no_copy;
using gshard::detail::symbolic_units;

consteval Labels labels(std::string_view text) {
  Labels result;
  for (char letter : text) result.push_back(letter);
  return result;
}

consteval bool no_copy(std::string_view a, std::string_view b, std::string_view c) {
  return needs_no_copy(labels(a), labels(b), labels(c));
}

/// An einsum and both of its gradients: d/da is "c,b->a", d/db is "a,c->b".
consteval bool no_copy_with_gradients(std::string_view a, std::string_view b, std::string_view c) {
  return no_copy(a, b, c) && no_copy(c, b, a) && no_copy(a, c, b);
}

/// The rows, columns and sum that are chosen for long extents.
consteval bool chooses(std::string_view a, std::string_view b, std::string_view c, std::string_view m,
                       std::string_view n, std::string_view k) {
  Lowering const lowering = lower(symbolic_units(labels(a), labels(b), labels(c)), true);
  return !lowering.direct && !lowering.copies() && lowering.letters(lowering.m) == labels(m) &&
         lowering.letters(lowering.n) == labels(n) && lowering.letters(lowering.k) == labels(k);
}

consteval bool permutes(std::string_view a, std::string_view b, std::string_view c, std::string_view which) {
  Lowering const lowering = lower(symbolic_units(labels(a), labels(b), labels(c)), true);
  for (int t = 0; t < 3; ++t)
    if (lowering.permuted[t] != (which.find("abc"[t]) != std::string_view::npos)) return false;
  return true;
}

// Matrices, with either operand transposed and with the result transposed.
static_assert(no_copy_with_gradients("mk", "kn", "mn"));
static_assert(no_copy_with_gradients("km", "kn", "mn"));
static_assert(no_copy_with_gradients("mk", "nk", "mn"));
static_assert(no_copy_with_gradients("km", "nk", "mn"));
static_assert(no_copy_with_gradients("mk", "kn", "nm"));
static_assert(chooses("mk", "kn", "mn", "m", "n", "k"));
static_assert(chooses("mk", "kn", "nm", "m", "n", "k"));

// A projection: the letters before the contracted one are one long row.
static_assert(no_copy_with_gradients("gsm", "mh", "gsh"));
static_assert(chooses("gsm", "mh", "gsh", "gs", "h", "m"));
static_assert(chooses("gsh", "mh", "gsm", "gs", "m", "h"));
static_assert(chooses("gsm", "gsh", "mh", "m", "h", "gs"));

// The gate, and the paper's dispatch and combine einsums.
static_assert(no_copy_with_gradients("gsm", "me", "gse"));
static_assert(no_copy_with_gradients("gsec", "gsm", "egcm"));
static_assert(no_copy_with_gradients("gsec", "egcm", "gsm"));
static_assert(chooses("gsec", "gsm", "egcm", "c", "m", "s"));

// The experts.
static_assert(no_copy_with_gradients("egcm", "emh", "egch"));
static_assert(no_copy_with_gradients("egch", "ehm", "egcm"));
static_assert(chooses("egcm", "emh", "egch", "gc", "h", "m"));
static_assert(chooses("egcm", "egch", "emh", "m", "h", "gc"));

// Attention: projections to heads and back, scores and weighted values, on (group, sentence, position, head, depth).
static_assert(no_copy_with_gradients("gsm", "mhd", "gshd"));
static_assert(no_copy_with_gradients("gshd", "hdm", "gsm"));
static_assert(chooses("gsm", "mhd", "gshd", "gs", "hd", "m"));
static_assert(chooses("gshd", "hdm", "gsm", "gs", "m", "hd"));
static_assert(no_copy_with_gradients("gnlhd", "gnkhd", "gnhlk"));
static_assert(no_copy_with_gradients("gnhlk", "gnkhd", "gnlhd"));
static_assert(chooses("gnlhd", "gnkhd", "gnhlk", "l", "k", "d"));
static_assert(chooses("gnhlk", "gnkhd", "gnlhd", "l", "d", "k"));

// A tied output layer on the embedding table.
static_assert(no_copy_with_gradients("gsm", "vm", "gsv"));
static_assert(chooses("gsm", "vm", "gsv", "gs", "v", "m"));

// Vectors and scalars are matrices of one row.
static_assert(no_copy_with_gradients("mk", "k", "m"));
static_assert(no_copy_with_gradients("k", "k", ""));
static_assert(no_copy_with_gradients("m", "n", "mn"));
static_assert(no_copy_with_gradients("bk", "bk", "b"));
static_assert(no_copy("", "mn", "mn"));

// A letter of one operand alone is summed beforehand; a diagonal is a matrix with a longer row stride.
static_assert(no_copy("mkz", "kn", "mn"));
static_assert(no_copy("iij", "jk", "ik"));

// A free letter that is innermost on both sides takes the part of the rows or columns, and the others become loops.
static_assert(no_copy_with_gradients("mkb", "kn", "mnb"));
static_assert(chooses("mkb", "kn", "mnb", "b", "n", "k"));

// A batch letter that is innermost leaves one tensor without contiguous rows or columns: that tensor is permuted.
static_assert(!no_copy("mkb", "knb", "mnb"));
static_assert(!no_copy("iji", "jk", "ik"));
static_assert(permutes("gmk", "gkn", "mng", "c"));
static_assert(permutes("mkg", "gkn", "gmn", "a"));
static_assert(permutes("gmk", "kng", "gmn", "b"));

}  // namespace
