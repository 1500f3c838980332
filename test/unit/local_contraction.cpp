// SPDX-License-Identifier: Apache-2.0
// The local half of an einsum against loops over every letter. All inputs are small integers, so every result is exact
// in any element type and any order of summation, and is compared with ==.
#include "mpi_test.hpp"
#include "products.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include <gshard/core/error.hpp>
#include <gshard/einsum/local/contract.hpp>
#include <gshard/einsum/local/lowering_cache.hpp>

namespace {

/// The element type of a matrix library of one's own.
struct Counted {
  std::int64_t value = 0;
  constexpr Counted() = default;
  constexpr Counted(int number) : value(number) {}
  friend constexpr Counted operator*(Counted a, Counted b) { return make(a.value * b.value); }
  friend constexpr Counted operator+(Counted a, Counted b) { return make(a.value + b.value); }
  constexpr Counted& operator+=(Counted other) { return *this = *this + other; }
  static constexpr Counted make(std::int64_t value) {
    Counted result;
    result.value = value;
    return result;
  }
};

int products_seen = 0;

}  // namespace

template <>
struct gshard::LocalGemm<Kokkos::HostSpace, Counted> {
  static constexpr bool available = true;

  static void run(GemmBatch<Counted> const& batch) {
    for (std::int64_t index = 0; index < batch.count(); ++index) {
      GemmBatch<Counted> const one = batch.product(index);
      ++products_seen;
      for (std::int64_t i = 0; i < one.m; ++i) {
        for (std::int64_t j = 0; j < one.n; ++j) {
          Counted& c = one.c[i * one.c_row + j];
          if (!one.accumulate) c = Counted(0);
          for (std::int64_t l = 0; l < one.k; ++l)
            c += one.a[i * one.a_row + l * one.a_column] * one.b[l * one.b_row + j * one.b_column];
        }
      }
    }
  }
};

namespace {

using namespace gshard;
using namespace gshard::detail;
using Kokkos::HostSpace;

struct HostScratch {
  std::vector<std::shared_ptr<void>> held;

  template <class T>
  T* get(std::int64_t count) {
    auto block = std::make_shared<std::vector<T>>(static_cast<std::size_t>(count));
    held.push_back(block);
    return block->data();
  }
};

Labels labels(std::string const& text) {
  Labels result;
  for (char letter : text) result.push_back(letter);
  return result;
}

Extents extents_of(Labels const& letters, std::map<char, std::int64_t> const& sizes) {
  Extents result;
  for (char letter : letters) result.push_back(sizes.at(letter));
  return result;
}

/// What an uninitialised result may hold.
template <class T>
T garbage() {
  if constexpr (std::numeric_limits<T>::has_quiet_NaN) return std::numeric_limits<T>::quiet_NaN();
  else return T(77777);
}

std::vector<double> small_integers(std::int64_t count, std::uint32_t seed) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<double>(seed >> 24 & 7u) - 3.0;
  }
  return values;
}

template <class T>
std::vector<T> converted(std::vector<double> const& values) {
  std::vector<T> result;
  for (double value : values) result.push_back(T(static_cast<int>(value)));
  return result;
}

/// "mk,kn->mn" and "m3 k4 n5", taken apart. Without a comma there is one operand.
struct Example {
  Labels a, b, c;
  bool binary;
  std::map<char, std::int64_t> sizes;

  Example(std::string const& subscripts, std::string const& extents) {
    std::size_t const comma = subscripts.find(',');
    std::size_t const arrow = subscripts.find("->");
    binary = comma != std::string::npos;
    a = labels(subscripts.substr(0, binary ? comma : arrow));
    if (binary) b = labels(subscripts.substr(comma + 1, arrow - comma - 1));
    c = labels(subscripts.substr(arrow + 2));
    std::istringstream stream(extents);
    std::string item;
    while (stream >> item) sizes[item[0]] = std::stoll(item.substr(1));
  }

  std::int64_t size(Labels const& letters) const { return product(extents_of(letters, sizes)); }

