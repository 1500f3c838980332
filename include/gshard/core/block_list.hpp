// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

namespace gshard::detail {

/// Free list of a memory pool: segments as they were allocated, cut into blocks.
/// Merges neighbouring free blocks of a segment. Works on addresses; does not access the memory.
class BlockList {
 public:
  /// Takes the most recently used free block of exactly `size` bytes; returns null if there is none.
  char* take_exact(std::size_t size) {
    auto const found = free_.lower_bound({size, 0, nullptr});
    return found == free_.end() || std::get<0>(*found) != size ? nullptr : take(found, size);
  }

  /// Takes `size` bytes of the smallest free block that is large enough (best fit); returns null if there is none.
  char* take_part(std::size_t size) {
    auto const found = free_.lower_bound({size, 0, nullptr});
    return found == free_.end() ? nullptr : take(found, size);
  }

  /// Adds a segment as one block that is in use.
  void add_segment(char* begin, std::size_t size) {
    blocks_.emplace(begin, Block{size, ++time_, false, true});
    bytes_reserved_ += size;
  }

  /// Frees a block. Precondition: `begin` is a block in use.
  void release(char* begin) {
    auto block = blocks_.find(begin);
    if (auto const next = std::next(block); continues_segment(next) && next->second.is_free) {
      free_.erase(entry(next));
      block->second.size += next->second.size;
      blocks_.erase(next);
    }
    if (!block->second.begins_segment && std::prev(block)->second.is_free) {
      auto const previous = std::prev(block);
      free_.erase(entry(previous));
      previous->second.size += block->second.size;
      blocks_.erase(block);
      block = previous;
    }
    block->second.is_free = true;
    block->second.last_use = ++time_;
    free_.insert(entry(block));
  }

  /// Removes the least recently used segment that has no block in use; returns its address, or null if there is none.
  char* drop_oldest_segment() {
    auto oldest = free_.end();
    for (auto candidate = free_.begin(); candidate != free_.end(); ++candidate) {
      auto const block = blocks_.find(std::get<2>(*candidate));
      if (!block->second.begins_segment || continues_segment(std::next(block))) continue;
      if (oldest == free_.end() || std::get<1>(*candidate) > std::get<1>(*oldest)) oldest = candidate;
    }
    if (oldest == free_.end()) return nullptr;
    char* const begin = std::get<2>(*oldest);
    bytes_reserved_ -= std::get<0>(*oldest);
    free_.erase(oldest);
    blocks_.erase(begin);
    return begin;
  }

  /// Returns the total size of all segments in bytes.
  std::size_t bytes_reserved() const { return bytes_reserved_; }

 private:
  struct Block {
    std::size_t size;
    std::uint64_t last_use;
    bool is_free;
    bool begins_segment;
  };
  using Blocks = std::map<char*, Block>;
  /// (size, complement of the time of the last use, address): sorted by size, equal sizes by most recent use first.
  using FreeBlocks = std::set<std::tuple<std::size_t, std::uint64_t, char*>>;

  static FreeBlocks::value_type entry(Blocks::const_iterator block) {
    return {block->second.size, ~block->second.last_use, block->first};
  }

  /// Takes the first `size` bytes of a free block; the rest stays free.
  char* take(FreeBlocks::iterator found, std::size_t size) {
    char* const begin = std::get<2>(*found);
    free_.erase(found);
    auto const block = blocks_.find(begin);
    block->second.is_free = false;
    if (block->second.size > size) {
      auto const rest =
          blocks_.emplace(begin + size, Block{block->second.size - size, block->second.last_use, true, false}).first;
      free_.insert(entry(rest));
      block->second.size = size;
    }
    return begin;
  }

  /// Returns whether `block` belongs to the segment of the block before it.
  bool continues_segment(Blocks::const_iterator block) const {
    return block != blocks_.end() && !block->second.begins_segment;
  }

  Blocks blocks_;
  FreeBlocks free_;
  std::uint64_t time_ = 0;
  std::size_t bytes_reserved_ = 0;
};

}  // namespace gshard::detail
