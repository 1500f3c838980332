// SPDX-License-Identifier: Apache-2.0
// Ids and indices out of range: one IndexError on all ranks, which names the element, its value and the range.
#include "dense_reference.hpp"
#include "mpi_test.hpp"
#include "two_ledgers.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gshard/index.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;
using gshard::detail::NegativeIds;
using gshard::detail::require_ids;

template <class Id, AxisNames... Entries>
using Ids = ShardedTensor<TwoAxes, Spec<Entries...>, Id>;

/// Ids (5, 7) that count from 0, with `wrong` at (3, 4) and, where there are two, at (4, 1).
template <class Tensor>
Tensor ids_with(TwoAxes const& mesh, typename Tensor::value_type wrong, bool twice = false) {
  std::vector<typename Tensor::value_type> elements(35);
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<typename Tensor::value_type>(i);
  elements[3 * 7 + 4] = wrong;
  if (twice) elements[4 * 7 + 1] = wrong;
  Tensor ids = reshape<typename Tensor::spec_type>(from_vector<Tensor>(mesh, {5, 7}, elements), {5, 7});
  return ids;
}

/// The message of the IndexError that `check` throws; "" where it throws none.
template <class Check>
std::string refusal(Check const& check) {
  try {
    check();
  } catch (IndexError const& error) {
    return error.what();
  }
  return "";
}

template <class Tensor>
void check_ids(TwoAxes const& mesh) {
  using Id = typename Tensor::value_type;
  std::string const place = gshard::detail::concat("; rank ", mesh.rank(), " of mesh (", mesh.text(), ")");
  auto const message = [&](std::int64_t value, std::int64_t limit, char const* padding = "") {
    return gshard::detail::concat("test: element (3, 4) of ids (5, 7) is ", value, ", which is not in the range [0, ",
                                  limit, ")", padding, place);
  };
  auto const check = [](Tensor const& ids, std::int64_t limit, NegativeIds negative = NegativeIds::refused) {
    return refusal([&] { require_ids("test", "ids", ids, limit, negative); });
  };
  INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout));
  CHECK(check(ids_with<Tensor>(mesh, 34), 35) == "");
  CHECK(check(ids_with<Tensor>(mesh, 35), 35) == message(35, 35));
  CHECK(check(ids_with<Tensor>(mesh, 35, true), 35) == message(35, 35));
  CHECK(check(ids_with<Tensor>(mesh, -1), 35) == message(-1, 35));
  CHECK(check(ids_with<Tensor>(mesh, -1), 35, NegativeIds::padding) == "");
  CHECK(check(ids_with<Tensor>(mesh, 99), 35, NegativeIds::padding) == message(99, 35, "; negative ones are padding"));
  for (Id extreme : {std::numeric_limits<Id>::min(), std::numeric_limits<Id>::max()})
    CHECK(check(ids_with<Tensor>(mesh, extreme), 35) == message(extreme, 35));
}

}  // namespace

TEST_CASE("the first id out of range is named on all ranks alike, whichever ranks hold it") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_ids<Ids<int, _, _>>(mesh);
    check_ids<Ids<int, "x", "y">>(mesh);
    check_ids<Ids<std::int64_t, _, "y,x">>(mesh);
    check_ids<Ids<int, "y", _>>(mesh);
  });
}

TEST_CASE("no id is in an empty range, all ids are in that of their type, and no ids are fine") {
  on_every_mesh([](TwoAxes const& mesh) {
    Ids<int> const scalar(mesh, {}, "id");
    Ids<std::int64_t, "x"> const none(mesh, {0});
    CHECK(refusal([&] { require_ids("test", "ids", none, 0); }) == "");
    CHECK(refusal([&] { require_ids("test", "ids", scalar, std::numeric_limits<std::int64_t>::max()); }) == "");
    CHECK_THROWS_WITH_AS(require_ids("test", "ids", scalar, 0),
                         doctest::Contains("element () of ids 'id' () is 0, which is not in the range [0, 0)"),
                         IndexError);
  });
}

TEST_CASE(
    "a check of ids costs an all-reduce of one number over the axes that split them, and none where they are whole") {
  for (auto const& shape : two_axis_shapes()) {
    TwoMeshes<TwoAxes> meshes(shape);
    check_same_ledgers(meshes, []<class Space>(std::type_identity<Space>, TwoAxes const& mesh) {
      ShardedTensor<TwoAxes, Spec<"x", _>, int, Space> const split(mesh, {4 * mesh.size(0), 3});
      ShardedTensor<TwoAxes, Spec<_>, int, Space> const whole(mesh, {6});
      require_ids("test", "ids", split, 10);
      require_ids("test", "ids", whole, 10);
      Ledger const& ledger = mesh.memory().ledger();
      std::int64_t const p = mesh.size(0);
      CHECK(ledger.calls(Collective::all_reduce) == (p == 1 ? 0 : 1));
      CHECK(ledger.bytes_sent() == 2 * 8 * (p - 1) / p);
    });
  }
}
