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

/// Checks a machine. Throws OptionError if a rate is not finite and above 0 (the defaults are 0), the latency is not
/// finite and at least 0, or `torus_dimensions` is below 1.
inline void check(Machine const& machine) {
  detail::require_positive("Machine::flops", machine.flops);
  detail::require_positive("Machine::memory_bandwidth", machine.memory_bandwidth);
  detail::require_positive("Machine::link_bandwidth", machine.link_bandwidth);
  detail::require_non_negative("Machine::latency", machine.latency);
  detail::require_at_least("Machine::torus_dimensions", machine.torus_dimensions, 1);
}

/// Returns the time of local work on one device, in seconds: max(flops / machine.flops, bytes /
/// machine.memory_bandwidth), the roofline model.
/// Throws OptionError if the machine is invalid.
inline double seconds_of(Ledger::Work const& work, Machine const& machine) {
  check(machine);
  return std::max(static_cast<double>(work.flops) / machine.flops,
                  static_cast<double>(work.bytes) / machine.memory_bandwidth);
}

/// Returns the time of communication on one device, in seconds, for b bytes sent in n calls over groups of p ranks.
/// Torus of d dimensions: all-to-all b / (bandwidth * 2 d / max(1, h / 2)) + n h latency with h = d p^(1/d) / 2, the
/// hops across half the torus in every dimension; a byte travels h / 2 links on average and a device has 2 d links. At
/// fixed b the time grows as p^(1/d), as sqrt(p) on the paper's two-dimensional torus.
/// Fat tree: all-to-all b / bandwidth + n h latency with h = log2(p).
/// Both: all-gather and reduce-scatter b / bandwidth + n h latency, all-reduce b / bandwidth + 2 n h latency, permute
/// b / bandwidth + n latency; their bytes go from neighbour to neighbour, over one link each.
/// Throws OptionError if the machine is invalid or p < 1.
/// Source: paper 5.3.
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

/// Times of the entries of a ledger on a machine. Assumes that nothing overlaps: the total is the sum of all entries.
struct Estimate {
  /// One operation, or one collective over one set of axes.
  struct Entry {
    std::string name;
    double seconds = 0;
  };
  std::vector<Entry> computing;      ///< local work, by operation
  std::vector<Entry> communicating;  ///< by collective and axes

  /// Returns the sum of the entries, in seconds.
  static double total(std::vector<Entry> const& entries) {
    double sum = 0;
    for (Entry const& entry : entries) sum += entry.seconds;
    return sum;
  }
  /// Returns the sum of all entries, in seconds.
  double total() const { return total(computing) + total(communicating); }
};

/// Estimates the time of a program on a machine from the ledger of one device: that of an AbstractRuntime, or of a
/// Runtime whose ledger was open while the program ran.
/// Throws OptionError if the machine is invalid.
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

/// Prints a table with one line for each entry, in microseconds, and their sum.
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
