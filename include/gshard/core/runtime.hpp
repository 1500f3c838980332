// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <mpi.h>
#include <Kokkos_Core.hpp>

#include <gshard/core/memory_pool.hpp>

namespace gshard {

/// MPI and Kokkos, brought up and down together, and the storage that tensors share. Not copyable; one per program.
class Runtime {
 public:
  /// Starts what is not running yet; removes the options of MPI and Kokkos (`--kokkos-...`) from the command line. All
  /// else is the program's: of `--help`, which Kokkos would answer first with its own, it learns nothing.
  Runtime(int& argc, char**& argv) {
    int running = 0;
    MPI_Initialized(&running);
    if (running == 0) {
      int provided = 0;
      MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
      owns_mpi_ = true;
    }
    if (!Kokkos::is_initialized()) {
      char** const first = argv + std::min(argc, 1);
      auto const of_kokkos = std::stable_partition(first, argv + argc, [](char const* argument) {
        return !std::string_view(argument).starts_with("--kokkos-");
      });
      std::vector<char*> arguments(argv, first);
      arguments.insert(arguments.end(), of_kokkos, argv + argc);
      arguments.push_back(nullptr);
      int count = static_cast<int>(arguments.size()) - 1;
      Kokkos::initialize(count, arguments.data());
      argc = static_cast<int>(of_kokkos - argv);
      owns_kokkos_ = true;
    }
    open(MPI_COMM_WORLD);
  }

  /// Works on the ranks of `communicator`, which is duplicated. MPI and Kokkos are up already, and stay up.
  explicit Runtime(MPI_Comm communicator) { open(communicator); }

  Runtime(Runtime const&) = delete;
  Runtime& operator=(Runtime const&) = delete;

  ~Runtime() {
    memory_.reset();
    MPI_Comm_free(&communicator_);
    MPI_Comm_free(&failure_communicator_);
    if (owns_kokkos_) Kokkos::finalize();
    if (owns_mpi_) MPI_Finalize();
  }

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  MPI_Comm communicator() const { return communicator_; }
  std::shared_ptr<MemoryPool> const& memory() const { return memory_; }

  /// What the program asks of this rank; written from `ledger().open()` on.
  Ledger& ledger() const { return memory_->ledger(); }

  /// From now on meshes are made that check, before each collective, whether the ranks of the group agree on it: counts
  /// that do not fit each other throw CommunicationError on all of them. Costs a small collective or two each time; for
  /// tests, and to find why a job hangs.
  void check_communication(bool wanted = true) { checks_communication_ = wanted; }
  bool checks_communication() const { return checks_communication_; }

  /// Reports a failure and ends the job; to be called by the rank that failed. Where all ranks fail alike within two
  /// seconds, as they do when an error is found from facts that all share, the message appears once and the call
  /// returns 1. Otherwise each failed rank prints its message and the whole job is aborted: no rank is left waiting for
  /// this one.
  int fail(std::string_view message) {
    MPI_Request everyone_failed;
    MPI_Ibarrier(failure_communicator_, &everyone_failed);
    auto const patience = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    int arrived = 0;
    while (arrived == 0 && std::chrono::steady_clock::now() < patience) {
      MPI_Test(&everyone_failed, &arrived, MPI_STATUS_IGNORE);
      if (arrived == 0) {
        timespec const pause{0, 5'000'000};
        nanosleep(&pause, nullptr);
      }
    }
    if (arrived == 0) {
      print_failure(message);
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
    std::uint64_t first = std::hash<std::string>{}(without_ranks(message));
    std::uint64_t const own = first;
    MPI_Bcast(&first, 1, MPI_UINT64_T, 0, failure_communicator_);
    if (is_root() || own != first) print_failure(message);
    return 1;
  }

 private:
  void open(MPI_Comm communicator) {
    MPI_Comm_dup(communicator, &communicator_);
    MPI_Comm_dup(communicator, &failure_communicator_);
    MPI_Comm_rank(communicator_, &rank_);
    MPI_Comm_size(communicator_, &size_);
  }

  /// The message without the numbers of ranks, by which those of one fault may differ.
  static std::string without_ranks(std::string_view message) {
    constexpr std::string_view word = "rank ";
    std::string result;
    while (!message.empty()) {
      std::size_t const end = std::min(message.find(word), message.size());
      result += message.substr(0, end);
      message.remove_prefix(std::min(message.size(), end + word.size()));
      message.remove_prefix(std::min(message.find_first_not_of("0123456789"), message.size()));
    }
    return result;
  }

  void print_failure(std::string_view message) const {
    std::fflush(stdout);
    std::fprintf(stderr, "gshard: error on rank %d of %d: %.*s\n", rank_, size_, static_cast<int>(message.size()),
                 message.data());
    std::fflush(stderr);
  }

  bool owns_mpi_ = false;
  bool owns_kokkos_ = false;
  bool checks_communication_ = false;
  int rank_ = 0;
  int size_ = 1;
  MPI_Comm communicator_ = MPI_COMM_NULL;
  MPI_Comm failure_communicator_ = MPI_COMM_NULL;
  std::shared_ptr<MemoryPool> memory_ = std::make_shared<MemoryPool>();
};

/// Runs `program(Runtime&)` between the start and the end of MPI and Kokkos and returns the exit code for main: what
/// the program returns, or 0, or 1 after an exception, whose text is printed. An exception on one rank ends the whole
/// job. While the program runs, `argc` and `argv` hold its own options alone.
template <class Program>
int run(int& argc, char**& argv, Program&& program) {
  Runtime runtime(argc, argv);
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Program&, Runtime&>>) {
      program(runtime);
      return 0;
    } else {
      return program(runtime);
    }
  } catch (std::exception const& exception) {
    return runtime.fail(exception.what());
  } catch (...) {
    return runtime.fail("an exception that is not a std::exception");
  }
}

}  // namespace gshard
