// SPDX-License-Identifier: Apache-2.0
#include "model_memory.hpp"

#include <mpi.h>
#include <unistd.h>

#include <gshard/core/abstract_runtime.hpp>

#include "model.hpp"

namespace translation {

ModelMemory model_memory(gshard::nn::TransformerOptions const& options, std::array<int, 2> const& sizes, int rank) {
  gshard::AbstractRuntime runtime(rank);
  Grid const grid(runtime, sizes);
  gshard::nn::Transformer<Grid, ByExpert, gshard::nn::TransformerParts, float, gshard::AbstractSpace> model(grid,
                                                                                                            options, 0);
  constexpr double copies = 4;  // value, gradient, mean and second moment
  ModelMemory memory{};
  model.for_each_parameter([&](auto const& parameter) {
    memory.parameters += static_cast<double>(parameter.value.size());
    memory.bytes += copies * sizeof(float) * static_cast<double>(parameter.value.local_size());
  });
  return memory;
}

void require_memory(gshard::Runtime const& runtime, ModelMemory const& memory) {
  MPI_Comm machine = MPI_COMM_NULL;
  gshard::detail::require_mpi(
      MPI_Comm_split_type(runtime.communicator(), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine),
      "MPI_Comm_split_type");
  auto const reduce = [](double& value, MPI_Op operation, MPI_Comm communicator) {
    gshard::detail::require_mpi(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, operation, communicator),
                                "MPI_Allreduce");
  };
  double needed = memory.bytes;
  reduce(needed, MPI_SUM, machine);
  gshard::detail::free_communicator(machine);
  double physical = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  reduce(needed, MPI_MAX, runtime.communicator());
  reduce(physical, MPI_MIN, runtime.communicator());
  if (needed <= physical) return;
  constexpr double gibibyte = 1 << 30;
  throw gshard::MemoryError(
      gshard::detail::concat("a model of ", memory.parameters, " parameters, with their gradients and moments, needs ",
                             needed / gibibyte, " GiB on a machine of ", physical / gibibyte,
                             " GiB; choose a smaller --model, --hidden, --vocabulary or --experts, or more machines"));
}

}  // namespace translation
