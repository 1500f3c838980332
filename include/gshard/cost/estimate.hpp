// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <ostream>
#include <string>
#include <vector>

#include <gshard/core/ledger.hpp>
#include <gshard/core/options.hpp>
#include <gshard/cost/machine.hpp>

namespace gshard::cost {

/// Throws OptionError where a number of the machine makes no sense, as the zeros of one that is not filled in.
inline void check(Machine const& machine) {
  detail::require_positive("Machine::flops", machine.flops);
  detail::require_positive("Machine::memory_bandwidth", machine.memory_bandwidth);
  detail::require_positive("Machine::link_bandwidth", machine.link_bandwidth);
  detail::require_non_negative("Machine::latency", machine.latency);
  detail::require_at_least("Machine::torus_dimensions", machine.torus_dimensions, 1);
}

/// The seconds that one device computes for this: as long as its flops, or its bytes, whichever take longer.
inline double seconds_of(Ledger::Work const& work, Machine const& machine) {
  check(machine);
  return std::max(static_cast<double>(work.flops) / machine.flops,
                  static_cast<double>(work.bytes) / machine.memory_bandwidth);
}

/// The seconds that one device communicates for this. Reductions, gathers and permutes go from neighbour to neighbour:
/// their bytes pass one link. In an all-to-all over a torus of d dimensions and p devices a byte travels d p^(1/d) / 4
/// links on average, and a device has 2 d of them, so the time grows with p^(1/d) at a fixed number of bytes: with the
/// square root on the paper's two-dimensional torus (paper 5.3). Besides, each call waits for the way across the group:
/// half a torus in every dimension, or the depth of a tree; an all-reduce for two.
/// Throws OptionError also for a group of no ranks.
inline double seconds_of(Ledger::Traffic const& traffic, Machine const& machine) {
  check(machine);
  detail::require_at_least("Traffic::ranks", traffic.ranks, 1);
  double const bytes = static_cast<double>(traffic.bytes);
  double const calls = static_cast<double>(traffic.calls);
  double const dimensions = machine.torus_dimensions;
  double const side = std::pow(static_cast<double>(traffic.ranks), 1 / dimensions);
  bool const torus = machine.topology == Topology::torus;
  double const across = torus ? dimensions * side / 2 : std::log2(static_cast<double>(traffic.ranks));
  switch (traffic.collective) {
    case Collective::permute: return bytes / machine.link_bandwidth + calls * machine.latency;
    case Collective::all_to_all: {
      double const links = torus ? 2 * dimensions / std::max(1.0, dimensions * side / 4) : 1;
      return bytes / (links * machine.link_bandwidth) + calls * across * machine.latency;
    }
    default:
      return bytes / machine.link_bandwidth +
             calls * (traffic.collective == Collective::all_reduce ? 2 : 1) * across * machine.latency;
  }
}

/// The time of a ledger on a machine, one entry after the other: nothing overlaps.
struct Estimate {
  struct Entry {
    std::string name;
    double seconds = 0;
  };
  std::vector<Entry> computing;
  std::vector<Entry> communicating;

  static double total(std::vector<Entry> const& entries) {
    double sum = 0;
    for (Entry const& entry : entries) sum += entry.seconds;
    return sum;
  }
  double total() const { return total(computing) + total(communicating); }
};

/// What a program costs on a machine, from its ledger: of an AbstractRuntime, or of a Runtime whose ledger was open.
/// Throws OptionError where a number of the machine makes no sense.
inline Estimate estimate(Ledger const& ledger, Machine const& machine) {
  check(machine);
  Estimate result;
  for (Ledger::Work const& work : ledger.work())
    result.computing.push_back({work.operation, seconds_of(work, machine)});
  for (Ledger::Traffic const& traffic : ledger.traffic())
    result.communicating.push_back(
        {std::string(text_of(traffic.collective)) + " over " + traffic.axes, seconds_of(traffic, machine)});
  return result;
}

inline std::ostream& operator<<(std::ostream& stream, Estimate const& estimate) {
  std::ios_base::fmtflags const flags = stream.flags();
  std::streamsize const precision = stream.precision();
  auto row = [&](std::string const& name, double seconds) {
    stream << std::left << std::setw(44) << name << std::right << std::fixed << std::setprecision(1) << std::setw(12)
           << 1e6 * seconds << " us\n";
  };
  for (Estimate::Entry const& entry : estimate.computing) row("  " + entry.name, entry.seconds);
  for (Estimate::Entry const& entry : estimate.communicating) row("  " + entry.name, entry.seconds);
  row("  in all", estimate.total());
  stream.flags(flags);
  stream.precision(precision);
  return stream;
}

}  // namespace gshard::cost
