// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <gshard/comm/permute.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/mesh/mesh_state.hpp>
#include <gshard/nn/kernels/dot_product_attention.hpp>
#include <gshard/tensor/layout.hpp>

namespace gshard::nn::detail {

/// One message that a rank sends and one that it receives, in keys of a block; `comm::no_rank` for none.
struct RingHop {
  int destination = comm::no_rank;
  std::int64_t sent = 0;
  int source = comm::no_rank;
  std::int64_t received = 0;
};

/// Route of the blocks of keys around the p ranks that split a sequence (ring attention, arXiv 2310.01889).
/// Numbers the ranks by their place in the sequence. In step t, place r uses the block of place (r - t) mod p, its own
/// first. A block stops at the last place whose queries see it: under causal masking it does not pass the end of the
/// sequence, and with a window it passes the window only.
/// The route depends on extents, masking and mesh, which are equal on all ranks, not on lengths of sequences.
class AttentionRing {
 public:
  /// `axes` split both the queries and the keys of a sequence.
  AttentionRing(gshard::detail::MeshState const& mesh, AxisList const& axes, std::int64_t queries, std::int64_t keys,
                AttentionMask const& mask)
      : group_(&mesh.group(set_of(axes))) {
    auto const size = static_cast<std::size_t>(group_->size);
    members_.resize(size);
    keys_.resize(size);
    std::vector<Range> query_ranges(size);
    for (int member = 0; member < group_->size; ++member) {
      auto const coordinates = mesh.member_coordinates(set_of(axes), member);
      int place = 0;
      for (int axis : axes) place = place * mesh.size(axis) + coordinates[static_cast<std::size_t>(axis)];
      if (member == group_->rank) own_ = place;
      members_[at(place)] = member;
      keys_[at(place)] = gshard::detail::dimension_range(keys, axes, mesh, coordinates);
      query_ranges[at(place)] = gshard::detail::dimension_range(queries, axes, mesh, coordinates);
    }
    for (int place = 0; place < group_->size; ++place) {
      int hops = group_->size - 1;
      while (hops > 0 && !mask.any(query_ranges[at(place + hops)], keys_[at(place)])) --hops;
      hops_.push_back(hops);
    }
  }

  Group const& group() const { return *group_; }
  /// Returns the number of steps: 1 if no block travels.
  int steps() const { return 1 + *std::ranges::max_element(hops_); }
  /// Returns the place of this rank.
  int own() const { return own_; }
  /// Returns the place whose block this rank uses in step `step`.
  int place(int step) const { return static_cast<int>(at(own_ - step)); }
  /// Returns whether that block reaches this rank.
  bool arrives(int step) const { return hops(place(step)) >= step; }
  /// Returns the number of hops of the block of a place.
  int hops(int place) const { return hops_[at(place)]; }
  /// Returns the global positions of the keys of a place.
  Range keys(int place) const { return keys_[at(place)]; }
  /// Returns the number of keys of the largest block.
  std::int64_t largest() const {
    std::int64_t result = 0;
    for (Range const& range : keys_) result = std::max(result, range.size());
    return result;
  }

  /// Returns the hop of the blocks of step `step - 1` to the ranks that use them in step `step`.
  RingHop onward(int step) const {
    RingHop hop;
    if (hops(place(step - 1)) >= step) {
      hop.destination = members_[at(own_ + 1)];
      hop.sent = keys(place(step - 1)).size();
    }
    if (arrives(step)) {
      hop.source = members_[at(own_ - 1)];
      hop.received = keys(place(step)).size();
    }
    return hop;
  }

  /// Returns the hop back to their owners of what belongs to the blocks that were used last in step `step - 1` >= 1.
  RingHop home(int step) const {
    RingHop hop;
    if (hops(place(step - 1)) == step - 1) {
      hop.destination = members_[at(place(step - 1))];
      hop.sent = keys(place(step - 1)).size();
    }
    if (hops(own_) == step - 1) {
      hop.source = members_[at(own_ + step - 1)];
      hop.received = keys(own_).size();
    }
    return hop;
  }

 private:
  /// Returns the index of a place whose number may lie outside [0, p) by at most p.
  std::size_t at(int place) const { return static_cast<std::size_t>((place + group_->size) % group_->size); }

  Group const* group_;
  int own_ = 0;
  std::vector<int> members_;  ///< rank in the group, by place
  std::vector<Range> keys_;   ///< by place
  std::vector<int> hops_;     ///< by place
};

/// Pointers to what travels together: keys and values, or their gradients.
template <class T>
struct RingPair {
  T* keys = nullptr;
  T* values = nullptr;
};

/// Messages of a pair.
class PendingPair {
 public:
  PendingPair() = default;
  /// Starts the messages of a hop; `row` is the number of elements of one key.
  /// Communication: 2 permutes. Precondition: `send` is complete (fenced).
  template <class T, class Sent>
  PendingPair(Group const& group, RingHop const& hop, std::int64_t row, RingPair<Sent> send, RingPair<T> receive)
      : keys_(start<T>(group, hop, row, send.keys, receive.keys)),
        values_(start<T>(group, hop, row, send.values, receive.values)) {}

  void wait() {
    keys_.wait();
    values_.wait();
  }

 private:
  template <class T>
  static comm::Pending start(Group const& group, RingHop const& hop, std::int64_t row, T const* send, T* receive) {
    return comm::start_permute(group, send, hop.sent * row, hop.destination, receive, hop.received * row, hop.source);
  }

  comm::Pending keys_;
  comm::Pending values_;
};

/// Two buffers for pairs of blocks: one is sent while the other one is received.
template <class T>
class RingBuffers {
 public:
  /// Allocates as many buffers as `blocks` blocks in turn need.
  template <class MemorySpace>
  RingBuffers(Scratch<MemorySpace>& scratch, int blocks, std::int64_t elements) {
    for (int i = 0; i < std::min(blocks, 2); ++i)
      buffers_[i] = {scratch.template get<T>(elements), scratch.template get<T>(elements)};
  }
  /// Precondition: step >= 1.
  RingPair<T> of_step(int step) const { return buffers_[(step - 1) % 2]; }

 private:
  RingPair<T> buffers_[2];
};

/// The blocks of keys and values that a rank uses, step by step; the next block travels meanwhile.
/// Communication: 2 permutes for each step but the first one. Memory: at most two blocks of keys and of values.
template <class MemorySpace, class T>
class TravellingKeys {
 public:
  TravellingKeys(AttentionRing const& ring, std::int64_t row, RingPair<T const> own, Scratch<MemorySpace>& scratch)
      : ring_(ring), row_(row), current_(own), buffers_(scratch, ring.steps() - 1, row * ring.largest()) {}

  /// Starts the hop to step `step`. Precondition: kernels that wrote or read a buffer are complete (fenced).
  void start(int step) {
    if (step >= ring_.steps()) return;
    next_ = buffers_.of_step(step);
    pending_ = PendingPair(ring_.group(), ring_.onward(step), row_, current_, next_);
  }
  /// Waits for the hop; `current` is then the block of that step.
  void finish(int step) {
    if (step >= ring_.steps()) return;
    pending_.wait();
    current_ = {next_.keys, next_.values};
  }
  RingPair<T const> current() const { return current_; }

 private:
  AttentionRing const& ring_;
  std::int64_t row_;
  RingPair<T const> current_;
  RingPair<T> next_;
  RingBuffers<T> buffers_;
  PendingPair pending_;
};

}  // namespace gshard::nn::detail
