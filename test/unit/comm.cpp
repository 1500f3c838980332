// SPDX-License-Identifier: Apache-2.0
// Collectives on groups of ranks against what each rank can compute by itself: even, uneven and zero counts, null
// buffers, and messages in pieces.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include <gshard/comm.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
using Values = std::vector<double>;
using Counts = std::vector<std::int64_t>;

/// No message in pieces; one element a message; a few.
std::int64_t const limits[] = {comm::largest_count, 1, 3};

constexpr double guard = -1234.5;

/// What rank `from` sends to rank `to`, element `index`.
double element(int from, int to, std::int64_t index) {
  return 10000.0 * from + 100.0 * to + static_cast<double>(index);
}

/// What rank `of` gives to a product: a small integer.
double factor(int of, std::int64_t index) { return static_cast<double>((of + index) % 5 - 2.5) * 2; }

/// Counts by rank: the same for all; different; none on most ranks; none at all.
std::vector<Counts> counts_of(int size) {
  std::vector<Counts> cases(4, Counts(static_cast<std::size_t>(size), 0));
  for (int r = 0; r < size; ++r) {
    auto const i = static_cast<std::size_t>(r);
    cases[0][i] = 4;
    cases[1][i] = (size - r) * 2 - 1;
    cases[2][i] = r == size / 2 ? 5 : 0;
  }
  return cases;
}

/// A buffer of `count` elements with guards behind; a null pointer where there is nothing to hold.
struct Buffer {
  Values values;
  std::int64_t count;
  explicit Buffer(std::int64_t elements) : values(static_cast<std::size_t>(elements) + 3, guard), count(elements) {}
  double* data() { return count == 0 ? nullptr : values.data(); }
  Values elements() const { return Values(values.begin(), values.end() - 3); }
  bool guards_untouched() const { return Values(values.end() - 3, values.end()) == Values(3, guard); }
};

/// Runs `check(group, ranks of the world in the group)` on all ranks, and on the rows and columns of every mesh of two
/// axes.
template <class Check>
void on_groups(Check const& check) {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    check(mesh.group<"x">());
    check(mesh.group<"y">());
    check(mesh.group<"x", "y">());
  }
}

template <class Action>
std::string refusal(Action const& action) {
  try {
    action();
  } catch (CommunicationError const& error) {
    return error.what();
  }
  return "nothing thrown";
}

void check_mentions(std::string const& text, std::initializer_list<std::string> parts) {
  for (std::string const& part : parts)
    CHECK_MESSAGE(text.find(part) != std::string::npos, "'", part, "' is not in: ", text);
}

}  // namespace

TEST_CASE("all_reduce: sum, product, maximum, minimum") {
  on_groups([](Group const& group) {
    for (std::int64_t limit : limits)
      for (std::int64_t count : {0, 1, 7}) {
        Buffer sum(count), product(count), largest(count), smallest(count);
        Values sums, products, maxima, minima;
        for (std::int64_t i = 0; i < count; ++i) {
          sum.data()[i] = largest.data()[i] = smallest.data()[i] = element(group.rank, 0, i);
          product.data()[i] = factor(group.rank, i);
          double total = 0, factors = 1;
          for (int r = 0; r < group.size; ++r) {
            total += element(r, 0, i);
            factors *= factor(r, i);
          }
          sums.push_back(total);
          products.push_back(factors);
          maxima.push_back(element(group.size - 1, 0, i));
          minima.push_back(element(0, 0, i));
        }
        comm::all_reduce(group, sum.data(), count, comm::Reduction::sum, limit);
        comm::all_reduce(group, product.data(), count, comm::Reduction::product, limit);
        comm::all_reduce(group, largest.data(), count, comm::Reduction::maximum, limit);
        comm::all_reduce(group, smallest.data(), count, comm::Reduction::minimum, limit);
        CHECK(sum.elements() == sums);
        CHECK(product.elements() == products);
        CHECK(largest.elements() == maxima);
        CHECK(smallest.elements() == minima);
        CHECK(sum.guards_untouched());
      }
  });
}

