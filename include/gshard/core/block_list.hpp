// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace gshard::detail {

/// Free list of a memory pool: segments as they were allocated, cut into blocks.
/// Merges neighbouring free blocks of a segment. Works on addresses; does not access the memory.
/// Taking a block of a size that was released before, and releasing it, allocate no host memory while no block is cut
/// or merged: blocks are linked to their neighbours and to the free blocks of their size.
class BlockList {
 public:
  /// Block of a segment, in use or free. Pointers to a block in use stay valid until it is released.
  struct Block {
    char* begin;
    std::size_t size;
    std::uint64_t last_use;
    bool is_free;
    Block* before;           ///< neighbour in the segment; null for the first block
    Block* after;            ///< neighbour in the segment; null for the last block
    Block* newer = nullptr;  ///< free block of this size that was used next after this one; null for the newest
    Block* older = nullptr;  ///< free block of this size that was used last before this one; null for the oldest
  };

  /// Takes the most recently used free block of exactly `size` bytes; returns null if there is none.
  Block* take_exact(std::size_t size) {
    auto const found = newest_.find(size);
    return found == newest_.end() || found->second == nullptr ? nullptr : take(found->second, size);
  }

  /// Takes `size` bytes of the smallest free block that is large enough (best fit), of equal ones the most recently
  /// used; returns null if there is none.
  Block* take_part(std::size_t size) {
    for (auto found = newest_.lower_bound(size); found != newest_.end(); found = newest_.erase(found))
      if (found->second != nullptr) return take(found->second, size);
    return nullptr;
  }

  /// Adds a segment as one block that is in use.
  Block* add_segment(char* begin, std::size_t size) {
    bytes_reserved_ += size;
    return &blocks_.emplace(begin, Block{begin, size, ++time_, false, nullptr, nullptr}).first->second;
  }

  /// Frees a block. Precondition: the block is in use.
  void release(Block* block) {
    if (block->after != nullptr && block->after->is_free) {
      unlist(*block->after);
      absorb_next(*block);
    }
    if (block->before != nullptr && block->before->is_free) {
      block = block->before;
      unlist(*block);
      absorb_next(*block);
    }
    block->last_use = ++time_;
    list(*block);
  }

  /// Removes the least recently used segment that has no block in use; returns its address, or null if there is none.
  char* drop_oldest_segment() {
    Block* oldest = nullptr;
    for (auto const& [size, newest] : newest_)
      for (Block* block = newest; block != nullptr; block = block->older)
        if (block->before == nullptr && block->after == nullptr &&
            (oldest == nullptr || block->last_use < oldest->last_use))
          oldest = block;
    if (oldest == nullptr) return nullptr;
    char* const begin = oldest->begin;
    bytes_reserved_ -= oldest->size;
    unlist(*oldest);
    blocks_.erase(begin);
    return begin;
  }

  /// Returns the total size of all segments in bytes.
  std::size_t bytes_reserved() const { return bytes_reserved_; }

 private:
  /// Adds a block to the free blocks of its size, which are in order of their last use.
  void list(Block& block) {
    block.is_free = true;
    Block*& newest = newest_[block.size];
    block.newer = nullptr;
    block.older = newest;
    while (block.older != nullptr && block.older->last_use > block.last_use) {
      block.newer = block.older;
      block.older = block.older->older;
    }
    if (block.older != nullptr) block.older->newer = &block;
    (block.newer != nullptr ? block.newer->older : newest) = &block;
  }

  /// Removes a block from the free blocks of its size.
  void unlist(Block& block) {
    block.is_free = false;
    if (block.older != nullptr) block.older->newer = block.newer;
    if (block.newer != nullptr) block.newer->older = block.older;
    else newest_.find(block.size)->second = block.older;
  }

  /// Takes the first `size` bytes of a free block; the rest stays free.
  Block* take(Block* block, std::size_t size) {
    unlist(*block);
    if (block->size > size) {
      char* const begin = block->begin + size;
      Block& rest = blocks_.emplace(begin, Block{begin, block->size - size, block->last_use, true, block, block->after})
                        .first->second;
      if (rest.after != nullptr) rest.after->before = &rest;
      block->after = &rest;
      block->size = size;
      list(rest);
    }
    return block;
  }

  /// Merges the next block of the segment into `block`.
  void absorb_next(Block& block) {
    Block const& next = *block.after;
    block.size += next.size;
    block.after = next.after;
    if (block.after != nullptr) block.after->before = &block;
    blocks_.erase(next.begin);
  }

  std::map<char*, Block> blocks_;
  /// Newest free block of each size; null, or no entry, where none is free.
  std::map<std::size_t, Block*> newest_;
  std::uint64_t time_ = 0;
  std::size_t bytes_reserved_ = 0;
};

}  // namespace gshard::detail