  /// c += a * b by one loop per letter.
  std::vector<double> reference(std::vector<double> const& in_a, std::vector<double> const& in_b,
                                std::vector<double> result) const {
    std::vector<test::Lettered<double const>> operands = {{std::string(a.begin(), a.end()), in_a.data()}};
    if (binary) operands.push_back({std::string(b.begin(), b.end()), in_b.data()});
    test::add_products(sizes, operands, {std::string(c.begin(), c.end()), result.data()});
    return result;
  }
};

/// The contraction by matrix products even where the plain kernel would be chosen.
template <class T>
void contract_by_products(LocalTensor<T const> a, LocalTensor<T const> b, LocalTensor<T> c, bool accumulate,
                          HostScratch& scratch) {
  if (contract_nothing<HostSpace>(product(a.extents) == 0 || product(b.extents) == 0, c, accumulate, scratch)) return;
  a = summed<HostSpace>(a, b.labels, c.labels, scratch);
  b = summed<HostSpace>(b, a.labels, c.labels, scratch);
  Units const units = units_of(labelled_strides(a), labelled_strides(b), labelled_strides(c));
  execute<HostSpace>(lower(units, false), a.data, b.data, c.data, accumulate, scratch);
}

template <class T>
std::vector<T> computed(Example const& einsum, std::vector<double> const& in_a, std::vector<double> const& in_b,
                        std::vector<T> result, bool accumulate, bool by_products) {
  std::vector<T> const a = converted<T>(in_a);
  std::vector<T> const b = converted<T>(in_b);
  HostScratch scratch;
  LocalTensor<T const> const tensor_a{a.data(), einsum.a, extents_of(einsum.a, einsum.sizes)};
  LocalTensor<T const> const tensor_b{b.data(), einsum.b, extents_of(einsum.b, einsum.sizes)};
  LocalTensor<T> const tensor_c{result.data(), einsum.c, extents_of(einsum.c, einsum.sizes)};
  if (!einsum.binary) {
    contract<HostSpace>(tensor_a, tensor_c, accumulate, scratch);
  } else if (by_products) {
    if constexpr (LocalGemm<HostSpace, T>::available)
      contract_by_products(tensor_a, tensor_b, tensor_c, accumulate, scratch);
  } else {
    contract<HostSpace>(tensor_a, tensor_b, tensor_c, accumulate, scratch);
  }
  return result;
}

/// The contraction in two windows of one letter: boxes of the operands, and a box of c, or all of it twice.
template <class T>
std::vector<T> computed_in_windows(Example const& einsum, char letter, std::vector<double> const& in_a,
                                   std::vector<double> const& in_b, std::vector<T> result) {
  std::vector<T> const a = converted<T>(in_a);
  std::vector<T> const b = converted<T>(in_b);
  HostScratch scratch;
  LocalTensor<T const> const tensor_a{a.data(), einsum.a, extents_of(einsum.a, einsum.sizes)};
  LocalTensor<T const> const tensor_b{b.data(), einsum.b, extents_of(einsum.b, einsum.sizes)};
  LocalTensor<T> const tensor_c{result.data(), einsum.c, extents_of(einsum.c, einsum.sizes)};
  std::int64_t const extent = einsum.sizes.at(letter);
  bool accumulate = false;
  for (Range window : {Range{0, extent / 2}, Range{extent / 2, extent}}) {
    LocalTensor<T> const c = tensor_c.narrowed(letter, window);
    if (einsum.binary)
      contract<HostSpace>(tensor_a.narrowed(letter, window), tensor_b.narrowed(letter, window), c, accumulate, scratch);
    else contract<HostSpace>(tensor_a.narrowed(letter, window), c, accumulate, scratch);
    accumulate = !einsum.c.contains(letter);
  }
  return result;
}

