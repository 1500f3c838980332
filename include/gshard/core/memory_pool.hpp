// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <typeindex>
#include <utility>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/core/abstract_space.hpp>
#include <gshard/core/block_list.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/execution.hpp>
#include <gshard/core/ledger.hpp>
#include <gshard/core/poison.hpp>

namespace gshard {

/// Pool of the storage of tensors and temporaries, which it keeps for reuse. One pool and one ledger per runtime.
/// Precondition: one host thread uses the pool at a time.
///
/// A request for n bytes, in each memory space on its own, tries in this order:
/// 1. A free block of exactly the size class `rounded(n)`.
/// 2. A new segment, if the reserved bytes then stay within 1.45 times the peak of the bytes in use.
/// 3. A part of the smallest larger free block.
/// 4. A new segment, after the least recently used segments without blocks in use were given back.
/// If Kokkos cannot allocate a segment, the pool gives back all segments without blocks in use and tries once more.
///
/// Steps with repeated shapes therefore allocate nothing after the first few, and with changing shapes the reserved
/// bytes stay near the peak of the bytes in use.
///
/// Under the address sanitizer, free memory and the bytes after each block are poisoned.
class MemoryPool {
 public:
  /// Kinds of pools.
  /// - memory: gives out memory.
  /// - addresses: gives out distinct addresses without memory; for an AbstractRuntime.
  enum class Kind { memory, addresses };

  /// Constructs an empty pool, and its ledger.
  explicit MemoryPool(Kind kind = Kind::memory) : kind_(kind) {}

  /// Allocates at least `bytes` bytes, uninitialized, in `MemorySpace`; returns null for 0 bytes.
  /// The memory returns to the pool when the last owner is destroyed.
  /// Throws MeshError if `MemorySpace` is AbstractSpace and the pool gives out memory, or the other way round.
  /// Throws MemoryError if the memory cannot be allocated. It may do so on one rank only; `run` then ends the job.
  template <class MemorySpace>
  std::shared_ptr<void> allocate(std::size_t bytes) {
    check_kind(detail::is_abstract<MemorySpace> ? Kind::addresses : Kind::memory);
    if (bytes == 0) return nullptr;
    if (bytes > max_bytes - static_cast<std::size_t>(ledger_->bytes_in_use()))
      throw MemoryError(detail::concat("memory of ", bytes, " bytes cannot be had: with the ", ledger_->bytes_in_use(),
                                       " bytes in use it is more than 2^62"));
    if constexpr (detail::is_abstract<MemorySpace>) {
      ledger_->add_memory(static_cast<std::int64_t>(bytes));
      next_address_ += rounded(bytes);
      return {reinterpret_cast<void*>(next_address_ - rounded(bytes)),
              [ledger = ledger_, bytes](void*) { ledger->remove_memory(static_cast<std::int64_t>(bytes)); }};
    } else {
      return allocate_memory<MemorySpace>(bytes);
    }
  }

  /// Returns the ledger of this rank.
  Ledger& ledger() { return *ledger_; }

  /// Returns the bytes of the segments that the pool holds in `MemorySpace`; 0 for AbstractSpace.
  template <class MemorySpace>
  std::size_t bytes_reserved() {
    if constexpr (detail::is_abstract<MemorySpace>) return 0;
    else return shelf_of<MemorySpace>().blocks.bytes_reserved();
  }

  /// Returns the number of segments allocated in `MemorySpace` so far; constant over steady training steps.
  template <class MemorySpace>
  std::int64_t allocations() {
    if constexpr (detail::is_abstract<MemorySpace>) return 0;
    else return shelf_of<MemorySpace>().allocations;
  }

  /// Gives all segments without blocks in use back to `MemorySpace`, after a fence.
  /// Use it after a phase whose shapes do not repeat.
  template <class MemorySpace>
  void trim() {
    if constexpr (!detail::is_abstract<MemorySpace>) shelf_of<MemorySpace>().give_back_until([] { return false; });
  }

