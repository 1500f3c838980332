// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include <gshard/comm/all_reduce.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/index/kernels/check_ids.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/local/rules.hpp>
#include <gshard/tensor/element.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/record_kernel.hpp>

// Range checks of tensors of ids and indices. Every operation of gshard reports an id out of range as an IndexError.

namespace gshard {

namespace error {

template <class Ids>
struct IdsType {
  static_assert(always_false<Ids>,
                "gshard: ids and indices are a tensor of int or std::int64_t that is no unreduced sum; make them so");
};

}  // namespace error

namespace detail {

/// Whether tensors of `T` can hold ids.
template <class T>
inline constexpr bool is_index_type = std::is_same_v<T, int> || std::is_same_v<T, std::int64_t>;

/// The meaning of negative ids.
enum class NegativeIds {
  refused,  ///< out of range
  padding,  ///< padding; the operation skips the element
};

/// Returns the global row-major position of this rank's first id outside [lowest, limit), or `no_position`.
template <AnyTensor Ids>
std::int64_t first_wrong_id(Ids const& ids, std::int64_t lowest, std::int64_t limit) {
  using Space = typename Ids::memory_space;
  if (ids.local_size() == 0) return no_position;
  record_kernel("check ids", ids);
  MemoryPool& memory = ids.memory();
  Scratch<Space> scratch(memory);
  std::int64_t* const result = scratch.template get<std::int64_t>(1);
  fold<Space, Combining<comm::Reduction::minimum, std::int64_t>>(
      "gshard::check_ids", memory, fold_loops({ids.local_size()}, {true}),
      PositionOfWrongId<typename Ids::value_type>{ids.data(), lowest, limit, ids.block().offsets, ids.local_extents(),
                                                  packed_strides(ids.extents())},
      StoreInRow<std::int64_t>{result});
  std::int64_t first = no_position;
  copy_to_host<Space>(&first, result, 1);
  return is_abstract<Space> ? no_position : first;
}

/// Throws an IndexError that names the id at a global row-major position.
/// Precondition: at least one rank of `group` holds the id.
/// Communication: all-reduce of one 64-bit integer over `group`, so that every rank names the value.
template <AnyTensor Ids>
[[noreturn]] void refuse_id(std::string_view operation, Operand const& operand, Ids const& ids, Group const& group,
                            std::int64_t position, std::int64_t limit, NegativeIds negative) {
  Extents const index = index_of(position, ids.extents());
  std::int64_t const here = local_position(ids.block(), index);
  std::int64_t id = std::numeric_limits<std::int64_t>::min();
  if (here >= 0) {
    typename Ids::value_type held{};
    copy_to_host<typename Ids::memory_space>(&held, ids.data() + here, 1);
    id = held;
  }
  comm::all_reduce(group, &id, 1, comm::Reduction::maximum);
  throw IndexError(concat(operation, ": element ", text_of(index), " of ", text_of(operand), " is ", id,
                          ", which is not in the range [0, ", limit, ")",
                          negative == NegativeIds::padding ? "; negative ones are padding" : "", place_of(operand)));
}

/// Checks that every element of `ids` is in [0, limit), or negative if `negative` is `padding`. `operation` and `role`
/// (the name of the parameter) appear in the message. Waits for kernels on the memory of the ids.
/// Precondition: `ids` is set; its rank and layout are free.
/// Communication: all-reduce of one 64-bit integer over the axes that split the ids; a second one before it throws.
/// Throws IndexError, on all ranks alike, naming the first element out of range in row-major order and its value.
template <AnyTensor Ids>
void require_ids(std::string_view operation, std::string_view role, Ids const& ids, std::int64_t limit,
                 NegativeIds negative = NegativeIds::refused) {
  if constexpr (!is_index_type<typename Ids::value_type> || !Ids::layout.partial.empty()) {
    using Refused [[maybe_unused]] = decltype(error::IdsType<Ids>{});
  } else {
    std::int64_t const lowest = negative == NegativeIds::padding ? std::numeric_limits<std::int64_t>::min() : 0;
    Group const& group = ids.mesh_state().group(Ids::layout.split());
    std::int64_t first = first_wrong_id(ids, lowest, limit);
    comm::all_reduce(group, &first, 1, comm::Reduction::minimum);
    if (first != no_position) refuse_id(operation, Operand(role, ids), ids, group, first, limit, negative);
  }
}

}  // namespace detail
}  // namespace gshard
