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

/// Kinds of communication between ranks. The exchange of a general reshard counts as all_to_all.
enum class Collective { all_gather, all_reduce, reduce_scatter, all_to_all, permute };

/// Returns the name of a collective, as "all-gather".
constexpr char const* text_of(Collective collective) {
  switch (collective) {
    case Collective::all_gather: return "all-gather";
    case Collective::all_reduce: return "all-reduce";
    case Collective::reduce_scatter: return "reduce-scatter";
    case Collective::all_to_all: return "all-to-all";
    default: return "permute";
  }
}

/// Record of the work, the messages and the memory of one rank.
/// Counts work by operation and messages by collective, axes and group size, while it is open; counts memory always.
/// The ledger of an AbstractRuntime is open from the start, that of a Runtime after `open()`.
/// A copy is a snapshot.
class Ledger {
 public:
  /// Sum over all calls of one operation.
  /// Flops: 2 per multiply-add of a contraction or convolution, 1 per addition of a one-operand einsum; pointwise
  /// operations, reductions and softmax count bytes only.
  struct Work {
    std::string operation;  ///< as "einsum gsm,me->gse"; "map" for any pointwise expression
    std::int64_t calls = 0;
    std::int64_t flops = 0;
    std::int64_t bytes = 0;  ///< read or written, each tensor once; without the copies that pack messages
  };

  /// Sum over all collectives of one kind, set of axes and group size.
  /// All-gather, reduce-scatter and all-reduce count as ring algorithms over p ranks. For a whole buffer of n bytes,
  /// each rank sends n (p - 1) / p bytes in p - 1 messages, twice both for an all-reduce. Groups of one rank do not
  /// count.
  struct Traffic {
    Collective collective = Collective::permute;
    std::string axes;  ///< as "data,expert"
    int ranks = 1;     ///< group size p
    std::int64_t calls = 0;
    std::int64_t messages = 0;  ///< sent by this rank to other ranks
    std::int64_t bytes = 0;     ///< sent in these messages
  };

  /// Returns the work, one entry per operation, in order of the first call.
  std::vector<Work> const& work() const { return work_; }
  /// Returns the messages, one entry per collective, axes and group size, in order of the first call.
  std::vector<Traffic> const& traffic() const { return traffic_; }

  /// Returns the floating-point operations of all work. Sums of the ledger saturate at 2^63 - 1.
  std::int64_t flops() const {
    std::int64_t sum = 0;
    for (Work const& entry : work_) sum = detail::saturated_sum(sum, entry.flops);
    return sum;
  }
  /// Returns the bytes that all work reads or writes.
  std::int64_t bytes_touched() const {
    std::int64_t sum = 0;
    for (Work const& entry : work_) sum = detail::saturated_sum(sum, entry.bytes);
    return sum;
  }
  /// Returns the bytes that this rank sends in all collectives.
  std::int64_t bytes_sent() const {
    std::int64_t sum = 0;
    for (Traffic const& entry : traffic_) sum = detail::saturated_sum(sum, entry.bytes);
    return sum;
  }
  /// Returns the number of collectives of one kind, over any axes.
  std::int64_t calls(Collective collective) const {
    std::int64_t sum = 0;
    for (Traffic const& entry : traffic_)
      sum = detail::saturated_sum(sum, entry.collective == collective ? entry.calls : 0);
    return sum;
  }
  /// Returns the bytes that this rank sends in collectives of one kind, over any axes.
  std::int64_t bytes_sent(Collective collective) const {
    std::int64_t sum = 0;
    for (Traffic const& entry : traffic_)
      sum = detail::saturated_sum(sum, entry.collective == collective ? entry.bytes : 0);
    return sum;
  }

  /// Returns the bytes of tensors and temporaries in use.
  std::int64_t bytes_in_use() const { return bytes_in_use_; }
  /// Returns the maximum of `bytes_in_use()` since construction or `clear()`.
  std::int64_t peak_bytes() const { return peak_bytes_; }
  /// Returns the bytes that the pool holds from the memory spaces, in use or not; 0 in an AbstractRuntime.
  std::int64_t bytes_reserved() const { return bytes_reserved_; }
  /// Returns the maximum of `bytes_reserved()` since construction or `clear()`.
  std::int64_t peak_bytes_reserved() const { return peak_bytes_reserved_; }

  /// Returns whether work and messages are counted.
  bool is_open() const { return is_open_; }
  /// Starts to count work and messages.
  void open() { is_open_ = true; }
  /// Stops counting work and messages; keeps the entries.
  void close() { is_open_ = false; }

  /// Removes the entries of work and messages, and resets the peaks to the present values.
  void clear() {
    work_.clear();
    traffic_.clear();
    peak_bytes_ = bytes_in_use_;
    peak_bytes_reserved_ = bytes_reserved_;
  }

  /// Adds a call of `operation` if the ledger is open; for operations outside gshard too.
  /// Units: flops, 2 per multiply-add; bytes read or written.
  /// Counts saturate at 2^63 - 1.
  void add_work(std::string_view operation, std::int64_t flops, std::int64_t bytes) {
    if (!is_open_) return;
    auto entry = std::ranges::find(work_, operation, &Work::operation);
    if (entry == work_.end()) entry = work_.insert(entry, Work{std::string(operation)});
    entry->calls += 1;
    entry->flops = detail::saturated_sum(entry->flops, flops);
    entry->bytes = detail::saturated_sum(entry->bytes, bytes);
  }
  /// Adds a collective over `axes`, in a group of `ranks`, if the ledger is open.
  /// Units: messages and bytes that this rank sends.
  /// Counts saturate at 2^63 - 1.
  void add_traffic(Collective collective, std::string_view axes, int ranks, std::int64_t messages, std::int64_t bytes) {
    if (!is_open_) return;
    auto entry = std::ranges::find_if(
        traffic_, [&](Traffic const& t) { return t.collective == collective && t.axes == axes && t.ranks == ranks; });
    if (entry == traffic_.end()) entry = traffic_.insert(entry, Traffic{collective, std::string(axes), ranks});
    entry->calls += 1;
    entry->messages = detail::saturated_sum(entry->messages, messages);
    entry->bytes = detail::saturated_sum(entry->bytes, bytes);
  }
  /// Adds bytes in use, and updates the peak. Counts in a closed ledger too.
  void add_memory(std::int64_t bytes) {
    bytes_in_use_ += bytes;
    peak_bytes_ = std::max(peak_bytes_, bytes_in_use_);
  }
  /// Subtracts bytes in use.
  void remove_memory(std::int64_t bytes) { bytes_in_use_ -= bytes; }
  /// Adds reserved bytes, and updates their peak. Counts in a closed ledger too.
  void add_reserved(std::int64_t bytes) {
    bytes_reserved_ += bytes;
    peak_bytes_reserved_ = std::max(peak_bytes_reserved_, bytes_reserved_);
  }
  /// Subtracts reserved bytes.
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

/// Prints the ledger: a table of the work, a table of the messages, and a line on memory.
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
