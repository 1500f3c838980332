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

/// Allocates the storage of tensors and keeps it for reuse. One pool per runtime, and the ledger beside it; to be used
/// from one host thread.
///
/// A request takes a free block of its size class. Without one, the pool allocates a segment, as long as it has
/// reserved at most 1.45 times the most bytes that were in use at once. Beyond that it cuts a larger free block, and if
/// there is none it first gives back the segments that were not used for longest. So steps whose shapes repeat allocate
/// nothing after the first few, and memory stays near the peak when shapes keep changing.
///
/// Under the address sanitizer, unused memory and the bytes behind each block are poisoned.
class MemoryPool {
 public:
  /// What a pool gives out: memory, or, in an AbstractRuntime, addresses that nobody may look behind.
  enum class Kind { memory, addresses };

  explicit MemoryPool(Kind kind = Kind::memory) : kind_(kind) {}

  /// Returns at least `bytes` bytes, uninitialised, in `MemorySpace`; they return to the pool when the last owner is
  /// gone. Throws MeshError where tensors in AbstractSpace and an AbstractRuntime do not come together, MemoryError
  /// where the memory cannot be had: on this rank alone, perhaps, in which case `run` ends the job.
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

  /// What programs ask of this device.
  Ledger& ledger() { return *ledger_; }

  /// Returns the bytes that this pool has allocated in `MemorySpace` and not given back; 0 for AbstractSpace.
  template <class MemorySpace>
  std::size_t bytes_reserved() {
    if constexpr (detail::is_abstract<MemorySpace>) return 0;
    else return shelf_of<MemorySpace>()->blocks.bytes_reserved();
  }

  /// How often this pool has asked `MemorySpace` for memory: constant over steady training steps.
  template <class MemorySpace>
  std::int64_t allocations() {
    if constexpr (detail::is_abstract<MemorySpace>) return 0;
    else return shelf_of<MemorySpace>()->allocations;
  }

  /// Gives unused segments back to `MemorySpace`: at the end of a phase whose shapes do not come again.
  template <class MemorySpace>
  void trim() {
    if constexpr (!detail::is_abstract<MemorySpace>) shelf_of<MemorySpace>()->give_back_until([] { return false; });
  }

  /// The size class of a request: the next multiple of an eighth of its power of two, so at most one eighth is wasted.
  static constexpr std::size_t rounded(std::size_t bytes) {
    std::size_t const unit = std::bit_floor(bytes < 512 ? std::size_t{512} : bytes) / 8;
    return (bytes + unit - 1) / unit * unit;
  }

 private:
  /// More than any address space has; sums of sizes up to it stay within 64 bits.
  static constexpr std::size_t max_bytes = std::size_t{1} << 62;

  void check_kind(Kind wanted) const {
    if (wanted == kind_) return;
    throw MeshError(
        kind_ == Kind::addresses
            ? "a tensor in real memory on the mesh of an AbstractRuntime, which has none; give the tensor AbstractSpace as its memory space"
            : "a tensor in AbstractSpace on the mesh of a Runtime, whose ranks need elements; make the mesh from an AbstractRuntime");
  }

  template <class MemorySpace>
  std::shared_ptr<void> allocate_memory(std::size_t bytes) {
    auto shelf = shelf_of<MemorySpace>();
    char* const block = shelf->take(bytes);
    if (block == nullptr)
      throw MemoryError(detail::concat("memory of ", bytes, " bytes in ", MemorySpace::name(), " cannot be had; ",
                                       ledger_->bytes_in_use(), " bytes are in use by tensors and temporaries"));
    detail::unpoison<MemorySpace>(block, bytes);
    ledger_->add_memory(static_cast<std::int64_t>(bytes));
    return {block, [shelf, ledger = ledger_, bytes](void* released) {
              ledger->remove_memory(static_cast<std::int64_t>(bytes));
              detail::poison<MemorySpace>(released, bytes);
              shelf->release(static_cast<char*>(released), bytes);
            }};
  }

