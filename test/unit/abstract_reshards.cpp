// SPDX-License-Identifier: Apache-2.0
// What a reshard asks of a rank is counted without looking at the other ranks: the same messages, bytes and memory as
// where they are there.
#include <gshard/reshard.hpp>

#include "dense_reference.hpp"
#include "mpi_test.hpp"
#include "two_ledgers.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

template <class T, class From, class To, class Mesh>
void check_pair(TwoMeshes<Mesh>& meshes, Extents const& extents) {
  INFO(detail::text_of<Mesh>(layout_of<Mesh, From>), " to ", detail::text_of<Mesh>(layout_of<Mesh, To>), " of ",
       detail::text_of(extents), " on mesh (", meshes.real.text(), ")");
  check_same_ledgers(meshes, [&]<class Space>(std::type_identity<Space>, Mesh const& mesh) {
    ShardedTensor<Mesh, From, T, Space> const x(mesh, extents);
    auto const y = reshard<To>(x);
  });
}

template <class T, class From, class... To, class Mesh>
void check_from(TwoMeshes<Mesh>& meshes, Extents const& extents) {
  (check_pair<T, From, To>(meshes, extents), ...);
}

/// Every pair of these specs.
template <class T, class... Specs, class Mesh>
void check_pairs_of(TwoMeshes<Mesh>& meshes, Extents const& extents) {
  (check_from<T, Specs, Specs...>(meshes, extents), ...);
}

/// Even, uneven, smaller than the axes, and empty.
Extents const matrices[] = {{24, 48}, {7, 5}, {9, 1}, {1, 3}, {2, 11}, {0, 4}};

}  // namespace

TEST_CASE("any spec to any spec on two axes") {
  for (auto const& shape : two_axis_shapes()) {
    TwoMeshes<TwoAxes> meshes(shape);
    for (Extents const& extents : matrices)
      check_pairs_of<float, Spec<_, _>, Spec<"x", _>, Spec<_, "x">, Spec<"y", _>, Spec<"x", "y">, Spec<"x,y", _>,
                     Spec<"y,x", _>, Spec<_, "y,x">, Spec<"x", _, partial("y")>, Spec<_, _, partial("x,y")>>(meshes,
                                                                                                             extents);
  }
}

TEST_CASE("sums of bfloat16, which travel as parts") {
  for (auto const& shape : two_axis_shapes()) {
    TwoMeshes<TwoAxes> meshes(shape);
    for (Extents const& extents : matrices)
      check_from<BFloat16, Spec<_, _, partial("x")>, Spec<_, _>, Spec<"x", _>, Spec<_, "x">, Spec<"y", "x">>(meshes,
                                                                                                             extents);
  }
}

TEST_CASE("three axes, three dimensions") {
  int const a = ranks() % 2 == 0 ? 2 : ranks();
  int const b = ranks() / a % 2 == 0 ? 2 : 1;
  TwoMeshes<Mesh<Axis<"a">, Axis<"b">, Axis<"c">>> meshes({a, b, ranks() / a / b});  // 2, 2, 2 of 8 ranks
  for (Extents const& extents : {Extents{8, 4, 6}, {5, 3, 7}, {1, 9, 2}, {3, 0, 2}})
    check_pairs_of<float, Spec<"a", "b", "c">, Spec<"b", _, "c,a">, Spec<_, "c,a,b", _>, Spec<"c", "a", _>,
                   Spec<_, _, "b">, Spec<"a,b", _, _, partial("c")>>(meshes, extents);
}

TEST_CASE("a mesh of many ranks costs no more than a small one") {
  for (int ranks : {4, 1 << 14, 1 << 28}) {
    AbstractRuntime machine;
    TwoAxes const mesh(machine, {ranks / 4, 4});
    std::int64_t const rows = 4 * std::int64_t{ranks};
    ShardedTensor<TwoAxes, Spec<"x,y", _>, float, AbstractSpace> const x(mesh, {rows, rows});
    auto const turned = reshard<Spec<_, "y,x">>(x);
    auto const back = reshard<Spec<"x", "y">>(turned);
    CHECK(turned.local_size() == 4 * rows);
    CHECK(machine.ledger().traffic()[0].messages == ranks - 1);
    CHECK(machine.ledger().traffic()[0].bytes == 16 * rows - 64);  // all but the 4 x 4 elements that stay
  }
  AbstractRuntime machine;
  CHECK_THROWS_WITH_AS(TwoAxes(machine, {65536, 65536}), doctest::Contains("has 4294967296 ranks"), MeshError);
  CHECK_THROWS_WITH_AS(TwoAxes(machine, {0, 4}), doctest::Contains("axis 'x' has size 0"), MeshError);
}
