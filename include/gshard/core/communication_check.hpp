// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <mpi.h>
#include <Kokkos_Core.hpp>

#include <gshard/core/error.hpp>
#include <gshard/core/mpi.hpp>

namespace gshard::detail {

/// Returns a source location as "reduce/total.hpp:46": folder, file and line.
inline std::string text_of(std::source_location const& site) {
  std::string_view file = site.file_name();
  std::size_t const name = file.rfind('/');
  std::size_t const folder = name == std::string_view::npos || name == 0 ? name : file.rfind('/', name - 1);
  if (folder != std::string_view::npos) file.remove_prefix(folder + 1);
  return concat(file, ":", site.line());
}

/// Stack of the Kokkos profiling regions that this rank is in, those of gshard and those of the program.
/// Callbacks of Kokkos Tools maintain it after `follow`; they also call the callbacks of a loaded tool.
class Regions {
 public:
  /// Starts to follow the regions of the calling thread; later calls do nothing.
  static void follow() {
    State& state = Regions::state();
    if (std::exchange(state.is_followed, true)) return;
    auto const callbacks = Kokkos::Tools::Experimental::get_callbacks();
    state.tool_push = callbacks.push_region;
    state.tool_pop = callbacks.pop_region;
    Kokkos::Tools::Experimental::set_push_region_callback(&push);
    Kokkos::Tools::Experimental::set_pop_region_callback(&pop);
  }

  /// Returns the regions, outermost first, as "layer 3 > gshard::einsum".
  static std::string text() {
    std::string result;
    for (std::string const& name : state().names) result += (result.empty() ? "" : " > ") + name;
    return result;
  }

 private:
  struct State {
    bool is_followed = false;
    std::thread::id thread = std::this_thread::get_id();
    std::vector<std::string> names;
    Kokkos_Profiling_pushFunction tool_push = nullptr;
    Kokkos_Profiling_popFunction tool_pop = nullptr;
  };

  static State& state() {
    static State state;
    return state;
  }

  static void push(char const* name) {
    if (state().tool_push != nullptr) state().tool_push(name);
    if (state().thread == std::this_thread::get_id()) state().names.emplace_back(name);
  }

  static void pop() {
    if (state().tool_pop != nullptr) state().tool_pop();
    if (state().thread == std::this_thread::get_id() && !state().names.empty()) state().names.pop_back();
  }
};

/// Description of a collective that a rank is about to enter; the message, of fixed size, that ranks exchange.
/// Texts are cut to the size of their arrays.
struct CollectiveCall {
  char operation[64]{};        ///< as "all_reduce (maximum) of float"
  char site[96]{};             ///< as "reduce/total.hpp:46"
  char regions[128]{};         ///< as "layer 3 > gshard::einsum"; may differ between ranks
  char axes[64]{};             ///< axes of the group
  std::uint64_t counts = 0;    ///< fingerprint of the numbers that must be equal on all members
  std::uint64_t sent = 0;      ///< sum over messages sent of fingerprint(sender, receiver, count)
  std::uint64_t expected = 0;  ///< the same over messages expected; sum of sent = sum of expected over all members
  std::int64_t number = 0;     ///< number of collectives that this rank has entered, this one included

  CollectiveCall() = default;
  CollectiveCall(std::string_view operation_text, std::string_view site_text, std::string_view axes_text) {
    copy(operation_text, operation);
    copy(site_text, site);
    copy(axes_text, axes);
    copy(Regions::text(), regions);
  }

  /// Returns whether operation and call site agree.
  bool is_like(CollectiveCall const& other) const {
    return std::string_view(operation) == other.operation && std::string_view(site) == other.site;
  }

  /// Returns the text `OPERATION at SITE in REGIONS over "AXES"`, without the parts that are empty.
  std::string text() const {
    std::string result(operation);
    if (*site != '\0') result += detail::concat(" at ", site);
    if (*regions != '\0') result += detail::concat(" in ", regions);
    if (*axes != '\0') result += detail::concat(" over \"", axes, "\"");
    return result;
  }

