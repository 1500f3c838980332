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

/// Writes a line to the standard error by one call, behind what this rank has printed before: the lines of several
/// ranks do not mix.
inline void print_error(std::string const& line) {
  std::cout.flush();
  std::fflush(stdout);
  std::fflush(stderr);
  std::string_view rest = line;
  while (!rest.empty()) {
    ssize_t const written = write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0) return;  // standard error is closed
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace detail

/// MPI and Kokkos, brought up and down together, and the storage that tensors share. Not copyable; one per program.
class Runtime {
 public:
  /// Starts what is not running yet; removes the options of MPI and Kokkos (`--kokkos-...`) from the command line. All
  /// else is the program's: of `--help`, which Kokkos would answer first with its own, it learns nothing.
  /// Throws StateError where MPI or Kokkos has ended already, CommunicationError where MPI has no MPI_THREAD_FUNNELED.
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
      if (argv != nullptr) *of_kokkos = nullptr;  // as argv[argc] of main is
      owns_kokkos_ = true;
    }
    open(MPI_COMM_WORLD);
  }

  /// Works on the ranks of `communicator`, which is duplicated. MPI and Kokkos are up already, and stay up; a program
  /// that has threads has asked MPI for MPI_THREAD_FUNNELED. Throws StateError where one of them is not up.
  explicit Runtime(MPI_Comm communicator) {
    if (!detail::mpi_is_running() || !Kokkos::is_initialized() || communicator == MPI_COMM_NULL)
      throw StateError(
          "Runtime(communicator): needs a communicator, and MPI and Kokkos to be running; start them first, or use run");
    open(communicator);
  }

  Runtime(Runtime const&) = delete;
  Runtime& operator=(Runtime const&) = delete;

  ~Runtime() {
    memory_.reset();
    for (void (*forget)() : forget_instances_) forget();
    communicator_.reset();
    detail::free_communicator(control_communicator_);
    if (owns_kokkos_) Kokkos::finalize();
    if (owns_mpi_) detail::report_mpi(MPI_Finalize(), "MPI_Finalize");
  }

  /// Runs all kernels of gshard on `instance`, such as `Kokkos::Cuda(stream)`, from now on; Kokkos' default instance
  /// until then. Kernels of other libraries on the same tensors belong on this instance too, or between fences. Waits
  /// for the kernels that run. The instance is given up when the runtime ends.
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

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  MPI_Comm communicator() const { return communicator_->get(); }
  std::shared_ptr<detail::Communicator const> const& shared_communicator() const { return communicator_; }
  std::shared_ptr<MemoryPool> const& memory() const { return memory_; }

  /// What the program asks of this rank; written from `ledger().open()` on.
  Ledger& ledger() const { return memory_->ledger(); }

  /// Checks communication, for tests and to find why a job hangs or fails inside MPI: the ranks of a group exchange one
  /// message of fixed size before each collective. Where they mean different operations, reductions, element types,
  /// counts or call sites, all of them throw CommunicationError before anything else is sent; the text names both
  /// sides. Where a rank does not come within `time_limit`, the ranks that wait throw, and the text says where each
  /// rank waits. A rank that ends the program given to `run` while others wait is one of them.
  ///
  /// To be called by all ranks alike before meshes are made: holds for the collectives of meshes made from now on, and
  /// for making meshes. Costs a message to every other rank of the group each time. A rank may compute for longer than
  /// the limit only where no other one waits for it. Does not see MPI calls that the program makes itself.
  /// Messages also name the operations of gshard that a rank is in, and the regions that the program marks by
  /// `Kokkos::Profiling::ScopedRegion`, as "layer 3 > gshard::einsum".
  void check_communication(bool wanted = true, std::chrono::duration<double> time_limit = std::chrono::seconds(60)) {
    detail::require_positive("time_limit (in seconds)", time_limit.count());
    check_ = wanted ? std::make_shared<detail::CommunicationCheck>(control_communicator_, time_limit) : nullptr;
  }
  bool checks_communication() const { return check_ != nullptr; }
  std::shared_ptr<detail::CommunicationCheck> const& communication_check() const { return check_; }

  /// Reports a failure and ends the job; to be called by the rank that failed. Where all ranks fail alike within two
  /// seconds, as they do when an error is found from facts that all share, the message appears once, different messages
  /// in the order of the ranks, and the call returns 1. Otherwise the first rank of those that failed prints its
  /// message and aborts the job: no rank is left waiting for it.
  int fail(std::string_view message) {
    try {
      if (all_ranks_fail()) print_failures(message);
      else abort(message);
    } catch (Error const& error) {
      abort(detail::concat(message, " (and then: ", error.what(), ")"));
    }
    return 1;
  }

  /// Ends a program: with checks, all ranks meet here, so that one that ends too early is found. Throws StateError
  /// where a mesh or a tensor outlives it.
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

  /// Waits two seconds for all ranks to come here.
  bool all_ranks_fail() const {
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

  /// Lets the first rank print the different messages of all.
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

  /// Prints and aborts. The lowest of the ranks that failed is the first to do so, and the last: where several fail,
  /// they mostly say the same.
  [[noreturn]] void abort(std::string_view message) const {
    sleep_ms(50 * std::min(rank_, 20));
    print_failure(rank_, message);
    MPI_Abort(MPI_COMM_WORLD, 1);
    std::abort();  // where MPI_Abort returns
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

  void print_failure(int rank, std::string_view message) const {
    detail::print_error(detail::concat("gshard: error on rank ", rank, " of ", size_, ": ", message, "\n"));
  }

  static void sleep_ms(int milliseconds) {
    timespec const pause{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
    nanosleep(&pause, nullptr);
  }

  /// The most characters of a message that the root gets from another rank.
  static constexpr std::size_t most_printed = 1 << 14;

  bool owns_mpi_ = false;
  bool owns_kokkos_ = false;
  int rank_ = 0;
  int size_ = 1;
  std::shared_ptr<detail::Communicator const> communicator_;  ///< shared with the meshes
  MPI_Comm control_communicator_ = MPI_COMM_NULL;             ///< for failures and checks
  std::shared_ptr<MemoryPool> memory_ = std::make_shared<MemoryPool>();
  std::shared_ptr<detail::CommunicationCheck> check_;
  std::vector<void (*)()> forget_instances_;  ///< one for each execution space given an instance
};

/// Runs `program(Runtime&)` between the start and the end of MPI and Kokkos and returns the exit code for main: what
/// the program, which returns int or nothing, returns, or 0, or 1 after an exception, whose text is printed. An
/// exception on one rank ends the whole job. While the program runs, `argc` and `argv` hold its own options alone.
///
/// MPI and Kokkos start once in a process. A program that starts them itself may call `run` as often as it likes; else
/// a second call prints why not, and returns 1. Meshes and tensors end before `program` returns.
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