TEST_CASE("all_reduce: a maximum or minimum is NaN where a rank has NaN, whichever rank that is") {
  auto const check = []<class T>(Group const& group, T) {
    T const nan = std::numeric_limits<T>::quiet_NaN();
    T const infinity = std::numeric_limits<T>::infinity();
    T const tiny = std::numeric_limits<T>::denorm_min();
    for (int owner = 0; owner < group.size; ++owner) {
      // What the owner has among the others' numbers, which are all `rest`; then the maximum and the minimum.
      struct Case {
        T own, rest, maximum, minimum;
      };
      Case const cases[] = {{nan, 1, nan, nan},           {-nan, infinity, nan, nan},
                            {nan, -infinity, nan, nan},   {-infinity, -infinity, -infinity, -infinity},
                            {-infinity, 2, 2, -infinity}, {infinity, -3, infinity, -3},
                            {-1.5, -0.25, -0.25, -1.5},   {-tiny, 0, 0, -tiny},
                            {tiny, -tiny, tiny, -tiny}};
      std::vector<T> largest;
      for (Case const& c : cases) largest.push_back(group.rank == owner ? c.own : c.rest);
      std::vector<T> smallest = largest;
      comm::all_reduce(group, largest.data(), std::ssize(largest), comm::Reduction::maximum);
      comm::all_reduce(group, smallest.data(), std::ssize(smallest), comm::Reduction::minimum);
      auto const same = [](T left, T right) { return left == right || (left != left && right != right); };
      for (std::size_t i = 0; i < std::size(cases); ++i) {
        INFO("case ", i, ", owner ", owner, ", group of ", group.size);
        CHECK(same(largest[i], group.size == 1 ? cases[i].own : cases[i].maximum));
        CHECK(same(smallest[i], group.size == 1 ? cases[i].own : cases[i].minimum));
      }
    }
  };
  on_groups([&](Group const& group) {
    check(group, 1.0F);
    check(group, 1.0);
  });
}

namespace {

/// A number and where it comes from, combined to the larger one, and of equals to the first.
struct Found {
  double value;
  std::int64_t from;
};
struct LargerFound {
  static void combine(Found& into, Found const& other) {
    if (other.value > into.value || (other.value == into.value && other.from < into.from)) into = other;
  }
};

}  // namespace

TEST_CASE("all_reduce_by: pairs, by a rule of one's own") {
  on_groups([](Group const& group) {
    for (std::int64_t limit : limits)
      for (std::int64_t count : {0, 1, 7}) {
        std::vector<Found> found;
        // Two ranks have the largest number of each element, where there are as many.
        for (std::int64_t i = 0; i < count; ++i)
          found.push_back({(group.rank + i) % group.size >= group.size - 2 ? 5.0 : 1.0 + group.rank % 2, group.rank});
        comm::all_reduce_by<LargerFound>(group, found.data(), count, limit);
        for (std::int64_t i = 0; i < count; ++i) {
          std::int64_t first = 0;
          while ((first + i) % group.size < group.size - 2) ++first;
          CHECK(found[static_cast<std::size_t>(i)].value == 5);
          CHECK(found[static_cast<std::size_t>(i)].from == first);
        }
        CHECK(static_cast<std::int64_t>(found.size()) == count);
      }
  });
}

TEST_CASE("all_gather") {
  on_groups([](Group const& group) {
    for (Counts const& counts : counts_of(group.size))
      for (std::int64_t limit : limits) {
        Buffer send(counts[static_cast<std::size_t>(group.rank)]);
        for (std::int64_t i = 0; i < send.count; ++i) send.data()[i] = element(group.rank, 0, i);
        Values expected;
        for (int r = 0; r < group.size; ++r)
          for (std::int64_t i = 0; i < counts[static_cast<std::size_t>(r)]; ++i) expected.push_back(element(r, 0, i));
        Buffer receive(static_cast<std::int64_t>(expected.size()));
        comm::all_gather(group, std::as_const(send).values.size() > 3 ? send.data() : nullptr, receive.data(), counts,
                         limit);
        CHECK(receive.elements() == expected);
        CHECK(receive.guards_untouched());
      }
  });
}