  /// Returns the size class of a request, in bytes: the next multiple of max(512, 2^floor(log2(bytes))) / 8.
  /// Wastes less than one eighth of a request of at least 512 bytes, less than 64 bytes of a smaller one.
  static constexpr std::size_t rounded(std::size_t bytes) {
    std::size_t const unit = std::bit_floor(bytes < 512 ? std::size_t{512} : bytes) / 8;
    return (bytes + unit - 1) / unit * unit;
  }

 private:
  using Block = detail::BlockList::Block;

  /// Larger than any address space, and small enough that sums of two sizes stay within 64 bits.
  static constexpr std::size_t max_bytes = std::size_t{1} << 62;

  /// Throws MeshError unless the pool is of kind `wanted`.
  void check_kind(Kind wanted) const {
    if (wanted == kind_) return;
    throw MeshError(
        kind_ == Kind::addresses
            ? "a tensor in real memory on the mesh of an AbstractRuntime, which has none; give the tensor AbstractSpace as its memory space"
            : "a tensor in AbstractSpace on the mesh of a Runtime, whose ranks need elements; make the mesh from an AbstractRuntime");
  }

  /// Allocates `bytes` > 0 bytes; the deleter holds the shelf, so that tensors may outlive the pool.
  template <class MemorySpace>
  std::shared_ptr<void> allocate_memory(std::size_t bytes) {
    std::shared_ptr<void> const& owner = owner_of_shelf<MemorySpace>();
    Block* const block = static_cast<Shelf<MemorySpace>*>(owner.get())->take(bytes);
    if (block == nullptr)
      throw MemoryError(detail::concat("memory of ", bytes, " bytes in ", MemorySpace::name(), " cannot be had; ",
                                       ledger_->bytes_in_use(), " bytes are in use by tensors and temporaries"));
    // `held = owner` and not `owner`: a capture of a reference to const is const, and copied where it could be moved.
    return {static_cast<void*>(block->begin), [held = owner, block, bytes](void*) {
              static_cast<Shelf<MemorySpace>*>(held.get())->release(block, bytes);
            }};
  }

  /// Segments and blocks of one memory space.
  template <class MemorySpace>
  struct Shelf {
    /// Allocation of Kokkos that contains a segment.
    struct Allocation {
      void* memory;
      std::size_t bytes;
    };

    std::shared_ptr<Ledger> ledger;
    detail::BlockList blocks;
    std::map<char*, Allocation> segments;  ///< by the address of the segment
    std::size_t bytes_in_use = 0;
    std::size_t peak_bytes = 0;
    std::int64_t allocations = 0;

    explicit Shelf(std::shared_ptr<Ledger> const& counted) : ledger(counted) {}

    /// Takes a block of at least `bytes` bytes; returns null if Kokkos cannot allocate it even after all unused
    /// segments were given back.
    Block* take(std::size_t bytes) {
      std::size_t const size = rounded(bytes + detail::poisoned_bytes);
      std::size_t const peak = std::max(peak_bytes, bytes_in_use + bytes);
      auto const has_room = [&] { return blocks.bytes_reserved() + size <= peak + peak / 20 * 9; };
      Block* block = blocks.take_exact(size);
      if (block == nullptr && !has_room()) block = blocks.take_part(size);
      if (block == nullptr) {
        give_back_until(has_room);
        block = add_segment(size);
      }
      if (block == nullptr) {
        give_back_until([] { return false; });
        block = add_segment(size);
      }
      if (block == nullptr) return nullptr;
      bytes_in_use += bytes;
      peak_bytes = peak;
      ledger->add_memory(static_cast<std::int64_t>(bytes));
      detail::unpoison<MemorySpace>(block->begin, bytes);
      return block;
    }

    /// Takes back a block that `take(bytes)` returned.
    void release(Block* block, std::size_t bytes) {
      bytes_in_use -= bytes;
      ledger->remove_memory(static_cast<std::int64_t>(bytes));
      detail::poison<MemorySpace>(block->begin, bytes);
      blocks.release(block);
    }

