// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gshard::cost {

/// How the devices of a machine are joined: a torus of as many dimensions, or a tree whose switches carry what all
/// devices send at once.
enum class Topology { torus, fat_tree };

/// What the cost model knows of a machine.
struct Machine {
  std::string name;
  double flops = 0;             ///< of one device, per second, in its matrix products
  double memory_bandwidth = 0;  ///< of one device, bytes per second
  double link_bandwidth = 0;    ///< of one link in one direction, bytes per second
  double latency = 0;           ///< of one message over one link, seconds
  Topology topology = Topology::fat_tree;
  int torus_dimensions = 2;
};

}  // namespace gshard::cost