TEST_CASE("all_gather: the ledger counts one all-gather, whatever number of MPI calls it takes") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Group const& group = mesh.state().group(AxisSet{3});
  Counts const counts(static_cast<std::size_t>(group.size), 5);
  Values const send(5, 1);
  Values receive(static_cast<std::size_t>(5 * group.size));
  Ledger& ledger = runtime().ledger();
  for (std::int64_t limit : limits) {
    ledger.clear();
    ledger.open();
    comm::all_gather(group, send.data(), receive.data(), counts, limit);
    ledger.close();
    REQUIRE(ledger.traffic().size() == (group.size > 1 ? 1 : 0));
    for (Ledger::Traffic const& entry : ledger.traffic()) {
      CHECK(entry.collective == Collective::all_gather);
      CHECK(entry.calls == 1);
      CHECK(entry.bytes == 5 * 8 * (group.size - 1));
    }
  }
  ledger.clear();
}

TEST_CASE("reduce_scatter: nothing is written behind the part") {
  on_groups([](Group const& group) {
    for (Counts const& counts : counts_of(group.size))
      for (std::int64_t limit : limits) {
        Buffer send(comm::detail::total(counts));
        std::int64_t position = 0;
        for (int to = 0; to < group.size; ++to)
          for (std::int64_t i = 0; i < counts[static_cast<std::size_t>(to)]; ++i)
            send.data()[position++] = element(group.rank, to, i);
        Buffer receive(counts[static_cast<std::size_t>(group.rank)]);
        Values expected;
        for (std::int64_t i = 0; i < receive.count; ++i) {
          double total = 0;
          for (int from = 0; from < group.size; ++from) total += element(from, group.rank, i);
          expected.push_back(total);
        }
        comm::reduce_scatter<double>(group, send.data(), receive.data(), counts, limit);
        CHECK(receive.elements() == expected);
        CHECK(receive.guards_untouched());
      }
  });
}

TEST_CASE("all_to_all: rank a sends rank b as many elements as a table says") {
  auto const tables = {
      +[](int, int) { return std::int64_t{2}; },                                     // even
      +[](int from, int to) { return std::int64_t{(from * 3 + to * 5) % 4}; },       // uneven, zeros among them
      +[](int from, int to) { return std::int64_t{from == 0 && to == 0 ? 1 : 0}; },  // one element to itself
      +[](int, int) { return std::int64_t{0}; },                                     // nothing
  };
  on_groups([&](Group const& group) {
    for (auto const table : tables)
      for (std::int64_t limit : limits) {
        Counts sent, received;
        Values outgoing, expected;
        for (int peer = 0; peer < group.size; ++peer) {
          sent.push_back(table(group.rank, peer));
          received.push_back(table(peer, group.rank));
          for (std::int64_t i = 0; i < sent.back(); ++i) outgoing.push_back(element(group.rank, peer, i));
          for (std::int64_t i = 0; i < received.back(); ++i) expected.push_back(element(peer, group.rank, i));
        }
        Buffer send(static_cast<std::int64_t>(outgoing.size()));
        std::copy(outgoing.begin(), outgoing.end(), send.values.begin());
        Buffer receive(static_cast<std::int64_t>(expected.size()));
        comm::all_to_all<double>(group, send.data(), comm::Parts(sent), receive.data(), comm::Parts(received),
                                 4 * group.size, limit);
        CHECK(receive.elements() == expected);
        CHECK(receive.guards_untouched());
      }
  });
}

TEST_CASE("permute: a ring, a shift with ends, and nobody") {
  on_groups([](Group const& group) {
    for (std::int64_t limit : limits)
      for (std::int64_t count : {0, 5}) {
        int const next = (group.rank + 1) % group.size;
        int const last = (group.rank + group.size - 1) % group.size;
        Buffer send(count);
        for (std::int64_t i = 0; i < count; ++i) send.data()[i] = element(group.rank, 0, i);
        Values from_last;
        for (std::int64_t i = 0; i < count; ++i) from_last.push_back(element(last, 0, i));

        Buffer ring(count);
        comm::permute<double>(group, send.data(), count, next, ring.data(), count, last, limit);
        CHECK(ring.elements() == from_last);
        CHECK(ring.guards_untouched());

        Buffer shifted(count);
        bool const is_first = group.rank == 0;
        bool const is_last = group.rank == group.size - 1;
        comm::permute<double>(group, send.data(), count, is_last ? comm::no_rank : next, shifted.data(), count,
                              is_first ? comm::no_rank : last, limit);
        CHECK(shifted.elements() == (is_first ? Values(static_cast<std::size_t>(count), guard) : from_last));
      }
  });
}

