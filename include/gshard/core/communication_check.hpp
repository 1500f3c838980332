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

/// Where a call stands in the source, as "reduce/total.hpp:46": the file with its folder, and the line.
inline std::string text_of(std::source_location const& site) {
  std::string_view file = site.file_name();
  std::size_t const name = file.rfind('/');
  std::size_t const folder = name == std::string_view::npos || name == 0 ? name : file.rfind('/', name - 1);
  if (folder != std::string_view::npos) file.remove_prefix(folder + 1);
  return concat(file, ":", site.line());
}

/// The regions that this rank is in, those of gshard's operations and those that the program marks itself by
/// Kokkos::Profiling::ScopedRegion: kept by callbacks of Kokkos Tools from `follow` on, which call those of a tool.
class Regions {
 public:
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

/// What a rank says of the collective that it is about to enter: one message of fixed size.
struct CollectiveCall {
  char operation[64]{};        ///< as "all_reduce (maximum) of float"
  char site[96]{};             ///< as "reduce/total.hpp:46"
  char regions[128]{};         ///< as "layer 3 > gshard::einsum"; ranks may differ in them
  char axes[64]{};             ///< of the group
  std::uint64_t counts = 0;    ///< fingerprint of the numbers that all members have to give alike
  std::uint64_t sent = 0;      ///< sum of the fingerprints of what this member sends, by sender, receiver and count
  std::uint64_t expected = 0;  ///< the same of what it expects; over all members the two sums agree
  std::int64_t number = 0;     ///< how many collectives this rank has entered, with this one

  CollectiveCall() = default;
  CollectiveCall(std::string_view operation_text, std::string_view site_text, std::string_view axes_text) {
    copy(operation_text, operation);
    copy(site_text, site);
    copy(axes_text, axes);
    copy(Regions::text(), regions);
  }

  /// Whether two members of a group mean the same operation, at one place of the program.
  bool is_like(CollectiveCall const& other) const {
    return std::string_view(operation) == other.operation && std::string_view(site) == other.site;
  }

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

/// A hash of some numbers.
inline std::uint64_t fingerprint(std::initializer_list<std::int64_t> numbers, std::uint64_t seed = 0) {
  for (std::int64_t number : numbers) {
    seed = (seed ^ static_cast<std::uint64_t>(number)) + 0x9e3779b97f4a7c15U;
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9U;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebU;
    seed ^= seed >> 31;
  }
  return seed;
}

/// Where the ranks of a checked runtime meet before a collective, and what they say where some do not come.
class CommunicationCheck {
 public:
  /// `communicator` holds all ranks of the runtime. Its collectives are free for others: the check sends point to
  /// point.
  CommunicationCheck(MPI_Comm communicator, std::chrono::duration<double> time_limit)
      : everyone_(communicator), time_limit_(time_limit) {
    require_mpi(MPI_Comm_rank(everyone_, &rank_), "MPI_Comm_rank");
    require_mpi(MPI_Comm_size(everyone_, &size_), "MPI_Comm_size");
    Regions::follow();
  }

  /// Tells `own` to the other ranks of `communicator`; returns what each of them says, in rank order. One message to
  /// each. Throws CommunicationError on every rank that waits somewhere when one of them has waited for the time limit.
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

  /// The same of all ranks of the runtime.
  std::vector<CollectiveCall> meet(CollectiveCall const& own) { return meet(everyone_, own); }

 private:
  using Clock = std::chrono::steady_clock;

  // The last tags that every MPI has, which programs that use the communicators of a mesh themselves hardly take.
  static constexpr int meeting_tag = 32766;
  static constexpr int alarm_tag = 32767;
  static constexpr int bytes = static_cast<int>(sizeof(CollectiveCall));
  /// How long ranks that wait have to answer an alarm.
  static constexpr std::chrono::seconds time_to_answer{1};

  /// Yields for the first rounds, then sleeps: on a machine of few cores the others need them.
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

  static void give_up(MPI_Request& request, bool is_receive) {
    if (request == MPI_REQUEST_NULL) return;
    if (!is_receive) return require_mpi(MPI_Request_free(&request), "MPI_Request_free");
    require_mpi(MPI_Cancel(&request), "MPI_Cancel");
    require_mpi(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
  }

  bool is_alarmed() const {
    int arrived = 0;
    require_mpi(MPI_Iprobe(MPI_ANY_SOURCE, alarm_tag, everyone_, &arrived, MPI_STATUS_IGNORE), "MPI_Iprobe");
    return arrived != 0;
  }

  /// Tells all ranks where this one waits, collects what they answer, and puts it into one text.
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

  /// Where the ranks wait, ranks at one place together: "; ranks 0, 2 wait at ... (collective 17 of each)".
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

  static constexpr std::size_t most_named = 8;

  MPI_Comm everyone_;
  std::chrono::duration<double> time_limit_;
  int rank_ = 0;
  int size_ = 1;
  std::int64_t calls_ = 0;
  /// Buffers of messages that no rank has received.
  std::vector<std::shared_ptr<std::vector<CollectiveCall>>> abandoned_;
};

}  // namespace gshard::detail
