// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gshard::cost {

/// How the devices of a machine are joined: a torus of as many dimensions, or a tree whose switches carry what all
/// devices send at once.
enum class Topology { torus, fat_tree };

/// What the cost model knows of a machine. The three rates have to be given.
struct Machine {
  std::string name;
  double flops = 0;             ///< of one device, per second, in its matrix products; above 0
  double memory_bandwidth = 0;  ///< of one device, bytes per second; above 0
  double link_bandwidth = 0;    ///< of one link in one direction, bytes per second; above 0
  double latency = 0;           ///< of one message over one link, seconds; 0 or more
  Topology topology = Topology::fat_tree;
  int torus_dimensions = 2;  ///< 1 or more
};

}  // namespace gshard::cost