TEST_CASE("a permute that is under way: what is computed meanwhile does not wait for it") {
  on_groups([](Group const& group) {
    for (std::int64_t limit : limits) {
      int const next = (group.rank + 1) % group.size;
      int const last = (group.rank + group.size - 1) % group.size;
      Values const own(5, static_cast<double>(group.rank));
      Values received(5, -1);
      comm::Pending pending = comm::start_permute<double>(group, own.data(), 5, next, received.data(), 5, last, limit);
      double sum = 0;
      for (double value : own) sum += value;
      comm::Pending moved = std::move(pending);
      pending.wait();
      moved.wait();
      moved.wait();
      CHECK(received == Values(5, static_cast<double>(last)));
      CHECK(sum == 5.0 * group.rank);
      {
        comm::Pending const ended_with_its_scope =
            comm::start_permute<double>(group, own.data(), 5, last, received.data(), 5, next, limit);
      }
      CHECK(received == Values(5, static_cast<double>(next)));
    }
  });
}

TEST_CASE("other element types") {
  Line const mesh(runtime(), {ranks()});
  auto check = [&]<class T>(T one) {
    comm::all_reduce(mesh.group<"x">(), &one, 1);
    CHECK(one == static_cast<T>(ranks()));
  };
  check(1.0F);
  check(1.0);
  check(std::int32_t{1});
  check(std::int64_t{1});
  check(std::uint32_t{1});
  check(std::uint64_t{1});
  check(std::int8_t{1});
  check(std::uint8_t{1});
}

TEST_CASE("G4: a long message goes in pieces that add up, with 64-bit offsets") {
  std::int64_t const count = (std::int64_t{1} << 31) + 5;
  std::vector<std::pair<std::int64_t, int>> pieces;
  comm::detail::in_pieces(count, comm::largest_count,
                          [&](std::int64_t offset, int piece) { pieces.emplace_back(offset, piece); });
  CHECK(pieces == std::vector<std::pair<std::int64_t, int>>{{0, 2147483647}, {2147483647, 6}});
  CHECK(comm::Parts(Counts{1500000000, 1500000000, 1500000000}).offsets == Counts{0, 1500000000, 3000000000});
  CHECK(comm::Parts(Counts{1500000000, 1500000000, 1500000000}).extent() == 4500000000);
  CHECK(comm::detail::total({1500000000, 1500000000, 1500000000}) == 4500000000);
}

TEST_CASE("G1: one element from one rank to itself is no barrier, and arrives") {
  Line const mesh(runtime(), {ranks()});
  int const chosen = std::min(1, ranks() - 1);
  Counts counts(static_cast<std::size_t>(ranks()), 0);
  if (rank() == chosen) counts[static_cast<std::size_t>(chosen)] = 1;
  double const sent = 7.5;
  double received = 0;
  comm::all_to_all<double>(mesh.group<"x">(), &sent, comm::Parts(counts), &received, comm::Parts(counts), 1);
  CHECK(received == (rank() == chosen ? 7.5 : 0));
}

TEST_CASE("G2: nothing, from null pointers") {
  Line const mesh(runtime(), {ranks()});
  Group const& group = mesh.group<"x">();
  double* const none = nullptr;
  Counts const zeros(static_cast<std::size_t>(ranks()), 0);
  CHECK_NOTHROW(comm::all_reduce(group, none, 0));
  CHECK_NOTHROW(comm::all_gather<double>(group, none, none, zeros));
  CHECK_NOTHROW(comm::reduce_scatter<double>(group, none, none, zeros));
  CHECK_NOTHROW(comm::all_to_all<double>(group, none, comm::Parts(zeros), none, comm::Parts(zeros), 0));
  CHECK_NOTHROW(
      comm::permute<double>(group, none, 0, (rank() + 1) % ranks(), none, 0, (rank() + ranks() - 1) % ranks()));
  ShardedTensor<Line, Spec<"x", _>, double> const empty(mesh, {0, 3});
  CHECK(empty.data() == nullptr);
  CHECK(reshard<Spec<_, "x">>(empty).local_size() == 0);
}

