// SPDX-License-Identifier: Apache-2.0
// The main program of all tests: doctest on every rank of an MPI job.
#define DOCTEST_CONFIG_IMPLEMENT
#include "mpi_test.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <ostream>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>

namespace gshard::test {
namespace {

Runtime* current_runtime = nullptr;

/// Passes text on to the standard output line by line, each line behind a prefix and in one piece.
class LineBuffer : public std::streambuf {
 public:
  explicit LineBuffer(std::string prefix) : prefix_(std::move(prefix)), line_(prefix_) {}
  ~LineBuffer() override {
    if (line_.size() > prefix_.size()) write();
  }

 private:
  int_type overflow(int_type character) override {
    if (traits_type::eq_int_type(character, traits_type::eof())) return traits_type::not_eof(character);
    line_ += traits_type::to_char_type(character);
    if (line_.back() == '\n') write();
    return character;
  }

  void write() {
    std::fwrite(line_.data(), 1, line_.size(), stdout);
    std::fflush(stdout);
    line_ = prefix_;
  }

  std::string prefix_;
  std::string line_;
};

/// What all ranks together found; one per program, since doctest makes its listeners itself.
struct Verdict {
  MPI_Comm communicator = MPI_COMM_NULL;
  std::ostream* out = nullptr;
  std::vector<std::string> complaints;
  int cases = 0;
};

Verdict verdict;

/// Lets the ranks agree on each case when it ends, so that a failure on one rank is a failure of the job and never
/// leaves the others waiting.
class RankListener : public doctest::IReporter {
 public:
  explicit RankListener(doctest::ContextOptions const&) {}

  void test_case_start(doctest::TestCaseData const& data) override {
    name_ = data.m_name;
    if (ranks() > 1 && rank() == 0) *verdict.out << "case: " << name_ << '\n';
  }

  void test_case_end(doctest::CurrentTestCaseStats const& stats) override {
    bool const failed = !stats.testCaseSuccess;
    std::array<int, 2> const mine = {failed ? 1 : 0, stats.numAssertsCurrentTest};
    std::array<int, 2> sum{};
    MPI_Request request;
    MPI_Iallreduce(mine.data(), sum.data(), 2, MPI_INT, MPI_SUM, verdict.communicator, &request);
    if (failed) wait_for_others(request);
    else MPI_Wait(&request, MPI_STATUS_IGNORE);
    verdict.cases += 1;
    if (sum[0] > 0)
      verdict.complaints.push_back(name_ + ": failed on " + std::to_string(sum[0]) + " of " + std::to_string(ranks()) +
                                   " ranks");
    if (sum[1] == 0) verdict.complaints.push_back(name_ + ": asserts nothing on " + std::to_string(ranks()) + " ranks");
  }

  void test_case_skipped(doctest::TestCaseData const& data) override {
    if (data.m_skip) verdict.complaints.push_back(std::string(data.m_name) + ": skipped");
  }

  void report_query(doctest::QueryData const&) override {}
  void test_run_start() override {}
  void test_run_end(doctest::TestRunStats const&) override {}
  void test_case_reenter(doctest::TestCaseData const&) override {}
  void test_case_exception(doctest::TestCaseException const&) override {}
  void subcase_start(doctest::SubcaseSignature const&) override {}
  void subcase_end() override {}
  void log_assert(doctest::AssertData const&) override {}
  void log_message(doctest::MessageData const&) override {}

 private:
  /// A rank that left a case early may have left the others inside a collective for ever.
  void wait_for_others(MPI_Request& request) {
    auto const patience = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    int arrived = 0;
    while (arrived == 0) {
      MPI_Test(&request, &arrived, MPI_STATUS_IGNORE);
      if (arrived == 0 && std::chrono::steady_clock::now() > patience) {
        *verdict.out << name_ << ": failed on this rank while others still wait inside it; the job ends here\n"
                     << std::flush;
        MPI_Abort(MPI_COMM_WORLD, 1);
      }
      if (arrived == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::string name_;
};

DOCTEST_REGISTER_LISTENER("ranks", 1, RankListener);

int run_cases(int argc, char** argv, Runtime& runtime) {
  current_runtime = &runtime;
  LineBuffer buffer(ranks() > 1 ? "[rank " + std::to_string(rank()) + "] " : "");
  std::ostream out(&buffer);
  verdict.out = &out;
  MPI_Comm_dup(runtime.communicator(), &verdict.communicator);

  int failed = 0;
  {
    doctest::Context context;
    context.setOption("no-intro", true);
    context.setOption("no-version", true);
    context.setOption("no-colors", true);
    context.setOption("minimal", rank() != 0);
    context.setCout(&out);
    context.applyCommandLine(argc, argv);
    failed = context.run();
    if (context.shouldExit()) verdict.cases = 1;
  }
  if (verdict.cases == 0) verdict.complaints.emplace_back("no case ran");
  if (rank() == 0)
    for (std::string const& complaint : verdict.complaints) out << complaint << '\n';
  out << std::flush;
  MPI_Comm_free(&verdict.communicator);
  return failed != 0 || !verdict.complaints.empty() ? 1 : 0;
}

}  // namespace

Runtime& runtime() { return *current_runtime; }
int ranks() { return current_runtime->size(); }
int rank() { return current_runtime->rank(); }

}  // namespace gshard::test

int main(int argc, char** argv) {
  return gshard::run(argc, argv,
                     [&](gshard::Runtime& runtime) { return gshard::test::run_cases(argc, argv, runtime); });
}
