// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <mpi.h>

#include <gshard/core/error.hpp>

#include "mpi_test.hpp"

/// Wrong inputs: each call has to be refused by one exception, the same on all ranks, before a message is sent.
///
///     expect_refusal<StateError>("sum: unset tensor", [&] { sum(Tensor{}); }, "sum: x (unset)");
///
/// A row is named "function: mistake". Where types decide, the row is a file of test/compile_fail instead.
namespace gshard::test {

/// What a call did on this rank.
struct Outcome {
  std::string kind = "no exception";
  std::string message;
};

inline std::string kind_of(std::exception const& exception) {
  auto is = [&]<class Kind>(Kind const*) { return dynamic_cast<Kind const*>(&exception) != nullptr; };
  if (is(static_cast<MeshError*>(nullptr))) return "MeshError";
  if (is(static_cast<ExtentError*>(nullptr))) return "ExtentError";
  if (is(static_cast<CommunicationError*>(nullptr))) return "CommunicationError";
  if (is(static_cast<OptionError*>(nullptr))) return "OptionError";
  if (is(static_cast<IndexError*>(nullptr))) return "IndexError";
  if (is(static_cast<StateError*>(nullptr))) return "StateError";
  if (is(static_cast<MemoryError*>(nullptr))) return "MemoryError";
  if (is(static_cast<NonFiniteError*>(nullptr))) return "NonFiniteError";
  return is(static_cast<Error*>(nullptr)) ? "Error" : "an exception that is no gshard::Error";
}

inline Outcome outcome_of(std::function<void()> const& call) {
  try {
    call();
  } catch (std::exception const& exception) {
    return {kind_of(exception), exception.what()};
  }
  return {};
}

/// The message without the numbers behind "rank", by which the messages of one fault may differ.
inline std::string without_ranks(std::string const& message) {
  constexpr std::string_view word = "rank ";
  std::string result;
  for (std::size_t i = 0; i < message.size();) {
    bool const is_rank = message.compare(i, word.size(), word) == 0;
    result.append(message, i, is_rank ? word.size() : 1);
    i += is_rank ? word.size() : 1;
    while (is_rank && i < message.size() && message[i] >= '0' && message[i] <= '9') ++i;
  }
  return result;
}

/// Whether all ranks had the same outcome. Ends the job with a report where a rank does not leave the call within ten
/// seconds: it waits in a collective for those that threw.
inline bool all_ranks_agree(std::string_view row, Outcome const& outcome) {
  auto const hash =
      static_cast<std::int64_t>(std::hash<std::string>{}(outcome.kind + ": " + without_ranks(outcome.message)) >> 1U);
  std::array<std::int64_t, 2> const mine{hash, -hash};
  std::array<std::int64_t, 2> least{};
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(mine.data(), least.data(), 2, MPI_INT64_T, MPI_MIN, runtime().communicator(), &request);
  auto const patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  int arrived = 0;
  MPI_Test(&request, &arrived, MPI_STATUS_IGNORE);
  while (arrived == 0) {
    if (std::chrono::steady_clock::now() > patience) {
      std::fprintf(stderr, "[rank %d] %.*s: %s (%s) here, while another rank still waits inside the call\n", rank(),
                   static_cast<int>(row.size()), row.data(), outcome.kind.c_str(), outcome.message.c_str());
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    MPI_Test(&request, &arrived, MPI_STATUS_IGNORE);
  }
  return least[0] == -least[1];
}

/// The messages that this rank has sent while the ledger was open.
inline std::int64_t messages_sent() {
  std::int64_t sum = 0;
  for (Ledger::Traffic const& traffic : runtime().ledger().traffic()) sum += traffic.messages;
  return sum;
}

/// Runs the call on every rank and checks that all of them refuse it by an exception of this kind, with one message
/// that holds these words.
inline void check_refusal(std::string_view row, std::string_view kind, std::function<void()> const& call,
                          std::vector<std::string_view> const& words) {
  INFO("wrong input: ", std::string(row));
  Ledger& ledger = runtime().ledger();
  bool const was_open = ledger.is_open();
  ledger.open();
  std::int64_t const sent = messages_sent();
  Outcome const outcome = outcome_of(call);
  // Ids and norms are distributed: to check them takes a message.
  bool const may_send = kind == "IndexError" || kind == "NonFiniteError";
  if (!may_send) CHECK_MESSAGE(messages_sent() == sent, "a message is sent before the call is refused");
  if (!was_open) ledger.close();
  INFO(outcome.kind, ": ", outcome.message);
  CHECK_MESSAGE(outcome.kind == kind, "the call is to be refused by ", std::string(kind));
  for (std::string_view const word : words)
    CHECK_MESSAGE(outcome.message.find(word) != std::string::npos, "the message lacks: ", std::string(word));
  CHECK_MESSAGE(all_ranks_agree(row, outcome), "the ranks have different outcomes");
}

/// Checks that a function of a tensor refuses those that are unset: a default-constructed one, and one that was moved
/// from. `set` is of their type.
template <class Tensor>
void expect_refusal_of_unset(std::string const& function, Tensor const& set,
                             std::function<void(Tensor const&)> const& call) {
  Tensor moved_from = set;
  Tensor const moved_to = std::move(moved_from);
  check_refusal(function + ": default-constructed tensor", "StateError", [&] { call(Tensor{}); }, {"unset"});
  check_refusal(function + ": moved-from tensor", "StateError", [&] { call(moved_from); }, {"unset"});
}

/// As check_refusal: `Kind` is the exception, `words` are what its message has to hold.
template <class Kind, class... Words>
void expect_refusal(std::string_view row, std::function<void()> const& call, Words const&... words) {
  check_refusal(row, kind_of(Kind("")), call, {std::string_view(words)...});
}

}  // namespace gshard::test
