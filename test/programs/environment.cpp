// SPDX-License-Identifier: Apache-2.0
// What a C++ or MPI program takes for granted, before, inside and after run: its arguments, signal handlers, locale,
// random numbers, floating-point mode; with "own MPI" also MPI, Kokkos and the error handler that it has set itself.
#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <locale>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <gshard/reduce.hpp>

using namespace gshard;

namespace {

int faults = 0;

void expect(bool is_right, std::string const& what) {
  if (is_right) return;
  std::printf("not as before: %s\n", what.c_str());
  faults += 1;
}

extern "C" void own_handler(int) {}
[[noreturn]] void own_terminate() { std::abort(); }

int constexpr signals[] = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD, SIGALRM,
                           SIGSEGV, SIGBUS,  SIGFPE, SIGABRT, SIGILL,  SIGCONT, SIGTSTP, SIGWINCH};

std::vector<void (*)(int)> handlers() {
  std::vector<void (*)(int)> result;
  for (int number : signals) {
    struct sigaction action{};
    sigaction(number, nullptr, &action);
    result.push_back(action.sa_handler);
  }
  return result;
}

/// A comma as the decimal point, and points between thousands: what number formats of some languages have.
struct Continental : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

struct State {
  std::vector<void (*)(int)> signal_handlers = handlers();
  std::terminate_handler terminate_handler = std::get_terminate();
  std::new_handler new_handler = std::get_new_handler();
  std::string locale = std::setlocale(LC_ALL, nullptr);
  int rounding = std::fegetround();
  std::locale cpp_locale{};
};

void compare(State const& before, std::string const& when) {
  State const now;
  for (std::size_t i = 0; i < now.signal_handlers.size(); ++i)
    expect(now.signal_handlers[i] == before.signal_handlers[i],
           "the handler of signal " + std::to_string(signals[i]) + when);
  expect(now.terminate_handler == before.terminate_handler, "the terminate handler" + when);
  expect(now.new_handler == before.new_handler, "the new handler" + when);
  expect(now.locale == before.locale, "the locale" + when);
  expect(now.cpp_locale == before.cpp_locale, "the locale of streams" + when);
  expect(now.rounding == before.rounding, "the rounding mode" + when);
  volatile double subnormal = 1e-310;
  expect(subnormal / 2 > 0, "subnormal numbers" + when);
}

using Grid = Mesh<Axis<"x">>;
using Vector = ShardedTensor<Grid, Spec<"x">>;

void program(Runtime& runtime, int argc, char** argv, State const& before) {
  compare(before, " inside of run");
  std::srand(7);
  int const first = std::rand();
  std::srand(7);
  Grid const grid(runtime, {runtime.size()});
  Vector const x(grid, {1234567}, "x");
  expect(sum(x) == 0, "a sum");
  expect(std::rand() == first, "the numbers of std::rand");
  compare(before, " after an operation");
  expect(argv[argc] == nullptr, "argv[argc]");
  for (int i = 1; i < argc; ++i)
    expect(!std::string_view(argv[i]).starts_with("--kokkos"), "an argument without Kokkos: " + std::string(argv[i]));
  expect(argc >= 2 && std::string_view(argv[argc - 1]) == "last", "the last argument");
  // Numbers in texts of the library are in the C locale, whatever that of the program's streams is.
  std::locale const previous = std::locale::global(std::locale(std::locale(), new Continental));
  try {
    Vector const y(grid, {-1234567}, "y");
  } catch (ExtentError const& error) {
    expect(std::string_view(error.what()).find("(-1234567)") != std::string_view::npos, "numbers in messages");
  }
  std::locale::global(previous);
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view const what = argc > 1 ? argv[1] : "";
  for (int number : signals) std::signal(number, own_handler);
  std::set_terminate(own_terminate);
  bool const owns_mpi = what == "own MPI";
  if (owns_mpi) {
    MPI_Init(&argc, &argv);
    Kokkos::initialize();
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  }
  State const before;
  for (int round = 0; round < (owns_mpi ? 2 : 1); ++round) {
    int const code = run(argc, argv, [&](Runtime& runtime) {
      program(runtime, argc, argv, before);
      return faults == 0 ? 0 : 7;
    });
    expect(code == 0, "exit code 0");
  }
  compare(before, " after run");
  if (owns_mpi) {
    expect(Kokkos::is_initialized(), "Kokkos");
    MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &handler);
    expect(handler == MPI_ERRORS_RETURN, "the error handler of MPI_COMM_WORLD");
    Kokkos::finalize();
    MPI_Finalize();
    expect(run(argc, argv, [](Runtime&) {}) == 1, "run after the end of MPI is refused");
    try {
      Runtime const too_late(MPI_COMM_WORLD);
      expect(false, "Runtime without MPI is refused");
    } catch (StateError const&) {
    }
  }
  return faults;
}