 private:
  template <std::size_t Size>
  static void copy(std::string_view from, char (&to)[Size]) {
    from.copy(to, Size - 1);
  }
};

/// Returns a 64-bit hash of a sequence of numbers; `seed` is the hash of the numbers before.
inline std::uint64_t fingerprint(std::initializer_list<std::int64_t> numbers, std::uint64_t seed = 0) {
  for (std::int64_t number : numbers) {
    seed = (seed ^ static_cast<std::uint64_t>(number)) + 0x9e3779b97f4a7c15U;
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9U;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebU;
    seed ^= seed >> 31;
  }
  return seed;
}

/// Exchange of collective descriptions before a collective, with a time limit and a report of where ranks wait.
class CommunicationCheck {
 public:
  /// Checks the ranks of a runtime; `communicator` holds all of them.
  /// Uses point-to-point messages only, so that `communicator` stays free for collectives of the runtime.
  CommunicationCheck(MPI_Comm communicator, std::chrono::duration<double> time_limit)
      : everyone_(communicator), time_limit_(time_limit) {
    require_mpi(MPI_Comm_rank(everyone_, &rank_), "MPI_Comm_rank");
    require_mpi(MPI_Comm_size(everyone_, &size_), "MPI_Comm_size");
    Regions::follow();
  }