TEST_CASE("G3: 2 elements, 1, and none gathered") {
  Line const mesh(runtime(), {ranks()});
  Counts counts;
  Values expected;
  for (int r = 0; r < ranks(); ++r) {
    counts.push_back(std::max(0, 2 - r));
    for (std::int64_t i = 0; i < counts.back(); ++i) expected.push_back(element(r, 0, i));
  }
  Buffer send(counts[static_cast<std::size_t>(rank())]);
  for (std::int64_t i = 0; i < send.count; ++i) send.data()[i] = element(rank(), 0, i);
  Buffer receive(static_cast<std::int64_t>(expected.size()));
  comm::all_gather<double>(mesh.group<"x">(), send.data(), receive.data(), counts);
  CHECK(receive.elements() == expected);
  CHECK(receive.guards_untouched());
}

TEST_CASE("G5: a sum of ones scattered, one element for each rank") {
  Line const mesh(runtime(), {ranks()});
  Buffer send(ranks());
  std::fill_n(send.data(), ranks(), 1.0);
  Buffer receive(1);
  comm::reduce_scatter<double>(mesh.group<"x">(), send.data(), receive.data(),
                               Counts(static_cast<std::size_t>(ranks()), 1));
  CHECK(receive.elements() == Values{static_cast<double>(ranks())});
  CHECK(receive.guards_untouched());
}

// ---- What is refused before anything is sent, on every rank

TEST_CASE("counts that do not fit the group") {
  Line const mesh(runtime(), {ranks()});
  Group const& group = mesh.group<"x">();
  Counts const too_many(static_cast<std::size_t>(ranks()) + 1, 1);
  Values data(64);
  std::string const given = std::to_string(ranks() + 1) + " counts";
  std::string const wanted = "group of " + std::to_string(ranks());
  check_mentions(refusal([&] { comm::all_gather<double>(group, data.data(), data.data(), too_many); }),
                 {"all_gather", given, wanted});
  check_mentions(refusal([&] { comm::reduce_scatter<double>(group, data.data(), data.data(), too_many); }),
                 {"reduce_scatter", given, wanted});
  check_mentions(refusal([&] {
                   comm::all_to_all<double>(group, data.data(), comm::Parts(too_many), data.data(),
                                            comm::Parts(too_many), 64);
                 }),
                 {"all_to_all (sent)", given, wanted});
}

TEST_CASE("negative counts") {
  Line const mesh(runtime(), {ranks()});
  Counts counts(static_cast<std::size_t>(ranks()), 1);
  counts.back() = -3;
  Values data(64);
  std::string const where = "count -3 for rank " + std::to_string(ranks() - 1);
  check_mentions(refusal([&] { comm::all_gather<double>(mesh.group<"x">(), data.data(), data.data(), counts); }),
                 {"all_gather", where});
  check_mentions(refusal([&] { comm::reduce_scatter<double>(mesh.group<"x">(), data.data(), data.data(), counts); }),
                 {"reduce_scatter", where});
}

TEST_CASE("an exchange with oneself that does not match, and buffers beyond the bound") {
  Line const mesh(runtime(), {ranks()});
  Values data(64);
  Counts const ones(static_cast<std::size_t>(ranks()), 1);
  Counts const twos(static_cast<std::size_t>(ranks()), 2);
  check_mentions(refusal([&] {
                   comm::all_to_all<double>(mesh.group<"x">(), data.data(), comm::Parts(ones), data.data(),
                                            comm::Parts(twos), 64);
                 }),
                 {"sends itself 1 elements but expects 2", "rank " + std::to_string(rank())});
  check_mentions(refusal([&] {
                   comm::all_to_all<double>(mesh.group<"x">(), data.data(), comm::Parts(twos), data.data(),
                                            comm::Parts(twos), 1);
                 }),
                 {std::to_string(2 * ranks()) + " elements", "bound 1"});
}