template <class T>
void check(std::string const& subscripts, std::string const& extents) {
  Example const einsum(subscripts, extents);
  INFO(subscripts, " with ", extents);
  auto const a = small_integers(einsum.size(einsum.a), 1);
  auto const b = small_integers(einsum.size(einsum.b), 2);
  auto const before = small_integers(einsum.size(einsum.c), 3);
  std::vector<double> const zeros(before.size(), 0.0);
  std::vector<T> const assigned = converted<T>(einsum.reference(a, b, zeros));
  std::vector<T> const added = converted<T>(einsum.reference(a, b, before));
  std::vector<T> const uninitialised(before.size(), garbage<T>());
  CHECK(computed<T>(einsum, a, b, uninitialised, false, false) == assigned);
  CHECK(computed<T>(einsum, a, b, converted<T>(before), true, false) == added);
  for (auto const& [letter, size] : einsum.sizes) {
    bool repeated = false;
    for (Labels const& labels : {einsum.a, einsum.b})
      repeated = repeated || std::count(labels.begin(), labels.end(), letter) > 1;
    if (!repeated)
      CHECK_MESSAGE(computed_in_windows<T>(einsum, letter, a, b, uninitialised) == assigned, "in windows of ", letter);
  }
  if (einsum.binary && LocalGemm<HostSpace, T>::available) {
    CHECK(computed<T>(einsum, a, b, uninitialised, false, true) == assigned);
    CHECK(computed<T>(einsum, a, b, converted<T>(before), true, true) == added);
  }
}

struct Case {
  std::string subscripts;
  std::string extents;
};