  /// Exchanges `own` with the other ranks of `communicator`; returns the descriptions of all ranks, in rank order.
  /// Communication: one message to every other rank.
  /// Throws CommunicationError on every waiting rank of the runtime when one of them has waited for the time limit.
  std::vector<CollectiveCall> meet(MPI_Comm communicator, CollectiveCall own) {
    own.number = ++calls_;
    int rank = 0;
    int size = 0;
    require_mpi(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank");
    require_mpi(MPI_Comm_size(communicator, &size), "MPI_Comm_size");
    auto calls = std::make_shared<std::vector<CollectiveCall>>(static_cast<std::size_t>(size));
    (*calls)[static_cast<std::size_t>(rank)] = own;
    std::vector<MPI_Request> requests;
    for (int other = 0; other < size; ++other)
      if (other != rank)
        require_mpi(MPI_Irecv(&(*calls)[static_cast<std::size_t>(other)], bytes, MPI_BYTE, other, meeting_tag,
                              communicator, &requests.emplace_back()),
                    "MPI_Irecv");
    std::size_t const receives = requests.size();
    for (int other = 0; other < size; ++other)
      if (other != rank)
        require_mpi(MPI_Isend(&(*calls)[static_cast<std::size_t>(rank)], bytes, MPI_BYTE, other, meeting_tag,
                              communicator, &requests.emplace_back()),
                    "MPI_Isend");
    auto const start = Clock::now();
    for (Patience patience; !are_complete(requests); patience.wait()) {
      if (Clock::now() - start < time_limit_ && !is_alarmed()) continue;
      for (std::size_t i = 0; i < requests.size(); ++i) give_up(requests[i], i < receives);
      abandoned_.push_back(calls);
      throw CommunicationError(explanation(own));
    }
    return std::move(*calls);
  }

  /// Exchanges `own` with all ranks of the runtime.
  std::vector<CollectiveCall> meet(CollectiveCall const& own) { return meet(everyone_, own); }

 private:
  using Clock = std::chrono::steady_clock;

  // The largest tags that every MPI provides (MPI_TAG_UB >= 32767): programs that send messages of their own on the
  // communicators of a mesh are unlikely to use them.
  static constexpr int meeting_tag = 32766;
  static constexpr int alarm_tag = 32767;
  static constexpr int bytes = static_cast<int>(sizeof(CollectiveCall));
  /// Time that waiting ranks have to answer an alarm.
  static constexpr std::chrono::seconds time_to_answer{1};

  /// Waiting that yields at first and sleeps later: with more ranks than cores, spinning would delay the other ranks.
  struct Patience {
    int rounds = 0;
    void wait() {
      timespec const pause{0, 100'000};
      if (++rounds < 1000) sched_yield();
      else nanosleep(&pause, nullptr);
    }
  };

  static bool are_complete(std::vector<MPI_Request>& requests) {
    int done = 0;
    require_mpi(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE),
                "MPI_Testall");
    return done != 0;
  }

  /// Cancels a receive, or frees the request of a send.
  static void give_up(MPI_Request& request, bool is_receive) {
    if (request == MPI_REQUEST_NULL) return;
    if (!is_receive) return require_mpi(MPI_Request_free(&request), "MPI_Request_free");
    require_mpi(MPI_Cancel(&request), "MPI_Cancel");
    require_mpi(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
  }

  /// Returns whether another rank reports that its time limit has passed.
  bool is_alarmed() const {
    int arrived = 0;
    require_mpi(MPI_Iprobe(MPI_ANY_SOURCE, alarm_tag, everyone_, &arrived, MPI_STATUS_IGNORE), "MPI_Iprobe");
    return arrived != 0;
  }

  /// Sends an alarm with `own` to all ranks, collects their alarms, and returns the message of the error.
  std::string explanation(CollectiveCall const& own) {
    auto calls = std::make_shared<std::vector<CollectiveCall>>(static_cast<std::size_t>(size_));
    (*calls)[static_cast<std::size_t>(rank_)] = own;
    abandoned_.push_back(calls);
    std::vector<MPI_Request> requests;
    for (int other = 0; other < size_; ++other)
      if (other != rank_)
        require_mpi(MPI_Isend(&(*calls)[static_cast<std::size_t>(rank_)], bytes, MPI_BYTE, other, alarm_tag, everyone_,
                              &requests.emplace_back()),
                    "MPI_Isend");
    auto const end = Clock::now() + time_to_answer;
    int answers = 1;
    for (Patience patience; Clock::now() < end && (answers < size_ || !are_complete(requests)); patience.wait())
      while (is_alarmed()) {
        MPI_Status status;
        CollectiveCall call;
        require_mpi(MPI_Recv(&call, bytes, MPI_BYTE, MPI_ANY_SOURCE, alarm_tag, everyone_, &status), "MPI_Recv");
        (*calls)[static_cast<std::size_t>(status.MPI_SOURCE)] = call;
        answers += 1;
      }
    for (MPI_Request& request : requests) give_up(request, false);
    return concat("check_communication: a rank has waited for the others for ", time_limit_.count(), " s",
                  places(*calls), "; all ranks of a group have to call the same operations in the same order");
  }

  /// Returns where the ranks wait, grouped: "; ranks 0, 2 entered ..., as collective number 17, and waits there".
  static std::string places(std::vector<CollectiveCall> const& calls) {
    std::vector<std::pair<std::string, std::vector<std::size_t>>> places;
    for (std::size_t rank = 0; rank < calls.size(); ++rank) {
      std::string const place = calls[rank].number == 0
                                    ? "did not answer, as a rank that computes, or waits outside of gshard"
                                    : concat("entered ", calls[rank].text(), ", as collective number ",
                                             calls[rank].number, ", and ", "waits there");
      auto const same = std::ranges::find(places, place, &std::pair<std::string, std::vector<std::size_t>>::first);
      if (same == places.end()) places.push_back({place, {rank}});
      else same->second.push_back(rank);
    }
    std::string result;
    for (auto const& [place, ranks] : places) {
      result += ranks.size() == 1 ? "; rank " : "; ranks ";
      for (std::size_t i = 0; i < std::min(ranks.size(), most_named); ++i)
        result += concat(i == 0 ? "" : ", ", ranks[i]);
      if (ranks.size() > most_named) result += concat(", ... (", ranks.size(), " in all)");
      result += " " + place;
    }
    return result;
  }

  /// Maximum number of ranks that a message lists at one place.
  static constexpr std::size_t most_named = 8;

  MPI_Comm everyone_;
  std::chrono::duration<double> time_limit_;
  int rank_ = 0;
  int size_ = 1;
  std::int64_t calls_ = 0;
  /// Buffers of messages that may still be in flight: MPI may read a freed send until it completes.
  std::vector<std::shared_ptr<std::vector<CollectiveCall>>> abandoned_;
};

}  // namespace gshard::detail