TEST_CASE("parts without their offsets, or with negative ones") {
  Line const mesh(runtime(), {ranks()});
  Values data(64);
  Counts const ones(static_cast<std::size_t>(ranks()), 1);
  comm::Parts parts(ones);
  parts.offsets.pop_back();
  auto const exchange = [&] {
    comm::all_to_all<double>(mesh.group<"x">(), data.data(), comm::Parts(ones), data.data(), parts, 64);
  };
  check_mentions(refusal(exchange), {"all_to_all (received)", std::to_string(ranks() - 1) + " offsets"});
  parts.offsets.push_back(-1);
  check_mentions(refusal(exchange), {"all_to_all (received)", "offset -1"});
}

TEST_CASE("a partner that is not in the group") {
  Line const mesh(runtime(), {ranks()});
  double value = 0;
  check_mentions(
      refusal([&] { comm::permute<double>(mesh.group<"x">(), &value, 1, ranks(), &value, 1, comm::no_rank); }),
      {"partner " + std::to_string(ranks()), "group of " + std::to_string(ranks())});
}

// ---- Ranks that disagree, found before a message is sent, where the runtime was told to look

namespace {

/// A mesh whose collectives are checked.
struct Checked {
  mutable Runtime runtime{test::runtime().communicator()};
  Line mesh;
  explicit Checked(double seconds = 60) {
    runtime.check_communication(true, std::chrono::duration<double>(seconds));
    mesh = Line(runtime, {ranks()});
  }
  Group const& group() const { return mesh.group<"x">(); }
};

/// The text of the refusal without the lines of this file, which is the same on all ranks.
std::string refusal_on_all(std::function<void()> const& action) {
  std::string text = refusal(action);
  std::string::size_type place = 0;
  while ((place = text.find("comm.cpp:", place)) != std::string::npos) {
    place += 9;
    text.erase(place, text.find_first_not_of("0123456789", place) - place);
  }
  return text;
}

}  // namespace

TEST_CASE("G16: what one rank sends is what the other expects, or all ranks throw, naming the pair") {
  Checked const checked;
  Values from(16, 1.0), to(16);
  auto const count = static_cast<std::size_t>(ranks());
  // Rank 0 scatters 2 elements to itself and 1 to the others.
  Counts sent(count, 0), received(count, 0);
  if (rank() == 0) sent.assign(count, 1);
  if (rank() == 0) sent[0] = 2;
  received[0] = rank() == 0 ? 2 : 1;
  auto const exchange = [&] {
    comm::all_to_all<double>(checked.group(), from.data(), comm::Parts(sent), to.data(), comm::Parts(received), 16);
  };
  exchange();
  CHECK(to[0] == 1.0);
  if (ranks() == 1) return;
  // The last rank expects 2 as well.
  if (rank() == ranks() - 1) received[0] = 2;
  std::string const last = std::to_string(ranks() - 1);
  CHECK(refusal_on_all(exchange) == "all_to_all of double at unit/comm.cpp: over \"x\": member 0 of a group of " +
                                        std::to_string(ranks()) + " sends 1 elements to member " + last +
                                        ", which expects 2");
}

TEST_CASE("counts that the ranks disagree about") {
  Checked const checked;
  Group const& group = checked.group();
  Values from(16, 1.0), to(64);
  Counts const agreed(static_cast<std::size_t>(ranks()), 2);
  comm::all_gather<double>(group, from.data(), to.data(), agreed);
  comm::all_reduce(group, to.data(), 3);
  CHECK(to[0] == ranks());
  if (ranks() == 1) return;
  std::string const all = " at unit/comm.cpp: over \"x\": the members of a group of " + std::to_string(ranks()) +
                          " disagree about number 0 of their ";
  Counts counts = agreed;
  if (rank() == 1) counts[0] = 1;
  std::string const which = all + std::to_string(ranks()) + " counts: member 0 gives 2, member 1 1";
  CHECK(refusal_on_all([&] { comm::all_gather<double>(group, from.data(), to.data(), counts); }) ==
        "all_gather of double" + which);
  CHECK(refusal_on_all([&] { comm::reduce_scatter<double>(group, to.data(), from.data(), counts); }) ==
        "reduce_scatter of double" + which);
  CHECK(refusal_on_all([&] { comm::all_reduce(group, to.data(), rank() == 0 ? 5 : 4); }) ==
        "all_reduce (sum) of double" + all + "1 counts: member 0 gives 5, member 1 4");
  // All send 1 element to the next rank; rank 0 forgets to receive.
  int const next = (rank() + 1) % ranks();
  int const source = rank() == 0 ? comm::no_rank : rank() - 1;
  CHECK(refusal_on_all([&] { comm::permute<double>(group, from.data(), 1, next, to.data(), 1, source); }) ==
        "permute of double at unit/comm.cpp: over \"x\": member " + std::to_string(ranks() - 1) + " of a group of " +
            std::to_string(ranks()) + " sends 1 elements to member 0, which expects 0");
  // One rank takes another bound.
  auto const exchange = [&] {
    comm::all_to_all<double>(group, from.data(), comm::Parts(agreed), to.data(), comm::Parts(agreed),
                             rank() == 1 ? 63 : 64);
  };
  CHECK(refusal_on_all(exchange) == "all_to_all of double at unit/comm.cpp: over \"x\": the members of a group of " +
                                        std::to_string(ranks()) + " give different bounds: member 0 64, member 1 63");
  // After each refusal nothing is left over: the next collective works.
  to[0] = 1;
  comm::all_reduce(group, to.data(), 1);
  CHECK(to[0] == ranks());
}