Case const cases[] = {
    // matrices, each transposed or not
    {"mk,kn->mn", "m3 k4 n5"},
    {"km,kn->mn", "m3 k4 n5"},
    {"mk,nk->mn", "m3 k4 n5"},
    {"km,nk->mn", "m3 k4 n5"},
    {"mk,kn->nm", "m3 k4 n5"},
    {"km,nk->nm", "m3 k4 n5"},
    {"mk,kn->mn", "m67 k129 n71"},
    {"km,nk->nm", "m67 k129 n71"},
    // vectors and scalars
    {"mk,k->m", "m7 k9"},
    {"km,k->m", "m7 k9"},
    {"k,kn->n", "n7 k9"},
    {"mk,k->m", "m300 k200"},
    {"k,kn->n", "k300 n200"},
    {"k,k->", "k11"},
    {"k,k->", "k100003"},
    {"m,n->mn", "m6 n5"},
    {"m,n->nm", "m6 n5"},
    {",->", ""},
    {",mn->mn", "m3 n4"},
    {"mn,->nm", "m3 n4"},
    // batches at each place
    {"bmk,bkn->bmn", "b3 m4 k5 n2"},
    {"bmk,bkn->bmn", "b40 m17 k19 n18"},
    {"mbk,kbn->mbn", "b3 m4 k5 n2"},
    {"mkb,bkn->bmn", "b3 m4 k5 n2"},
    {"bmk,knb->bmn", "b3 m4 k5 n2"},
    {"bmk,bkn->mnb", "b3 m4 k5 n2"},
    {"mkb,knb->mnb", "b3 m4 k5 n2"},
    {"bmk,knb->mbn", "b13 m24 k35 n22"},
    {"mkb,knb->mnb", "b13 m24 k35 n22"},
    {"bk,bk->b", "b9 k13"},
    {"bk,kb->b", "b9 k13"},
    {"gse,gse->gs", "g4 s50 e16"},
    {"se,s->e", "s130 e70"},
    {"ab,ab->ab", "a7 b90"},
    {"ab,ba->ab", "a7 b90"},
    // several letters in one role, adjacent or not
    {"gsm,mh->gsh", "g2 s3 m4 h5"},
    {"gsm,gsh->mh", "g2 s3 m4 h5"},
    {"asbm,bmh->ahs", "a2 s3 b2 m4 h5"},
    {"akbl,lcdk->acbd", "a2 b3 c4 d2 k3 l5"},
    {"akbl,lcdk->dbca", "a2 b3 c4 d2 k3 l5"},
    {"klmn,nmlk->", "k2 l3 m4 n5"},
    {"abcdefgh,hgfedcba->", "a2 b2 c2 d2 e2 f2 g2 h2"},
    {"abcdefgh,abcdijkl->efghijkl", "a2 b1 c2 d2 e2 f3 g1 h2 i2 j2 k1 l2"},
    // Mixture-of-Experts
    {"gsm,me->gse", "g2 s5 m6 e4"},
    {"gsec,gsm->egcm", "g2 s5 e3 c4 m6"},
    {"gsec,egcm->gsm", "g2 s5 e3 c4 m6"},
    {"egcm,emh->egch", "g2 e3 c4 m6 h7"},
    {"egcm,egch->emh", "g2 e3 c4 m6 h7"},
    {"egch,emh->egcm", "g2 e3 c4 m6 h7"},
    {"gsec,gsm->egcm", "g2 s40 e4 c20 m33"},
    {"egcm,emh->egch", "g3 e4 c21 m32 h65"},
    // attention
    {"gsm,mhd->gshd", "g2 s5 m6 h2 d3"},
    {"gnlhd,gnkhd->gnhlk", "g2 n2 l5 k4 h2 d3"},
    {"gnhlk,gnkhd->gnlhd", "g2 n2 l5 k4 h2 d3"},
    {"gnhlk,gnlhd->gnkhd", "g2 n2 l5 k4 h2 d3"},
    {"gshd,hdm->gsm", "g2 s5 m6 h2 d3"},
    {"gnlhd,gnkhd->gnhlk", "g2 n3 l40 k37 h4 d16"},
    {"gnhlk,gnkhd->gnlhd", "g2 n3 l40 k37 h4 d16"},
    // letters of one operand alone, diagonals, repetition
    {"mkz,kn->mn", "m3 k4 n5 z6"},
    {"zmk,wkn->mn", "m3 k4 n5 z6 w2"},
    {"ab,c->", "a3 b4 c5"},
    {"iij,jk->ik", "i4 j3 k5"},
    {"iji,jk->ik", "i4 j3 k5"},
    {"ijj,jkk->ik", "i4 j3 k5"},
    {"iij,jk->ik", "i33 j31 k35"},
    {"ii,j->j", "i4 j3"},
    {"mk,kn->mxn", "m3 k4 n5 x2"},
    {"mk,kn->xnm", "m30 k40 n50 x2"},
    // extents of 1
    {"mk,kn->mn", "m1 k4 n5"},
    {"mk,kn->nm", "m3 k4 n1"},
    {"mk,kn->mn", "m3 k1 n5"},
    {"mk,kn->mn", "m1 k1 n1"},
    {"bmk,bkn->bmn", "b1 m4 k5 n2"},
    {"mkb,knb->mnb", "b1 m4 k5 n2"},
    {"gnlhd,gnkhd->gnhlk", "g1 n1 l5 k4 h1 d3"},
    // extents of 0: an empty result is left alone, an empty sum is zero
    {"mk,kn->mn", "m0 k4 n5"},
    {"mk,kn->mn", "m3 k4 n0"},
    {"mk,kn->mn", "m3 k0 n5"},
    {"bmk,bkn->bmn", "b0 m4 k5 n2"},
    {"egcm,emh->egch", "g2 e3 c0 m6 h7"},
    {"mkz,kn->mn", "m3 k4 n5 z0"},
    {"k,k->", "k0"},
    // one operand
    {"ab->ab", "a3 b4"},
    {"ab->ba", "a3 b4"},
    {"ab->ba", "a100 b67"},
    {"abcd->cadb", "a3 b4 c5 d6"},
    {"gnlhd->gnhld", "g2 n3 l20 h4 d16"},
    {"ab->a", "a3 b200"},
    {"ab->b", "a200 b3"},
    {"ab->", "a30 b20"},
    {"gsh->h", "g40 s50 h70"},
    {"gsh->hg", "g5 s11 h70"},
    {"abc->ca", "a9 b8 c7"},
    {"a->", "a100003"},
    {"->", ""},
    {"ii->i", "i5"},
    {"ii->", "i5"},
    {"iij->ji", "i4 j3"},
    {"b->ab", "a5 b7"},
    {"ab->acb", "a5 b7 c3"},
    {"ab->cb", "a5 b7 c3"},
    {"ab->a", "a3 b0"},
    {"ab->b", "a3 b0"},
    {"ab->ba", "a0 b3"},
};

}  // namespace

