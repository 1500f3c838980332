// SPDX-License-Identifier: Apache-2.0
#pragma once

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
#include <gshard/core/checked.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/execution.hpp>
#include <gshard/core/ledger.hpp>

namespace gshard {

/// Storage of tensors, kept for reuse: a block that is given back serves the next request of about its size, so a
/// training step whose shapes repeat allocates nothing after its first run. One pool per runtime, and the ledger beside
/// it; to be used from one host thread.
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
      throw MemoryError(detail::text("memory of ", bytes, " bytes cannot be had: with the ", ledger_->bytes_in_use(),
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

  /// Bytes that this pool has taken from `MemorySpace` so far: what is in use and what waits for reuse.
  template <class MemorySpace>
  std::size_t bytes_reserved() {
    return shelf_of<MemorySpace>()->bytes_reserved;
  }

  /// How often this pool has asked `MemorySpace` for memory: constant over steady training steps.
  template <class MemorySpace>
  std::int64_t allocations() {
    return shelf_of<MemorySpace>()->allocations;
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
    std::size_t const size = rounded(bytes);
    void* const block = shelf->get(size);
    if (block == nullptr)
      throw MemoryError(detail::text("memory of ", bytes, " bytes in ", MemorySpace::name(), " cannot be had; ",
                                     ledger_->bytes_in_use(), " bytes are in use by tensors and temporaries"));
    ledger_->add_memory(static_cast<std::int64_t>(bytes));
    return {block, [shelf, size, ledger = ledger_, bytes](void* released) {
              ledger->remove_memory(static_cast<std::int64_t>(bytes));
              shelf->free_blocks[size].push_back(released);
            }};
  }

  template <class MemorySpace>
  struct Shelf {
    /// Memory that Kokkos gave, and how much.
    struct Taken {
      void* memory;
      std::size_t bytes;
    };

    std::map<std::size_t, std::vector<void*>> free_blocks;  ///< by size class
    std::map<void*, Taken> taken;                           ///< by block
    std::size_t bytes_reserved = 0;
    std::int64_t allocations = 0;

    /// Returns a block of a size class, or null where it cannot be had even after the unused ones are given back.
    void* get(std::size_t size) {
      auto& unused = free_blocks[size];
      if (!unused.empty()) {
        void* const block = unused.back();
        unused.pop_back();
        return block;
      }
      void* block = take(size);
      if (block != nullptr) return block;
      release_free_blocks();
      return take(size);
    }

    /// Large blocks begin at different places of a page: copying between addresses that agree in their last 12 bits
    /// takes a third longer, since the processor holds back loads that look as if they read what was just stored.
    void* take(std::size_t size) {
      std::size_t const shift = size < (std::size_t{1} << 16) ? 0 : static_cast<std::size_t>(allocations % 16) * 256;
      void* memory = nullptr;
      try {
        memory = Kokkos::kokkos_malloc<MemorySpace>("gshard::MemoryPool", size + shift);
      } catch (std::exception const&) {  // reported by the caller, who knows what the memory is for
        return nullptr;
      }
      void* const block = static_cast<char*>(memory) + shift;
      taken[block] = {memory, size + shift};
      bytes_reserved += size + shift;
      allocations += 1;
      return block;
    }

    void release_free_blocks() {
      detail::execution_space<MemorySpace>().fence("gshard: memory is given back");
      for (auto& [size, blocks] : free_blocks) {
        for (void* block : blocks) {
          auto const entry = taken.find(block);
          bytes_reserved -= entry->second.bytes;
          Kokkos::kokkos_free<MemorySpace>(entry->second.memory);
          taken.erase(entry);
        }
        blocks.clear();
      }
    }

    /// After the end of Kokkos nothing can be given back: a tensor that outlives it keeps its elements.
    ~Shelf() {
      if (Kokkos::is_finalized()) return;
      for (auto const& [block, entry] : taken) Kokkos::kokkos_free<MemorySpace>(entry.memory);
    }
  };

  template <class MemorySpace>
  std::shared_ptr<Shelf<MemorySpace>> shelf_of() {
    auto& shelf = shelves_[std::type_index(typeid(MemorySpace))];
    if (!shelf) shelf = std::make_shared<Shelf<MemorySpace>>();
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
    if (count < 0) throw MemoryError(detail::text("a temporary of ", count, " elements"));
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