TEST_CASE("ranks in different collectives, reductions, element types, places of the program: both sides are named") {
  if (ranks() == 1) {
    CHECK(Checked().group().size == 1);
    return;
  }
  Checked const checked;
  Group const& group = checked.group();
  bool const is_last = rank() == ranks() - 1;
  Values from(16, 1.0), to(64);
  std::vector<float> floats(16);
  Counts const counts(static_cast<std::size_t>(ranks()), 2);
  std::string const start =
      "check_communication: the ranks of a group of " + std::to_string(ranks()) + " enter different collectives: ";
  std::string const end = "; all of them have to call the same operations in the same order";
  std::string const place = " at unit/comm.cpp: over \"x\"";
  auto const both = [&](std::string const& first, std::string const& last) {
    return start + "member 0 " + first + place + ", member " + std::to_string(ranks() - 1) + " " + last + place + end;
  };
  CHECK(refusal_on_all([&] {
          if (is_last) comm::all_gather<double>(group, from.data(), to.data(), counts);
          else comm::all_reduce(group, to.data(), 2);
        }) == both("all_reduce (sum) of double", "all_gather of double"));
  CHECK(refusal_on_all([&] {
          comm::all_reduce(group, to.data(), 2, is_last ? comm::Reduction::maximum : comm::Reduction::minimum);
        }) == both("all_reduce (minimum) of double", "all_reduce (maximum) of double"));
  CHECK(refusal_on_all([&] {
          if (is_last) comm::all_reduce(group, floats.data(), 4);
          else comm::all_reduce(group, to.data(), 2);
        }) == both("all_reduce (sum) of double", "all_reduce (sum) of float"));
  int const line = __LINE__;
  auto const from_two_places = [&] {
    if (is_last) comm::all_reduce(group, to.data(), 2);
    else comm::all_reduce(group, to.data(), 2);
  };
  std::string const sum = " all_reduce (sum) of double at unit/comm.cpp:";
  CHECK(refusal(from_two_places) == start + "member 0" + sum + std::to_string(line + 3) + " over \"x\", member " +
                                        std::to_string(ranks() - 1) + sum + std::to_string(line + 2) + " over \"x\"" +
                                        end);
}

TEST_CASE("the operations and the program's own regions that a rank is in are named, and may differ") {
  Checked const checked;
  Kokkos::Profiling::ScopedRegion const own("layer " + std::to_string(rank()));
  double value = 1;
  CHECK_NOTHROW(comm::all_reduce(checked.group(), &value, 1));
  if (ranks() == 1) return;
  ShardedTensor<Line, Spec<"x">, double> const x(checked.mesh, {6});
  std::string const text = refusal([&] {
    if (rank() == ranks() - 1) replicate(x);
    else comm::all_reduce(checked.group(), &value, 1);
  });
  check_mentions(text, {" in layer 0 over", " in layer " + std::to_string(ranks() - 1) + " > gshard::reshard over"});
}