TEST_CASE("contractions equal loops over every letter: float") {
  for (Case const& row : cases) check<float>(row.subscripts, row.extents);
}

TEST_CASE("contractions equal loops over every letter: double") {
  for (Case const& row : cases) check<double>(row.subscripts, row.extents);
}

TEST_CASE("contractions equal loops over every letter: integers, by the plain kernels") {
  static_assert(!LocalGemm<HostSpace, std::int32_t>::available);
  for (Case const& row : cases) check<std::int32_t>(row.subscripts, row.extents);
}

namespace {

/// One einsum of literal values, in double.
std::vector<double> value_of(std::string const& subscripts, std::string const& extents, std::vector<double> const& a,
                             std::vector<double> const& b, std::vector<double> c, bool accumulate) {
  return computed<double>(Example(subscripts, extents), a, b, std::move(c), accumulate, false);
}

double const unset = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("an empty sum leaves an accumulated result alone and zeroes an assigned one") {
  CHECK(value_of("mk,kn->mn", "m2 k0 n2", {}, {}, {1, 2, 3, 4}, true) == std::vector<double>{1, 2, 3, 4});
  CHECK(value_of("mk,kn->mn", "m2 k0 n2", {}, {}, {1, 2, 3, 4}, false) == std::vector<double>{0, 0, 0, 0});
}

TEST_CASE("an assigned result is not read: NaN does not survive, nor when the sum is taken in pieces") {
  CHECK(value_of("ik,kj->ij", "i2 j2 k2", {1, 0, 0, 1}, {1, 0, 0, 1}, {unset, unset, unset, unset}, false) ==
        std::vector<double>{1, 0, 0, 1});
  // k and l are apart in the second operand, so one of them is a loop around the matrix products.
  Example const apart("ikl,kjl->ij", "i2 j2 k2 l2");
  std::vector<double> const ones(8, 1.0);
  CHECK(computed<double>(apart, {1, 2, 3, 4, 5, 6, 7, 8}, ones, std::vector<double>(4, unset), false, true) ==
        std::vector<double>{10, 10, 26, 26});
}

TEST_CASE("a transposed operand that is not square") {
  CHECK(value_of("km,kn->mn", "k3 m2 n2", {1, 2, 3, 4, 5, 6}, {1, 1, 1, 1, 1, 1}, {unset, unset, unset, unset},
                 false) == std::vector<double>{9, 9, 12, 12});
}

TEST_CASE("a batch letter beside a contraction of extent 2") {
  // T = [[1,2],[3,4]], G = [[1,1],[1,2]] with b = i = l = 1: 1*1 + 2*1 and 3*1 + 4*2.
  CHECK(value_of("rbij,rijl->rbl", "r2 b1 i1 j2 l1", {1, 2, 3, 4}, {1, 1, 1, 2}, {unset, unset}, false) ==
        std::vector<double>{3, 11});
}

TEST_CASE("a repeated letter that is not innermost") {
  std::vector<double> counting(12);
  std::iota(counting.begin(), counting.end(), 0.0);
  CHECK(value_of("iij->ij", "i2 j3", counting, {}, std::vector<double>(6, unset), false) ==
        std::vector<double>{0, 1, 2, 9, 10, 11});
  CHECK(value_of("iij->i", "i2 j3", counting, {}, {unset, unset}, false) == std::vector<double>{3, 30});
  CHECK(value_of("iij->j", "i2 j3", counting, {}, {unset, unset, unset}, false) == std::vector<double>{9, 11, 13});
}

TEST_CASE("an outer product whose operand's letters are apart in the result") {
  CHECK(value_of("ac,b->abc", "a2 b2 c2", {1, 2, 3, 4}, {10, 20}, std::vector<double>(8, unset), false) ==
        std::vector<double>{10, 20, 20, 40, 30, 40, 60, 80});
}

TEST_CASE("a vector on the first index") {
  CHECK(value_of("ij,i->j", "i2 j2", {1, 2, 3, 4}, {1, 1}, {unset, unset}, false) == std::vector<double>{4, 6});
}

TEST_CASE("accumulation with a transposed operand") {
  CHECK(value_of("mk,nk->mn", "m2 k3 n1", {1, 2, 3, 4, 5, 6}, {1, 0, 1}, {10, 20}, true) ==
        std::vector<double>{14, 30});
}

TEST_CASE("a rank-1 operand is a matrix of extent 1") {
  CHECK(value_of("k,kn->n", "k2 n3", {1, 10}, {1, 2, 3, 4, 5, 6}, {unset, unset, unset}, false) ==
        std::vector<double>{41, 52, 63});
  CHECK(value_of("k,l->kl", "k2 l2", {1, 2}, {3, 4}, {unset, unset, unset, unset}, false) ==
        std::vector<double>{3, 4, 6, 8});
}

// More shapes than the cache keeps, each one asked for twice, and all of them once more.
TEST_CASE("a lowering from the cache is the one that is computed") {
  LoweringCache cache;
  for (int round = 0; round < 2; ++round) {
    for (std::int64_t extent = 2; extent < 1000; ++extent) {
      Labels const a = labels("nlhd"), b = labels("nkhd"), c = labels("nhlk");
      std::map<char, std::int64_t> const sizes = {{'n', 2}, {'l', extent}, {'k', 3}, {'h', 2}, {'d', extent % 7 + 2}};
      Units const units = units_of(labelled_strides(a, extents_of(a, sizes)), labelled_strides(b, extents_of(b, sizes)),
                                   labelled_strides(c, extents_of(c, sizes)));
      Lowering const expected = lower(units, true);
      for (int call = 0; call < 2; ++call) {
        Lowering const& known = cache.lowering_of(units);
        bool const same = known.given == expected.given && known.packed == expected.packed &&
                          known.units == expected.units && known.m == expected.m && known.n == expected.n &&
                          known.k == expected.k && std::ranges::equal(known.permuted, expected.permuted) &&
                          known.direct == expected.direct;
        REQUIRE(same);
      }
    }
  }
}

TEST_CASE("a specialisation of LocalGemm takes the matrix products") {
  Example const einsum("egcm,emh->egch", "g2 e3 c4 m6 h7");
  auto const a = small_integers(einsum.size(einsum.a), 1);
  auto const b = small_integers(einsum.size(einsum.b), 2);
  std::vector<double> const zeros(static_cast<std::size_t>(einsum.size(einsum.c)), 0.0);
  auto const right = einsum.reference(a, b, zeros);
  products_seen = 0;
  auto const result = computed<Counted>(einsum, a, b, std::vector<Counted>(zeros.size()), false, true);
  CHECK(products_seen == 3);
  int differences = 0;
  for (std::size_t i = 0; i < right.size(); ++i) differences += static_cast<double>(result[i].value) != right[i];
  CHECK(differences == 0);
}

#if defined(GSHARD_HAVE_CBLAS)
TEST_CASE("a product beyond the library's integers is cut into blocks") {
  // The limit of 2^31 - 1 is lowered to 4.
  Example const einsum("mk,nk->mn", "m9 k10 n11");
  auto const a = small_integers(90, 1);
  auto const b = small_integers(110, 2);
  auto const right = einsum.reference(a, b, std::vector<double>(99, 0.0));
  std::vector<double> c(99, unset);
  GemmBatch<double> batch;
  batch.m = 9;
  batch.n = 11;
  batch.k = 10;
  batch.a = a.data();
  batch.a_row = 10;
  batch.a_column = 1;
  batch.b = b.data();
  batch.b_row = 1;
  batch.b_column = 10;
  batch.c = c.data();
  batch.c_row = 11;
  CblasGemm<double>::multiply(batch, 4);
  CHECK(c == right);
}

TEST_CASE("a stride beyond the library's integers is not handed to it") {
  std::vector<double> const a = {1, 2, 3};
  std::vector<double> const b = {4, 5, 6, 7, 8, 9};
  std::vector<double> c(2, unset);
  GemmBatch<double> batch;
  batch.m = 1;
  batch.n = 2;
  batch.k = 3;
  batch.a = a.data();
  batch.a_row = std::int64_t{1} << 32;
  batch.a_column = 1;
  batch.b = b.data();
  batch.b_row = 2;
  batch.b_column = 1;
  batch.c = c.data();
  CblasGemm<double>::multiply(batch);
  CHECK(c == std::vector<double>{40, 46});
}
#endif

// ---- strided copies

namespace {

struct CopyCase {
  Extents extents;
  Extents destination_strides;
  Extents source_strides;
};

std::int64_t span(Extents const& extents, Extents const& strides) {
  std::int64_t last = 0;
  for (int i = 0; i < extents.size(); ++i) last += (extents[i] - 1) * strides[i];
  return product(extents) == 0 ? 0 : last + 1;
}

CopyCase const copy_cases[] = {
    {{}, {}, {}},                    // one element
    {{7}, {1}, {1}},                 // a row
    {{300001}, {1}, {1}},            // a row in several pieces
    {{7}, {3}, {2}},                 // strided on both sides
    {{7}, {1}, {0}},                 // repeated
    {{3, 4}, {4, 1}, {4, 1}},        // two dimensions that are one
    {{3, 4}, {10, 1}, {7, 1}},       // a box in larger blocks
    {{2000, 70}, {80, 1}, {90, 1}},  // many rows
    {{3, 4}, {4, 1}, {1, 3}},        // a transpose
    {{16, 16}, {16, 1}, {1, 16}},    // one whole tile
    {{33, 18}, {18, 1}, {1, 33}},    // whole and partial tiles, and in several bands
    {{300, 170}, {170, 1}, {1, 300}},
    {{2, 3000}, {3000, 1}, {1, 2}},  // long and thin
    {{3000, 2}, {2, 1}, {1, 3000}},
    {{17, 19}, {1, 17}, {19, 1}},                    // dimensions given in the source's order
    {{4, 5, 6}, {30, 6, 1}, {1, 4, 20}},             // all reversed
    {{4, 5, 6}, {30, 6, 1}, {6, 24, 1}},             // rows permuted
    {{20, 30, 40}, {1200, 40, 1}, {1, 800, 20}},     // rotated
    {{20, 30, 40}, {2400, 80, 2}, {1, 800, 20}},     // rotated, with gaps
    {{1, 5, 1, 6}, {999, 6, 777, 1}, {0, 6, 0, 1}},  // extents of 1, whatever their strides
    {{5, 6, 7}, {42, 7, 1}, {0, 7, 1}},              // a block repeated
    {{5, 6, 7}, {42, 7, 1}, {6, 1, 0}},              // each element repeated
    {{2, 2, 2, 2, 2, 2, 2, 2}, {128, 64, 32, 16, 8, 4, 2, 1}, {1, 2, 4, 8, 16, 32, 64, 128}},
    {{0}, {1}, {1}},  // nothing
    {{3, 0, 2}, {0, 2, 1}, {0, 2, 1}},
};

template <class T>
void check_copy(CopyCase const& row) {
  INFO("extents ", text_of(row.extents), " to strides ", text_of(row.destination_strides), " from ",
       text_of(row.source_strides));
  std::vector<T> const source = converted<T>(small_integers(span(row.extents, row.source_strides), 1));
  std::vector<T> const before = converted<T>(small_integers(span(row.extents, row.destination_strides), 2));
  std::vector<T> assigned = before;
  std::vector<T> added = before;
  Extents const packed = packed_strides(row.extents);
  for (std::int64_t i = 0; i < product(row.extents); ++i) {
    std::int64_t to = 0;
    std::int64_t from = 0;
    for (int d = 0; d < row.extents.size(); ++d) {
      std::int64_t const at = i / packed[d] % row.extents[d];
      to += at * row.destination_strides[d];
      from += at * row.source_strides[d];
    }
    assigned[static_cast<std::size_t>(to)] = source[static_cast<std::size_t>(from)];
    added[static_cast<std::size_t>(to)] = before[static_cast<std::size_t>(to)] + source[static_cast<std::size_t>(from)];
  }
  std::vector<T> result = before;
  copy_strided<T, HostSpace>(result.data(), row.destination_strides, source.data(), row.source_strides, row.extents);
  CHECK(result == assigned);
  result = before;
  add_strided<T, HostSpace>(result.data(), row.destination_strides, source.data(), row.source_strides, row.extents);
  CHECK(result == added);
}

}  // namespace

TEST_CASE("strided copies move each element to its place and nothing else") {
  for (CopyCase const& row : copy_cases) {
    check_copy<float>(row);
    check_copy<double>(row);
    check_copy<std::int32_t>(row);
  }
}

TEST_CASE("the kernel of devices moves the same elements") {
  for (CopyCase const& row : copy_cases) {
    if (product(row.extents) == 0) continue;
    INFO("extents ", text_of(row.extents), " to strides ", text_of(row.destination_strides), " from ",
         text_of(row.source_strides));
    std::vector<double> const source = small_integers(span(row.extents, row.source_strides), 1);
    std::vector<double> expected(static_cast<std::size_t>(span(row.extents, row.destination_strides)), -1);
    std::vector<double> result = expected;
    copy_strided<double, HostSpace>(expected.data(), row.destination_strides, source.data(), row.source_strides,
                                    row.extents);
    LoopNest<2> loops;
    for (int i = 0; i < row.extents.size(); ++i)
      loops.push_inner(row.extents[i], {row.destination_strides[i], row.source_strides[i]});
    CopyElements<double, HostSpace, false> const kernel{result.data(), source.data(), coalesce(loops)};
    for (std::int64_t i = 0; i < kernel.loops.count(); ++i) kernel(i);
    CHECK(result == expected);
  }
}

TEST_CASE("the kernel of devices contracts like that of hosts") {
  for (Case const& row : cases) {
    Example const einsum(row.subscripts, row.extents);
    if (!einsum.binary || einsum.size(einsum.a) == 0 || einsum.size(einsum.b) == 0 || einsum.size(einsum.c) == 0)
      continue;
    INFO(row.subscripts, " with ", row.extents);
    auto const a = small_integers(einsum.size(einsum.a), 1);
    auto const b = small_integers(einsum.size(einsum.b), 2);
    std::vector<double> const zeros(static_cast<std::size_t>(einsum.size(einsum.c)), 0.0);
    std::vector<double> result(zeros.size(), unset);
    Units const units = fuse(units_of(labelled_strides(einsum.a, extents_of(einsum.a, einsum.sizes)),
                                      labelled_strides(einsum.b, extents_of(einsum.b, einsum.sizes)),
                                      labelled_strides(einsum.c, extents_of(einsum.c, einsum.sizes))));
    bool dot = false;
    DirectElements<double, HostSpace, true> const kernel{
        direct_loops<double, true>(units, a.data(), b.data(), result.data(), false, false, dot)};
    for (std::int64_t i = 0; i < kernel.loops.outputs.count() * kernel.loops.width; ++i) kernel(i);
    CHECK(result == einsum.reference(a, b, zeros));
  }
}

TEST_CASE("copy_block moves a box between two blocks") {
  std::vector<int> source(20);
  std::iota(source.begin(), source.end(), 0);
  std::vector<int> destination(9, -1);
  copy_block<int, HostSpace>(destination.data(), {3, 3}, {1, 0}, source.data(), {4, 5}, {2, 3}, {2, 2});
  CHECK(destination == std::vector<int>{-1, -1, -1, 13, 14, -1, 18, 19, -1});
  copy_block<int, HostSpace>(destination.data(), {3, 3}, {3, 0}, nullptr, {0, 3}, {0, 0}, {0, 3});
  CHECK(destination == std::vector<int>{-1, -1, -1, 13, 14, -1, 18, 19, -1});
}
