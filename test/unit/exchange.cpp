// SPDX-License-Identifier: Apache-2.0
// The exchange that reshards, halos, moved indices and reshapes share: boxes with steps, segments, repeated parts,
// stored or added. The value of element i of rank r is 100 r + i, so every element tells where it comes from.
#include "mpi_test.hpp"

#include <cstdint>
#include <numeric>
#include <vector>

#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;
using gshard::detail::Exchange;
using gshard::detail::PartBuffer;
using gshard::detail::PartOrder;
using gshard::detail::Segment;
using gshard::detail::StridedBox;

using Line = Mesh<Axis<"x">>;
using Space = Kokkos::HostSpace;

std::vector<double> numbered(int rank, int count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 100.0 * rank);
  return values;
}

/// Column `column` of a 3 x 4 matrix, from the last row to the first.
StridedBox reversed_column(int column) { return {8 + column, {3}, {-4}}; }

/// Row `row` of a matrix with three columns.
StridedBox row(int row) { return {3 * row, {3}, {1}}; }

/// Rank r sends its column m mod 4 to rank m, upside down, which keeps it in its row r; its own goes the same way.
std::vector<double> columns_to_rows(Line const& mesh, bool add, std::vector<double> result) {
  Group const& group = mesh.state().group(AxisSet::of(0));
  std::vector<double> const source = numbered(group.rank, 12);
  Exchange<Space, double> moved(group, mesh.memory());
  for (int member = 0; member < group.size; ++member) {
    if (member == group.rank) {
      moved.keep(source.data(), reversed_column(member % 4), result.data(), row(member));
      continue;
    }
    moved.outgoing.add(member, source.data(), reversed_column(member % 4));
    moved.incoming.add(member, result.data(), row(member));
  }
  moved.run(12 * group.size, add);
  return result;
}

}  // namespace

TEST_CASE("boxes with negative steps arrive in order; with add, they are added") {
  Line const mesh(runtime(), {ranks()});
  int const own = mesh.state().rank();
  std::vector<double> expected;
  for (int sender = 0; sender < ranks(); ++sender)
    for (int place : {8, 4, 0}) expected.push_back(100.0 * sender + place + own % 4);
  CHECK(columns_to_rows(mesh, false, std::vector<double>(expected.size(), -1)) == expected);
  for (double& value : expected) value += 7;
  CHECK(columns_to_rows(mesh, true, std::vector<double>(expected.size(), 7)) == expected);
}

TEST_CASE("what arrives at one place from several ranks is added in the order of the ranks") {
  Line const mesh(runtime(), {ranks()});
  Group const& group = mesh.state().group(AxisSet::of(0));
  // Of 1e16, 1 and -1e16 the sum depends on the order: only from left to right is it ((1e16 + 1) + -1e16) + ...
  double const values[] = {1e16, 1, -1e16, 1};
  double const source = values[group.rank % 4];
  double result = 0;
  double expected = 0;
  Exchange<Space, double> moved(group, mesh.memory());
  StridedBox const one{0, {1}, {1}};
  for (int member = 0; member < group.size; ++member) {
    expected += values[member % 4];
    if (member == group.rank) {
      moved.keep(&source, one, &result, one);
      continue;
    }
    moved.outgoing.add(member, &source, one);
    moved.incoming.add(member, &result, one);
  }
  moved.run(group.size, true);
  CHECK(result == expected);
}

TEST_CASE("segments, of several parts for each rank, and parts that all ranks get are packed once") {
  Line const mesh(runtime(), {ranks()});
  Group const& group = mesh.state().group(AxisSet::of(0));
  std::vector<double> const source = numbered(group.rank, 12);
  std::vector<double> result(static_cast<std::size_t>(3 * group.size), -1);
  Exchange<Space, double> moved(group, mesh.memory());
  int first = -1;
  for (int member = 0; member < group.size; ++member) {
    std::int64_t const to = 3 * member;
    if (member == group.rank) {
      moved.keep(source.data(), result.data(), {{1, to, 2}, {7, to + 2, 1}});
      continue;
    }
    if (first < 0) moved.outgoing.add(member, source.data(), std::vector<Segment>{{1, 0, 2}, {7, 2, 1}});
    else moved.outgoing.repeat(member, first);
    if (first < 0) first = member;
    moved.incoming.add(member, result.data(), StridedBox{to + 2, {1}, {1}});
    moved.incoming.add(member, result.data(), StridedBox{to, {2}, {1}});
  }
  std::int64_t const before = mesh.memory().ledger().bytes_in_use();
  mesh.memory().ledger().clear();
  moved.run(12 * group.size);
  if (group.size > 1) {
    // One packed copy of three elements and its list of segments, and what arrives.
    std::int64_t const packed = 3 * 8 + 2 * static_cast<std::int64_t>(sizeof(Segment));
    std::int64_t const kept = 2 * static_cast<std::int64_t>(sizeof(Segment));
    CHECK(mesh.memory().ledger().peak_bytes() - before == packed + kept + 3 * 8 * (group.size - 1));
  }
  for (int sender = 0; sender < group.size; ++sender) {
    // Rank `sender` sends elements 1, 2, 7 in a row: the first of them is for place 2, the others for 0 and 1.
    std::vector<double> const sent = {100.0 * sender + 1, 100.0 * sender + 2, 100.0 * sender + 7};
    std::vector<double> const placed = sender == group.rank ? sent : std::vector<double>{sent[1], sent[2], sent[0]};
    for (int i = 0; i < 3; ++i)
      CHECK(result[static_cast<std::size_t>(3 * sender + i)] == placed[static_cast<std::size_t>(i)]);
  }
}

TEST_CASE("empty lists of segments, and boxes without elements, move nothing and read nothing") {
  Line const mesh(runtime(), {ranks()});
  Group const& group = mesh.state().group(AxisSet::of(0));
  double const source = 1;
  double result = 2;
  Exchange<Space, double> moved(group, mesh.memory());
  moved.keep(&source, &result, {});
  moved.keep(&source, {0, {0}, {1}}, &result, {0, {0}, {1}});
  for (int member = 0; member < group.size; ++member) {
    moved.outgoing.add(member, &source, std::vector<Segment>{});
    moved.incoming.add(member, &result, StridedBox{0, {0, 3}, {3, 1}});
  }
  moved.run(group.size);
  moved.copy_kept();
  CHECK(result == 2);
}

TEST_CASE("parts that lie in a row in the block are not packed, unless their order or place is wanted otherwise") {
  Line const mesh(runtime(), {ranks()});
  std::vector<double> block = numbered(0, 12);
  auto const buffer_of = [&](PartOrder order, std::vector<StridedBox> const& boxes) {
    PartBuffer<Space, double> buffer(static_cast<int>(boxes.size()), mesh.memory());
    for (int member = 0; member < static_cast<int>(boxes.size()); ++member)
      buffer.add(member, block.data(), boxes[static_cast<std::size_t>(member)]);
    buffer.place(order);
    return buffer.buffer() == block.data();
  };
  CHECK(buffer_of(PartOrder::any, {row(2), row(0)}));
  CHECK(buffer_of(PartOrder::packed, {row(0), row(1)}));
  CHECK(!buffer_of(PartOrder::packed, {row(2), row(0)}));
  CHECK(!buffer_of(PartOrder::packed, {row(1), row(2)}));
  CHECK(!buffer_of(PartOrder::apart, {row(0), row(1)}));
  CHECK(!buffer_of(PartOrder::any, {row(0), reversed_column(0)}));
  CHECK(buffer_of(PartOrder::any, {row(0), {0, {0, 3}, {3, 1}}}));
}
