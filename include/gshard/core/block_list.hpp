// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace gshard::detail {

/// Which parts of the memory that a pool has taken are in use. Memory is taken in segments; each is cut into blocks as
/// requests come, and free neighbours become one block again. Only addresses: nothing here looks behind them.
class BlockList {
 public:
  /// Marks a free block of at least `size` bytes as in use, the smallest that there is, and returns it: null where
  /// there is none. What it has more becomes a block of its own.
  char* take(std::size_t size) {
    auto const found = free_.lower_bound({size, nullptr});
    if (found == free_.end()) return nullptr;
    char* const begin = found->second;
    free_.erase(found);
    Block& block = blocks_.at(begin);
    block.is_free = false;
    if (block.size - size >= smallest_rest) {
      insert(begin + size, {block.size - size, true, false});
      block.size = size;
    }
    bytes_in_use_ += block.size;
    peak_bytes_ = bytes_in_use_ > peak_bytes_ ? bytes_in_use_ : peak_bytes_;
    return begin;
  }

  /// Takes up a new segment, free as a whole.
  void add_segment(char* begin, std::size_t size) {
    insert(begin, {size, true, true});
    bytes_reserved_ += size;
  }

  /// Marks a block that `take` returned as free.
  void release(char* begin) {
    auto block = blocks_.find(begin);
    bytes_in_use_ -= block->second.size;
    if (auto const next = std::next(block); joins(next)) {
      free_.erase({next->second.size, next->first});
      block->second.size += next->second.size;
      blocks_.erase(next);
    }
    if (!block->second.begins_segment) {
      if (auto const previous = std::prev(block); previous->second.is_free) {
        free_.erase({previous->second.size, previous->first});
        previous->second.size += block->second.size;
        blocks_.erase(block);
        block = previous;
      }
    }
    block->second.is_free = true;
    free_.insert({block->second.size, block->first});
  }

  /// Forgets segments of which nothing is in use, the largest first, until at most `wanted` bytes are reserved, and
  /// returns where they begin.
  std::vector<char*> drop_segments(std::size_t wanted) {
    std::vector<char*> dropped;
    for (auto largest = free_.end(); largest != free_.begin() && bytes_reserved_ > wanted;) {
      --largest;
      auto const block = blocks_.find(largest->second);
      auto const next = std::next(block);
      if (!block->second.begins_segment || (next != blocks_.end() && !next->second.begins_segment)) continue;
      dropped.push_back(block->first);
      bytes_reserved_ -= block->second.size;
      blocks_.erase(block);
      largest = free_.erase(largest);
    }
    return dropped;
  }

  std::size_t bytes_in_use() const { return bytes_in_use_; }
  std::size_t peak_bytes() const { return peak_bytes_; }
  std::size_t bytes_reserved() const { return bytes_reserved_; }

 private:
  /// What is left of a block is a block again if it has so many bytes.
  static constexpr std::size_t smallest_rest = 64;

  struct Block {
    std::size_t size;
    bool is_free;
    bool begins_segment;
  };

  void insert(char* begin, Block const& block) {
    blocks_.emplace(begin, block);
    if (block.is_free) free_.insert({block.size, begin});
  }

  bool joins(std::map<char*, Block>::const_iterator next) const {
    return next != blocks_.end() && next->second.is_free && !next->second.begins_segment;
  }

  std::map<char*, Block> blocks_;
  std::set<std::pair<std::size_t, char*>> free_;
  std::size_t bytes_in_use_ = 0;
  std::size_t peak_bytes_ = 0;
  std::size_t bytes_reserved_ = 0;
};

}  // namespace gshard::detail