  /// The segments and blocks in one memory space.
  template <class MemorySpace>
  struct Shelf {
    /// What Kokkos allocated for a segment.
    struct Allocation {
      void* memory;
      std::size_t bytes;
    };

    std::shared_ptr<Ledger> ledger;
    detail::BlockList blocks;
    std::map<char*, Allocation> segments;  ///< by where the segment begins
    std::size_t bytes_in_use = 0;
    std::size_t peak_bytes = 0;
    std::int64_t allocations = 0;

    explicit Shelf(std::shared_ptr<Ledger> const& counted) : ledger(counted) {}

    /// Returns a block, or null if the memory cannot be had even after unused segments are given back.
    char* take(std::size_t bytes) {
      std::size_t const size = rounded(bytes + detail::poisoned_bytes);
      bytes_in_use += bytes;
      std::size_t const peak = std::max(peak_bytes, bytes_in_use);
      auto const has_room = [&] { return blocks.bytes_reserved() + size <= peak + peak / 20 * 9; };
      char* block = blocks.take_exact(size);
      if (block == nullptr && !has_room()) block = blocks.take_part(size);
      if (block == nullptr) {
        give_back_until(has_room);
        block = add_segment(size);
      }
      if (block == nullptr) {
        give_back_until([] { return false; });
        block = add_segment(size);
      }
      if (block == nullptr) bytes_in_use -= bytes;
      else peak_bytes = peak;
      return block;
    }

    void release(char* block, std::size_t bytes) {
      bytes_in_use -= bytes;
      blocks.release(block);
    }

    /// Large segments begin at different places of a page: copying between addresses that agree in their last 12 bits
    /// takes a third longer, since the processor holds back loads that look as if they read what was just stored.
    char* add_segment(std::size_t size) {
      std::size_t const shift = size < (std::size_t{1} << 16) ? 0 : static_cast<std::size_t>(allocations % 16) * 256;
      void* memory = nullptr;
      try {
        memory = Kokkos::kokkos_malloc<MemorySpace>("gshard::MemoryPool", size + shift);
      } catch (std::exception const&) {  // reported by the caller, who knows what the memory is for
        return nullptr;
      }
      char* const begin = static_cast<char*>(memory) + shift;
      detail::poison<MemorySpace>(begin, size);
      segments.emplace(begin, Allocation{memory, size + shift});
      blocks.add_segment(begin, size);
      allocations += 1;
      ledger->add_reserved(static_cast<std::int64_t>(size + shift));
      return begin;
    }

    /// Gives unused segments back, the least recently used first, until `is_enough()` or nothing is left to give.
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

    /// After the end of Kokkos nothing can be given back: a tensor that outlives it keeps its elements.
    ~Shelf() {
      if (Kokkos::is_finalized()) return;
      for (auto const& [begin, allocation] : segments) free_memory(allocation);
    }
  };

  template <class MemorySpace>
  std::shared_ptr<Shelf<MemorySpace>> shelf_of() {
    auto& shelf = shelves_[std::type_index(typeid(MemorySpace))];
    if (!shelf) shelf = std::make_shared<Shelf<MemorySpace>>(ledger_);
    return std::static_pointer_cast<Shelf<MemorySpace>>(shelf);
  }

  Kind kind_;
  std::shared_ptr<Ledger> ledger_ = std::make_shared<Ledger>();
  std::map<std::type_index, std::shared_ptr<void>> shelves_;
  std::uintptr_t next_address_ = std::uintptr_t{1} << 40;
};

/// Temporary memory of one operation, given back to the pool when the object ends.
template <class MemorySpace>
class Scratch {
 public:
  explicit Scratch(MemoryPool& pool) : pool_(&pool) {}

  /// Returns room for `count` elements, uninitialised, valid as long as this object. Throws MemoryError.
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
