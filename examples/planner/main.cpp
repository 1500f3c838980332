// SPDX-License-Identifier: Apache-2.0
// The Mixture-of-Experts layer of the paper on 2048 devices that are not there. Run it on one machine:
// planner [devices [machine.json]]
#include <algorithm>
#include <charconv>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <nlohmann/json.hpp>

#include <gshard/gshard.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"device">>;
struct ByDevice : nn::Parallelism {  // groups of tokens and experts over the same devices
  static constexpr AxisNames tokens = "device", experts = "device";
};
using Layer = nn::MixtureOfExperts<Grid, ByDevice, nn::Top2Gate, nn::ReluExperts, float, AbstractSpace>;

constexpr int max_devices = 1 << 20;
constexpr std::string_view keys[] = {"name",    "flops",    "memory_bandwidth", "link_bandwidth",
                                     "latency", "topology", "torus_dimensions"};

cost::Topology topology_from(std::string const& name) {
  if (name == "torus") return cost::Topology::torus;
  if (name == "fat_tree") return cost::Topology::fat_tree;
  throw std::runtime_error("the topology is torus or fat_tree, not '" + name + "'");
}

int whole_number(nlohmann::json const& number, std::string const& name) {
  if (!number.is_number_integer()) throw std::runtime_error(name + " is a whole number, not " + number.dump());
  return number;
}

cost::Machine machine_from(std::string const& file) try {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error("cannot be read");
  nlohmann::json const json = nlohmann::json::parse(stream);
  for (auto const& [key, value] : json.items())
    if (std::ranges::find(keys, key) == std::end(keys))
      throw std::runtime_error("'" + key + "' is no property of a machine");
  return {.name = json.at("name"),
          .flops = json.at("flops"),
          .memory_bandwidth = json.at("memory_bandwidth"),
          .link_bandwidth = json.at("link_bandwidth"),
          .latency = json.at("latency"),
          .topology = topology_from(json.at("topology")),
          .torus_dimensions = whole_number(json.value("torus_dimensions", nlohmann::json(2)), "torus_dimensions")};
} catch (std::exception const& exception) {
  throw std::runtime_error("machine file '" + file + "': " + exception.what());
}

int devices_from(std::string_view text) {
  int devices = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), devices);
  if (error != std::errc{} || end != text.data() + text.size() || devices < 1 || devices > max_devices)
    throw std::runtime_error("the number of devices is a whole number from 1 to " + std::to_string(max_devices) +
                             ", not '" + std::string(text) + "'");
  return devices;
}

int main(int argc, char** argv) try {
  if (argc > 3) throw std::runtime_error("too many arguments; give: planner [devices [machine.json]]");
  int const devices = argc > 1 ? devices_from(argv[1]) : 2048;
  cost::Machine const machine = machine_from(argc > 2 ? argv[2] : PLANNER_MACHINE);
  // tokens of a group, widths of the model and inside an expert; one group and one expert a device
  std::int64_t const S = 1024, M = 1024, H = 8192;

  AbstractRuntime runtime;
  Grid grid(runtime, {devices});
  nn::Initializer initializer(1);
  Layer layer(grid, initializer, {.experts = devices, .model = M, .hidden = H});
  ShardedTensor<Grid, Spec<"device", _, _>, float, AbstractSpace> const tokens(grid, {devices, S, M}, "tokens");
  ShardedTensor<Grid, Spec<"device", _>, int, AbstractSpace> const real(grid, {devices, S}, "1 for words");

  runtime.ledger().clear();
  // Algorithm 2 as the paper writes it
  layer.operator()<nn::DispatchForm::by_one_hot>(tokens, real, nn::RandomStream{1, 1});
  Ledger const forward = runtime.ledger();

  std::cout << "forward, " << devices << " devices and experts\n"
            << forward << "on a " << machine.name << '\n'
            << cost::estimate(forward, machine);
  bool const as_in_the_paper = forward.calls(Collective::all_to_all) == 2 && forward.calls(Collective::all_gather) == 0;
  std::cout << (as_in_the_paper ? "two all-to-alls and no all-gather, as in the paper\n"
                                : "not the collectives of the paper\n");
  return as_in_the_paper ? 0 : 1;
} catch (std::exception const& exception) {
  std::cerr << "planner: " << exception.what() << '\n';
  return 1;
}
