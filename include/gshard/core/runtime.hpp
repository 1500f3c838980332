// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <mpi.h>
#include <Kokkos_Core.hpp>

#include <gshard/core/communication_check.hpp>
#include <gshard/core/execution.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/core/mpi.hpp>
#include <gshard/core/options.hpp>

namespace gshard {

namespace detail {

/// Writes a line to standard error, after flushing standard output and standard error of this rank.
/// Calls `write` directly: a line in one system call does not mix with the lines of other ranks.
inline void print_error(std::string const& line) {
  std::cout.flush();
  std::fflush(stdout);
  std::fflush(stderr);
  std::string_view rest = line;
  while (!rest.empty()) {
    ssize_t const written = write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0) return;  // write fails when standard error is closed
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace detail

/// Initializes and finalizes MPI and Kokkos; owns the communicators and the memory pool that tensors share.
/// Not copyable. Programs usually get one from `run`.
class Runtime {
 public:
  /// Initializes MPI and Kokkos where they are not initialized yet, and works on MPI_COMM_WORLD.
  /// Removes the options of MPI and the options `--kokkos-...` from `argc` and `argv`; all other arguments stay.
  /// Communication: collective over MPI_COMM_WORLD.
  /// Throws StateError if MPI or Kokkos has been finalized already.
  /// Throws CommunicationError if an MPI call fails, or if MPI does not provide MPI_THREAD_FUNNELED.
  Runtime(int& argc, char**& argv) {
    int mpi_started = 0;
    int mpi_ended = 0;
    detail::require_mpi(MPI_Initialized(&mpi_started), "MPI_Initialized");
    detail::require_mpi(MPI_Finalized(&mpi_ended), "MPI_Finalized");
    require_not_ended(mpi_ended != 0, "MPI");
    require_not_ended(Kokkos::is_finalized(), "Kokkos");
    if (mpi_started == 0) {
      int provided = MPI_THREAD_SINGLE;
      detail::require_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
      owns_mpi_ = true;
      if (provided < MPI_THREAD_FUNNELED)
        throw CommunicationError(
            "MPI_Init_thread provides MPI_THREAD_SINGLE, but kernels run in threads of a process that calls MPI; "
            "use an MPI with MPI_THREAD_FUNNELED");
    }
    if (!Kokkos::is_initialized()) {
      // Only `--kokkos-...` reaches Kokkos: Kokkos::initialize would answer `--help` in place of the program.
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
      if (argv != nullptr) *of_kokkos = nullptr;  // main guarantees argv[argc] == nullptr
      owns_kokkos_ = true;
    }
    open(MPI_COMM_WORLD);
  }

  /// Works on the ranks of `communicator`, and leaves MPI and Kokkos initialized at the end.
  /// Preconditions: MPI and Kokkos are initialized; MPI with MPI_THREAD_FUNNELED if the process has threads.
  /// Communication: duplicates `communicator` twice, which is collective over it.
  /// Throws StateError if MPI or Kokkos is not running or `communicator` is MPI_COMM_NULL.
  /// Throws CommunicationError if an MPI call fails.
  explicit Runtime(MPI_Comm communicator) {
    if (!detail::mpi_is_running() || !Kokkos::is_initialized() || communicator == MPI_COMM_NULL)
      throw StateError(
          "Runtime(communicator): needs a communicator, and MPI and Kokkos to be running; start them first, or use run");
    open(communicator);
  }

  Runtime(Runtime const&) = delete;
  Runtime& operator=(Runtime const&) = delete;

  /// Frees the communicators, and finalizes Kokkos and MPI if this runtime initialized them.
  /// Communication: collective over the ranks of the runtime.
  ~Runtime() {
    memory_.reset();
    for (void (*forget)() : forget_instances_) forget();
    communicator_.reset();
    detail::free_communicator(control_communicator_);
    if (owns_kokkos_) Kokkos::finalize();
    if (owns_mpi_) detail::report_mpi(MPI_Finalize(), "MPI_Finalize");
  }

  /// Selects the execution-space instance, such as `Kokkos::Cuda(stream)`, on which gshard launches its kernels.
  /// Without a call, gshard uses Kokkos' default instance.
  /// Fences the instance used before; releases `instance` when the runtime ends.
  /// Precondition: kernels of other libraries on the same tensors run on this instance too, or between fences.
  template <class ExecutionSpace>
  void use_execution_space(ExecutionSpace const& instance) {
    static_assert(
        Kokkos::is_execution_space_v<ExecutionSpace>,
        "gshard: use_execution_space takes an instance of a Kokkos execution space; give it one, as Kokkos::Cuda(stream)");
    std::optional<ExecutionSpace>& chosen = detail::chosen_execution_space<ExecutionSpace>();
    chosen.value_or(ExecutionSpace()).fence("gshard: local work before another execution-space instance is used");
    chosen = instance;
    void (*const forget)() = [] { detail::chosen_execution_space<ExecutionSpace>().reset(); };
    if (std::ranges::find(forget_instances_, forget) == forget_instances_.end()) forget_instances_.push_back(forget);
  }

  /// Returns the MPI rank of this process, in [0, size()).
  int rank() const { return rank_; }
  /// Returns the number of ranks.
  int size() const { return size_; }
  /// Returns whether this is rank 0.
  bool is_root() const { return rank_ == 0; }
  /// Returns gshard's own duplicate of the communicator; it is freed with the runtime and its meshes.
  MPI_Comm communicator() const { return communicator_->get(); }
  /// Returns the owner of `communicator()`, which meshes share.
  std::shared_ptr<detail::Communicator const> const& shared_communicator() const { return communicator_; }
  /// Returns the memory pool of this rank.
  std::shared_ptr<MemoryPool> const& memory() const { return memory_; }

  /// Returns the ledger of this rank. Counts memory always, work and messages after `ledger().open()`.
  Ledger& ledger() const { return memory_->ledger(); }

  /// Checks every collective of gshard before it starts; finds why a job hangs or fails inside MPI.
  /// - If the ranks of a group enter different operations, reductions, element types, counts or call sites, all ranks
  ///   of the group throw CommunicationError, and the message names two ranks that differ.
  /// - If a rank does not arrive within `time_limit`, the waiting ranks throw CommunicationError, and the message says
  ///   where each rank waits. A rank that has left the program given to `run` counts as waiting at its end.
  /// - Messages name the enclosing regions, as "layer 3 > gshard::einsum": those of gshard and those that the program
  ///   opens by `Kokkos::Profiling::ScopedRegion`.
  ///
  /// Applies to the construction of meshes and to the collectives of meshes constructed after the call.
  /// Does not check MPI calls of the program itself.
  /// `wanted == false` switches the checks off for later meshes.
  /// Units: `time_limit` in seconds, 60 by default.
  /// Preconditions: all ranks call it with the same arguments; while a rank waits, no rank of its group computes for
  /// longer than `time_limit`.
  /// Communication of a check: one message of fixed size to every other rank of the group, before each collective.
  /// Throws OptionError unless `time_limit` is a finite number above 0.
  void check_communication(bool wanted = true, std::chrono::duration<double> time_limit = std::chrono::seconds(60)) {
    detail::require_positive("time_limit (in seconds)", time_limit.count());
    check_ = wanted ? std::make_shared<detail::CommunicationCheck>(control_communicator_, time_limit) : nullptr;
  }
  /// Returns whether meshes constructed now check their collectives.
  bool checks_communication() const { return check_ != nullptr; }
  /// Returns the check that new meshes use; null without checks.
  std::shared_ptr<detail::CommunicationCheck> const& communication_check() const { return check_; }

  /// Reports the failure of this rank and returns 1, or aborts the job.
  /// If all ranks call it within two seconds of each other, rank 0 prints each distinct message once, in rank order,
  /// and every rank returns 1. Otherwise this rank prints its message and calls MPI_Abort, so that no rank waits for
  /// a failed one.
  /// Communication: MPI_Ibarrier over all ranks; if all arrive, two gathers to rank 0.
  int fail(std::string_view message) {
    try {
      if (all_ranks_fail()) print_failures(message);
      else abort(message);
    } catch (Error const& error) {
      abort(detail::concat(message, " (and then: ", error.what(), ")"));
    }
    return 1;
  }

  /// Checks the end of the program given to `run`.
  /// Communication: one message to every other rank if communication is checked, to find a rank that ends too early;
  /// none otherwise.
  /// Throws StateError if a mesh or a tensor outlives the program and this runtime finalizes MPI or Kokkos.
  /// Throws CommunicationError if communication is checked and a rank does not arrive within the time limit.
  void end_program() {
    if (check_) check_->meet({"the end of the program given to run", "", ""});
    if (memory_.use_count() > 1 && (owns_kokkos_ || owns_mpi_))
      throw StateError(
          detail::concat("a mesh or a tensor outlives the program given to run, and MPI and Kokkos end with it (",
                         ledger().bytes_in_use(),
                         " bytes are in use on this rank); declare it inside that program, or reset it there"));
  }

 private:
  static void require_not_ended(bool has_ended, std::string_view library) {
    if (has_ended)
      throw StateError(detail::concat(
          "run: ", library,
          " has ended already and cannot start again; call run once, or start and end MPI and Kokkos in main"));
  }

  void open(MPI_Comm communicator) {
    communicator_ = std::make_shared<detail::Communicator const>(communicator);
    control_communicator_ = detail::duplicate(communicator);
    detail::require_mpi(MPI_Comm_rank(communicator_->get(), &rank_), "MPI_Comm_rank");
    detail::require_mpi(MPI_Comm_size(communicator_->get(), &size_), "MPI_Comm_size");
  }

  /// Returns whether all ranks arrive within two seconds.
  bool all_ranks_fail() const {
    // A barrier with a time limit: MPI_Barrier would hang if one rank has not failed. An error that all ranks find from
    // the same facts reaches all of them at about the same time.
    MPI_Request request = MPI_REQUEST_NULL;
    detail::require_mpi(MPI_Ibarrier(control_communicator_, &request), "MPI_Ibarrier");
    auto const end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    int arrived = 0;
    while (arrived == 0 && std::chrono::steady_clock::now() < end) {
      detail::require_mpi(MPI_Test(&request, &arrived, MPI_STATUS_IGNORE), "MPI_Test");
      if (arrived == 0) sleep_ms(5);
    }
    return arrived != 0;
  }

  /// Gathers the messages on rank 0, which prints each distinct one once. Collective.
  void print_failures(std::string_view message) const {
    int const most = std::numeric_limits<int>::max() / size_;
    int const length = static_cast<int>(std::min({message.size(), most_printed, static_cast<std::size_t>(most)}));
    std::vector<int> lengths(static_cast<std::size_t>(size_));
    detail::require_mpi(MPI_Gather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, 0, control_communicator_),
                        "MPI_Gather");
    std::vector<int> offsets;
    int sum = 0;
    for (int one : lengths) {
      offsets.push_back(sum);
      sum += one;
    }
    std::string all(static_cast<std::size_t>(is_root() ? sum : 0), ' ');
    detail::require_mpi(MPI_Gatherv(message.data(), length, MPI_CHAR, all.data(), lengths.data(), offsets.data(),
                                    MPI_CHAR, 0, control_communicator_),
                        "MPI_Gatherv");
    std::vector<std::string> printed;
    for (std::size_t rank = 0; is_root() && rank < lengths.size(); ++rank) {
      std::string const text =
          all.substr(static_cast<std::size_t>(offsets[rank]), static_cast<std::size_t>(lengths[rank]));
      if (std::ranges::find(printed, without_ranks(text)) != printed.end()) continue;
      printed.push_back(without_ranks(text));
      print_failure(static_cast<int>(rank), text);
    }
  }

  /// Prints the message and aborts the job.
  /// The delay grows with the rank, to at most one second: the lowest failed rank aborts first and ends the others
  /// before they print, since failed ranks mostly report the same error.
  [[noreturn]] void abort(std::string_view message) const {
    sleep_ms(50 * std::min(rank_, 20));
    print_failure(rank_, message);
    MPI_Abort(MPI_COMM_WORLD, 1);
    std::abort();  // MPI_Abort may return
  }

  /// Returns the message without the numbers after "rank ", in which messages about one fault may differ.
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

  void print_failure(int rank, std::string_view message) const {
    detail::print_error(detail::concat("gshard: error on rank ", rank, " of ", size_, ": ", message, "\n"));
  }

  static void sleep_ms(int milliseconds) {
    timespec const pause{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
    nanosleep(&pause, nullptr);
  }

  /// Maximum number of characters that rank 0 gathers from each rank.
  static constexpr std::size_t most_printed = 1 << 14;

  bool owns_mpi_ = false;
  bool owns_kokkos_ = false;
  int rank_ = 0;
  int size_ = 1;
  std::shared_ptr<detail::Communicator const> communicator_;  ///< shared with the meshes
  MPI_Comm control_communicator_ = MPI_COMM_NULL;             ///< used by `fail` and by checks only
  std::shared_ptr<MemoryPool> memory_ = std::make_shared<MemoryPool>();
  std::shared_ptr<detail::CommunicationCheck> check_;
  std::vector<void (*)()> forget_instances_;  ///< one per execution space with a chosen instance
};

/// Runs `program(Runtime&)` between the initialization and the finalization of MPI and Kokkos; returns an exit code.
/// The exit code is the int that `program` returns, 0 if it returns void, 1 after an exception.
/// Prints the text of an exception; an exception on one rank ends the whole job (Runtime::fail).
/// Removes the options of MPI and Kokkos from `argc` and `argv` before it calls `program`.
/// Precondition: meshes and tensors end before `program` returns.
///
/// A process can initialize MPI and Kokkos only once. A second call therefore prints an error and returns 1, unless
/// the process initializes and finalizes both itself; then it may call `run` any number of times.
template <class Program>
int run(int& argc, char**& argv, Program&& program) {
  using Result = std::invoke_result_t<Program&, Runtime&>;
  static_assert(std::is_void_v<Result> || std::is_same_v<Result, int>,
                "gshard: the program given to run returns an exit code of type int, or nothing");
  try {
    Runtime runtime(argc, argv);
    try {
      int code = 0;
      if constexpr (std::is_void_v<Result>) program(runtime);
      else code = program(runtime);
      runtime.end_program();
      return code;
    } catch (std::exception const& exception) {
      return runtime.fail(exception.what());
    } catch (...) {
      return runtime.fail("an exception that is not a std::exception");
    }
  } catch (std::exception const& exception) {
    detail::print_error(detail::concat("gshard: error: ", exception.what(), "\n"));
    if (detail::mpi_is_running()) MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
  }
}

}  // namespace gshard
