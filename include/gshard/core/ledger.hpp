// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <iomanip>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <gshard/core/checked.hpp>

namespace gshard {

/// The kinds of messages between ranks; the exchange of a general reshard is an all-to-all.
enum class Collective { all_gather, all_reduce, reduce_scatter, all_to_all, permute };

constexpr char const* text_of(Collective collective) {
  switch (collective) {
    case Collective::all_gather: return "all-gather";
    case Collective::all_reduce: return "all-reduce";
    case Collective::reduce_scatter: return "reduce-scatter";
    case Collective::all_to_all: return "all-to-all";
    default: return "permute";
  }
}

/// What a program asks of one device: work by operation, messages by collective and axes, and the most memory held at
/// once. The ledger of an AbstractRuntime is always open, that of a Runtime when the program says so; both are written
/// in the same places. A copy is a snapshot.
class Ledger {
 public:
  /// All calls of one operation.
  struct Work {
    std::string operation;  ///< as "einsum gsm,me->gse"; "map" for any pointwise expression
    std::int64_t calls = 0;
    std::int64_t flops = 0;  ///< of contractions, two for each multiply-add
    std::int64_t bytes = 0;  ///< read or written, each tensor once; what is packed for messages is not among them
  };

  /// All collectives of one kind over one set of axes. Reductions and gathers count as rings do: each rank sends (p -
  /// 1) / p of the whole buffer, an all-reduce twice that.
  struct Traffic {
    Collective collective = Collective::permute;
    std::string axes;  ///< as "data,expert"
    int ranks = 1;     ///< of a group
    std::int64_t calls = 0;
    std::int64_t messages = 0;  ///< sent by this rank, none to itself
    std::int64_t bytes = 0;     ///< in them
  };

  std::vector<Work> const& work() const { return work_; }
  std::vector<Traffic> const& traffic() const { return traffic_; }

  std::int64_t flops() const {
    std::int64_t sum = 0;
    for (Work const& entry : work_) sum = detail::saturated_sum(sum, entry.flops);
    return sum;
  }
  std::int64_t bytes_touched() const {
    std::int64_t sum = 0;
    for (Work const& entry : work_) sum = detail::saturated_sum(sum, entry.bytes);
    return sum;
  }
  std::int64_t bytes_sent() const {
    std::int64_t sum = 0;
    for (Traffic const& entry : traffic_) sum = detail::saturated_sum(sum, entry.bytes);
    return sum;
  }
  /// How many collectives of a kind there were, over whichever axes.
  std::int64_t calls(Collective collective) const {
    std::int64_t sum = 0;
    for (Traffic const& entry : traffic_)
      sum = detail::saturated_sum(sum, entry.collective == collective ? entry.calls : 0);
    return sum;
  }
  std::int64_t bytes_sent(Collective collective) const {
    std::int64_t sum = 0;
    for (Traffic const& entry : traffic_)
      sum = detail::saturated_sum(sum, entry.collective == collective ? entry.bytes : 0);
    return sum;
  }

  /// Bytes of tensors and temporaries that are in use, and the most that were at once.
  std::int64_t bytes_in_use() const { return bytes_in_use_; }
  std::int64_t peak_bytes() const { return peak_bytes_; }
  /// Bytes that the pool has taken for them and not given back, and the most that it had at once; 0 in an
  /// AbstractRuntime.
  std::int64_t bytes_reserved() const { return bytes_reserved_; }
  std::int64_t peak_bytes_reserved() const { return peak_bytes_reserved_; }

  bool is_open() const { return is_open_; }
  void open() { is_open_ = true; }
  void close() { is_open_ = false; }

  /// Forgets work and traffic; the peaks begin anew at what is in use, and reserved.
  void clear() {
    work_.clear();
    traffic_.clear();
    peak_bytes_ = bytes_in_use_;
    peak_bytes_reserved_ = bytes_reserved_;
  }

  /// Entries: for operations that are no part of gshard, too. Counts stop at 2^63 - 1.
  void add_work(std::string_view operation, std::int64_t flops, std::int64_t bytes) {
    if (!is_open_) return;
    auto entry = std::ranges::find(work_, operation, &Work::operation);
    if (entry == work_.end()) entry = work_.insert(entry, Work{std::string(operation)});
    entry->calls += 1;
    entry->flops = detail::saturated_sum(entry->flops, flops);
    entry->bytes = detail::saturated_sum(entry->bytes, bytes);
  }
  void add_traffic(Collective collective, std::string_view axes, int ranks, std::int64_t messages, std::int64_t bytes) {
    if (!is_open_) return;
    auto entry = std::ranges::find_if(
        traffic_, [&](Traffic const& t) { return t.collective == collective && t.axes == axes && t.ranks == ranks; });
    if (entry == traffic_.end()) entry = traffic_.insert(entry, Traffic{collective, std::string(axes), ranks});
    entry->calls += 1;
    entry->messages = detail::saturated_sum(entry->messages, messages);
    entry->bytes = detail::saturated_sum(entry->bytes, bytes);
  }
  void add_memory(std::int64_t bytes) {
    bytes_in_use_ += bytes;
    peak_bytes_ = std::max(peak_bytes_, bytes_in_use_);
  }
  void remove_memory(std::int64_t bytes) { bytes_in_use_ -= bytes; }
  void add_reserved(std::int64_t bytes) {
    bytes_reserved_ += bytes;
    peak_bytes_reserved_ = std::max(peak_bytes_reserved_, bytes_reserved_);
  }
  void remove_reserved(std::int64_t bytes) { bytes_reserved_ -= bytes; }

 private:
  std::vector<Work> work_;
  std::vector<Traffic> traffic_;
  std::int64_t bytes_in_use_ = 0;
  std::int64_t peak_bytes_ = 0;
  std::int64_t bytes_reserved_ = 0;
  std::int64_t peak_bytes_reserved_ = 0;
  bool is_open_ = false;
};

/// The ledger as two tables and a line.
inline std::ostream& operator<<(std::ostream& stream, Ledger const& ledger) {
  auto row = [&](std::string const& name, auto const&... numbers) {
    stream << std::left << std::setw(44) << name << std::right;
    ((stream << std::setw(18) << numbers), ...);
    stream << '\n';
  };
  std::ios_base::fmtflags const flags = stream.flags();
  row("work of one device", "calls", "flops", "bytes touched");
  for (Ledger::Work const& entry : ledger.work()) row("  " + entry.operation, entry.calls, entry.flops, entry.bytes);
  row("  all", "", ledger.flops(), ledger.bytes_touched());
  row("sent by one device", "calls", "messages", "bytes sent");
  for (Ledger::Traffic const& entry : ledger.traffic())
    row(std::string("  ") + text_of(entry.collective) + " over " + entry.axes + ", groups of " +
            std::to_string(entry.ranks),
        entry.calls, entry.messages, entry.bytes);
  row("  all", "", "", ledger.bytes_sent());
  stream << "memory of one device: " << ledger.peak_bytes() << " bytes at most, " << ledger.bytes_in_use() << " now";
  if (ledger.peak_bytes_reserved() > 0)
    stream << "; reserved for it: " << ledger.peak_bytes_reserved() << " at most, " << ledger.bytes_reserved()
           << " now";
  stream << '\n';
  stream.flags(flags);
  return stream;
}

}  // namespace gshard