TEST_CASE("ranks that make different meshes") {
  Runtime checked(runtime().communicator());
  checked.check_communication();
  std::array<int, 2> const sizes = rank() == 0 ? std::array{ranks(), 1} : std::array{1, ranks()};
  std::string const text = refusal([&] { TwoAxes(checked, sizes); });
  if (ranks() == 1) CHECK(text == "nothing thrown");
  else
    check_mentions(text, {"rank 0 Mesh (x=" + std::to_string(ranks()) + ", y=1)",
                          "rank 1 Mesh (x=1, y=" + std::to_string(ranks()) + ")"});
  if (ranks() == 1) return;
  RankOrder order = RankOrder::zigzag(ranks());
  if (rank() == 1) std::swap(order.ranks[0], order.ranks[1]);
  check_mentions(refusal([&] { Line(checked, {ranks()}, order); }), {"with the same rank order"});
}

TEST_CASE("a rank skips a collective and waits elsewhere: after the time limit all say where each rank waits") {
  if (ranks() == 1) {
    CHECK(Checked().group().size == 1);
    return;
  }
  Checked const checked(1.5);
  Line const other(checked.runtime, {ranks()});
  double value = 1;
  comm::all_reduce(checked.group(), &value, 1);
  bool const skips = rank() == ranks() - 1;
  auto const start = std::chrono::steady_clock::now();
  std::string const text = refusal_on_all([&] {
    if (!skips) comm::all_reduce(checked.group(), &value, 1);
    comm::permute<double>(other.group<"x">(), &value, 0, comm::no_rank, nullptr, 0, comm::no_rank);
  });
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  std::string ranks_waiting = ranks() == 2 ? "rank 0" : "ranks 0";
  for (int r = 1; r < ranks() - 1; ++r) ranks_waiting += ", " + std::to_string(r);
  CHECK(text == "check_communication: a rank has waited for the others for 1.5 s; " + ranks_waiting +
                    " entered all_reduce (sum) of double at unit/comm.cpp: over \"x\", as collective number 4, and "
                    "waits there; rank " +
                    std::to_string(ranks() - 1) +
                    " entered permute of double at unit/comm.cpp: over \"x\", as collective number 4, and waits "
                    "there; all ranks of a group have to call the same operations in the same order");
}

TEST_CASE("a time limit that is none") {
  Runtime checked(runtime().communicator());
  for (double seconds : {0.0, -1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_AS(checked.check_communication(true, std::chrono::duration<double>(seconds)), OptionError);
}

// ---- What MPI reports

TEST_CASE("a message longer than expected, without checks: MPI's error is an exception, and names the call") {
  Line const mesh(runtime(), {ranks()});
  Values from(8, 1.0), to(8);
  std::string const text = refusal([&] {
    comm::permute<double>(mesh.group<"x">(), from.data(), 5, (rank() + 1) % ranks(), to.data(), 3,
                          (rank() + ranks() - 1) % ranks());
  });
  if (ranks() == 1) check_mentions(text, {"permute: rank 0 of the group sends itself 5 elements but expects 3"});
  else check_mentions(text, {"MPI_Waitall failed: ", "TRUNCATE"});
}

TEST_CASE("bytes of one MPI call stay below 2^31, too") {
  CHECK(comm::detail::elements_in_call<std::int8_t>(comm::largest_count) == 2147483647);
  CHECK(comm::detail::elements_in_call<float>(comm::largest_count) == 536870911);
  CHECK(comm::detail::elements_in_call<double>(comm::largest_count) == 268435455);
  CHECK(comm::detail::elements_in_call<double>(3) == 3);
  CHECK(comm::detail::elements_in_call<double>(0) == 1);
}

TEST_CASE("counts whose sums exceed 64 bits, and negative ones") {
  Line const mesh(runtime(), {ranks()});
  std::int64_t const huge = std::int64_t{1} << 62;
  check_mentions(refusal([&] { comm::Parts(Counts{huge, huge}); }), {"exceeds 64 bits"});
  check_mentions(refusal([&] { comm::detail::total({huge, huge}); }), {"exceeds 64 bits"});
  double value = 0;
  check_mentions(refusal([&] { comm::all_reduce(mesh.group<"x">(), &value, -1); }), {"all_reduce", "count -1"});
  check_mentions(
      refusal([&] { comm::permute<double>(mesh.group<"x">(), &value, -2, comm::no_rank, &value, 0, comm::no_rank); }),
      {"permute (sent)", "count -2"});
}
