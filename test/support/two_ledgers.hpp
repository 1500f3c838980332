// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <type_traits>

#include <gshard/core/abstract_runtime.hpp>
#include <gshard/mesh/mesh.hpp>

#include "mpi_test.hpp"

/// The same program on a mesh with ranks and on one without: what it asks of this rank, in both ledgers.
namespace gshard::test {

/// A ledger in words; memory beyond `memory_before`.
inline std::string text_of_ledger(Ledger const& ledger, std::int64_t memory_before = 0) {
  std::string text;
  for (auto const& work : ledger.work())
    text +=
        detail::concat(work.operation, ": ", work.calls, " calls, ", work.flops, " flops, ", work.bytes, " bytes\n");
  for (auto const& traffic : ledger.traffic())
    text += detail::concat(text_of(traffic.collective), " over ", traffic.axes, " in groups of ", traffic.ranks, ": ",
                           traffic.calls, " calls, ", traffic.messages, " messages, ", traffic.bytes, " bytes\n");
  return text + detail::concat("at most ", ledger.peak_bytes() - memory_before, " bytes held, ",
                               ledger.bytes_in_use() - memory_before, " in the end");
}

/// A mesh of this run's ranks, and the same without ranks, as this rank would see it.
template <class Mesh>
struct TwoMeshes {
  Mesh real;
  AbstractRuntime machine{rank()};
  Mesh abstract;

  explicit TwoMeshes(std::array<int, Mesh::axis_count> const& sizes)
      : real(runtime(), sizes), abstract(machine, sizes) {}
};

/// Runs `program(std::type_identity<MemorySpace>, mesh)` on both and compares.
template <class Mesh, class Program>
void check_same_ledgers(TwoMeshes<Mesh>& meshes, Program const& program) {
  Ledger& real = runtime().ledger();
  Ledger& counted = meshes.machine.ledger();
  real.clear();
  counted.clear();
  std::int64_t const before = real.bytes_in_use();
  real.open();
  program(std::type_identity<Kokkos::HostSpace>{}, meshes.real);
  real.close();
  program(std::type_identity<AbstractSpace>{}, meshes.abstract);
  CHECK(text_of_ledger(counted) == text_of_ledger(real, before));
}

}  // namespace gshard::test
