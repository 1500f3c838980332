// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gshard::cost {

/// Interconnect of the devices of a machine.
/// torus: a torus of `Machine::torus_dimensions` dimensions; the links of an all-to-all are shared by passing messages.
/// fat_tree: a tree of switches with full bisection bandwidth; every device sends at full rate at once.
enum class Topology { torus, fat_tree };

/// Parameters of the cost model. The three rates have no usable default and must be set.
struct Machine {
  std::string name;
  double flops = 0;             ///< of one device in matrix products, flop/s; above 0
  double memory_bandwidth = 0;  ///< of one device, bytes/s; above 0
  double link_bandwidth = 0;    ///< of one link in one direction, bytes/s; above 0
  double latency = 0;           ///< of one message over one link, seconds; 0 or more
  Topology topology = Topology::fat_tree;
  int torus_dimensions = 2;  ///< 1 or more; read for a torus only
};

}  // namespace gshard::cost