    /// Allocates a segment as one block in use; returns null if Kokkos cannot allocate it.
    /// Shifts large segments by different offsets within a page: copies between addresses with equal low 12 bits take a
    /// third longer (4K aliasing: the processor takes the loads for reads of bytes just stored, and delays them).
    Block* add_segment(std::size_t size) {
      std::size_t const shift = size < (std::size_t{1} << 16) ? 0 : static_cast<std::size_t>(allocations % 16) * 256;
      void* memory = nullptr;
      try {
        memory = Kokkos::kokkos_malloc<MemorySpace>("gshard::MemoryPool", size + shift);
      } catch (std::exception const&) {  // the caller retries, then throws with what is in use
        return nullptr;
      }
      char* const begin = static_cast<char*>(memory) + shift;
      detail::poison<MemorySpace>(begin, size);
      segments.emplace(begin, Allocation{memory, size + shift});
      allocations += 1;
      ledger->add_reserved(static_cast<std::int64_t>(size + shift));
      return blocks.add_segment(begin, size);
    }

    /// Gives back segments without blocks in use, the least recently used first, until `is_enough()` or none is left.
    /// Fences before the first one: kernels already launched may still use the memory.
    template <class Condition>
    void give_back_until(Condition const& is_enough) {
      bool is_fenced = false;
      while (!is_enough()) {
        char* const segment = blocks.drop_oldest_segment();
        if (segment == nullptr) return;
        if (!std::exchange(is_fenced, true))
          detail::execution_space<MemorySpace>().fence("gshard: memory is given back");
        auto const entry = segments.extract(segment);
        ledger->remove_reserved(static_cast<std::int64_t>(entry.mapped().bytes));
        free_memory(entry.mapped());
      }
    }

    static void free_memory(Allocation const& allocation) {
      detail::unpoison<MemorySpace>(allocation.memory, allocation.bytes);
      Kokkos::kokkos_free<MemorySpace>(allocation.memory);
    }

    /// Frees all segments, unless Kokkos is finalized: kokkos_free is then no longer allowed.
    ~Shelf() {
      if (Kokkos::is_finalized()) return;
      for (auto const& [begin, allocation] : segments) free_memory(allocation);
    }
  };

  /// Returns the owner of the shelf of a memory space, which is made at the first call.
  template <class MemorySpace>
  std::shared_ptr<void> const& owner_of_shelf() {
    // A list: `==` of equal types compares two pointers, `<` the characters of their names. Programs use one to three
    // memory spaces.
    std::type_index const space = typeid(MemorySpace);
    for (auto const& [of, shelf] : shelves_)
      if (of == space) return shelf;
    return shelves_.emplace_back(space, std::make_shared<Shelf<MemorySpace>>(ledger_)).second;
  }

  template <class MemorySpace>
  Shelf<MemorySpace>& shelf_of() {
    return *static_cast<Shelf<MemorySpace>*>(owner_of_shelf<MemorySpace>().get());
  }

  Kind kind_;
  std::shared_ptr<Ledger> ledger_ = std::make_shared<Ledger>();
  std::vector<std::pair<std::type_index, std::shared_ptr<void>>> shelves_;
  std::uintptr_t next_address_ = std::uintptr_t{1} << 40;
};

/// Temporary memory of one operation. The destructor returns it to the pool, without a fence.
template <class MemorySpace>
class Scratch {
 public:
  /// Allocates from `pool`. Precondition: `pool` outlives this object.
  explicit Scratch(MemoryPool& pool) : pool_(&pool) {}

  /// Returns `count` uninitialized elements, valid as long as this object; null for 0 elements.
  /// Throws MemoryError if `count` is negative or the memory cannot be allocated, MeshError as MemoryPool::allocate.
  template <class T>
  T* get(std::int64_t count) {
    if (count < 0) throw MemoryError(detail::concat("a temporary of ", count, " elements"));
    std::int64_t const bytes =
        detail::checked_product<MemoryError>(count, std::int64_t{sizeof(T)}, "bytes of a temporary");
    held_.push_back(pool_->allocate<MemorySpace>(static_cast<std::size_t>(bytes)));
    return static_cast<T*>(held_.back().get());
  }

 private:
  MemoryPool* pool_;
  std::vector<std::shared_ptr<void>> held_;
};

}  // namespace gshard
