// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gshard/core/checked.hpp>
#include <gshard/reshard/count.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/describe.hpp>

namespace gshard {

/// One movement of a plan on one rank, with its axes, group size and bytes.
struct ExplainedMove {
  std::string whose;  ///< tensor that moves: "left", "right" or "result"; empty if there is only one
  Movement movement = Movement::slice;
  std::string axes;        ///< as "data,expert"
  int ranks = 1;           ///< ranks of a group along `axes`
  bool free = false;       ///< whether no rank sends anything, as in local work or over axes of size 1
  std::int64_t bytes = 0;  ///< bytes that this rank sends; gathers and reductions as in a ring
  std::string why;         ///< reason of the movement; may be empty
};

/// Plan of one operation on one rank, as text and as numbers. Print it by `std::cout << explain<...>(...)`.
struct Explanation {
  std::string text;
  std::vector<ExplainedMove> moves;
  std::int64_t flops = 0;              ///< flops of this rank's contractions, 2 for each multiply-add
  std::int64_t largest_temporary = 0;  ///< bytes of the largest intermediate block or packed buffer

  /// Returns the bytes that this rank sends.
  std::int64_t bytes_sent() const {
    std::int64_t sum = 0;
    for (ExplainedMove const& move : moves) sum += move.bytes;
    return sum;
  }
};

/// Writes the text of the explanation.
inline std::ostream& operator<<(std::ostream& stream, Explanation const& explanation) {
  return stream << explanation.text;
}

namespace detail {

/// Returns `text` with blanks appended up to `width` characters.
inline std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

/// Returns the elements that this rank sends in a permute: its block, or 0 if the rank keeps its block.
inline std::int64_t elements_permuted(MeshState const& mesh, Extents const& extents, Layout const& from,
                                      Layout const& to) {
  AxisMap const source = permuted_axes(from, to, mesh.axis_count());
  bool stays = true;
  for (int axis = 0; axis < mesh.axis_count(); ++axis)
    stays = stays && mesh.coordinate(source[axis]) == mesh.coordinate(axis);
  return stays ? 0 : product(block_of(from, extents, mesh, mesh.coordinates()).extents);
}

/// Returns the bytes that this rank sends in a movement, as the ledger counts them. `size` is the bytes of an element.
/// Precondition: the movement is not local.
inline std::int64_t bytes_moved(Movement movement, MeshState const& mesh, AxisSet axes, Extents const& extents,
                                Layout const& from, Layout const& to, std::int64_t size) {
  std::int64_t const ranks = mesh.size(axes);
  Block const before = block_of(from, extents, mesh, mesh.coordinates());
  Block const after = block_of(to, extents, mesh, mesh.coordinates());
  auto ring = [&](std::int64_t whole) { return comm::detail::ring_bytes(saturated_product(whole, size), ranks); };
  switch (movement) {
    case Movement::all_gather: return ring(product(after.extents));
    case Movement::all_reduce: return ring(saturated_product(2, product(before.extents)));
    case Movement::reduce_scatter: return ring(product(before.extents));
    case Movement::permute: return elements_permuted(mesh, extents, from, to) * size;
    default:
      return (pieces_of_block(before, to, extents, mesh, axes).elements * mesh.size(axes - to.split()) -
              product(intersection(before, after).extents)) *
             size;
  }
}

/// Builds an Explanation line by line, for this rank of `mesh`.
template <class Mesh>
class Explainer {
 public:
  Explainer(MeshState const& mesh, std::int64_t element_size) : mesh_(mesh), element_size_(element_size) {}

  Explanation explanation;

  MeshState const& mesh() const { return mesh_; }

  Block block(Layout const& layout, Extents const& extents) const {
    return block_of(layout, extents, mesh_, mesh_.coordinates());
  }

  template <class... Parts>
  void add_line(Parts const&... parts) {
    explanation.text += concat(parts..., "\n");
  }

  /// Adds the headline: the operation, its element type, the mesh and the rank.
  void add_title(std::string const& what, std::string const& elements) {
    add_line(what, " of ", elements, " on mesh (", mesh_.text(), "), as rank ", mesh_.rank(), " sees it");
  }

  /// Adds a line for a tensor: role, letters, global extents, layout and the extents of this rank's block.
  void add_tensor(std::string const& role, std::string const& letters, Layout const& layout, Extents const& extents) {
    add_line("  ", padded(role, 11), padded(letters, 7), padded(text_of(extents), 20),
             padded(text_of<Mesh>(layout), 30), "block ", text_of(block(layout, extents).extents));
  }

  /// Adds a movement and its lines; `how` is appended to the cost.
  void add_move(std::string const& whose, Movement movement, AxisSet axes, bool free, std::int64_t bytes,
                std::string const& why, std::string const& how = {}) {
    ExplainedMove const& move = explanation.moves.emplace_back(
        ExplainedMove{whose, movement, mesh_.group(axes).axes, mesh_.size(axes), free, bytes, why});
    std::string const cost =
        free ? ", free" : concat(", groups of ", move.ranks, ": ", bytes, " bytes sent per rank", how);
    add_line("  ", padded(whose, 11), gshard::text_of(movement), " over ", move.axes, cost);
    if (!why.empty()) add_line(std::string(13, ' '), "because ", why);
  }

  /// Adds the movements of one reshard of the tensor `whose`; `why(step)` returns the reason of a step. Intermediate
  /// blocks and packed parts count as temporaries; so does the block after the last step unless `kept`.
  template <class Why>
  void add_moves(ReshardPlan const& plan, Layout before, Extents const& extents, bool kept, std::string const& whose,
                 Why const& why) {
    for (int i = 0; i < plan.steps.size(); ++i) {
      ReshardStep const& step = plan.steps[i];
      bool const free =
          is_local(step.movement) || mesh_.size(step.axes) == 1 || same_blocks(before, step.layout, mesh_);
      std::int64_t const bytes =
          free ? 0 : bytes_moved(step.movement, mesh_, step.axes, extents, before, step.layout, element_size_);
      add_move(whose, step.movement, step.axes, free, bytes, why(step));
      if (packs_parts(step.movement)) hold(before, extents);
      if (packs_parts(step.movement) || !kept || i + 1 < plan.steps.size()) hold(step.layout, extents);
      before = step.layout;
    }
  }

  /// Counts this rank's block as a temporary.
  void hold(Layout const& layout, Extents const& extents) {
    explanation.largest_temporary =
        std::max(explanation.largest_temporary, product(block(layout, extents).extents) * element_size_);
  }

  void add_summary() {
    int collectives = 0;
    for (ExplainedMove const& move : explanation.moves) collectives += move.free ? 0 : 1;
    add_line("  collectives: ", collectives, "; largest temporary: ", explanation.largest_temporary, " bytes per rank");
  }

 private:
  MeshState const& mesh_;
  std::int64_t element_size_;
};

}  // namespace detail

/// Returns the movements of `reshard<To>(tensor)` on this rank: each with its axes, group size and bytes sent.
/// Communication: none.
/// Throws StateError if the tensor is unset.
template <class To, AnyTensor Tensor>
Explanation explain(Tensor const& tensor) {
  detail::require_set("explain", {{"tensor", tensor}});
  static constexpr ReshardPlan const& plan = reshard_plan_of<Tensor, To>;
  using T = typename Tensor::value_type;
  detail::Explainer<typename Tensor::mesh_type> explainer(tensor.mesh_state(), sizeof(T));
  explainer.add_title("reshard", detail::type_name<T>());
  explainer.add_tensor("from", "", Tensor::layout, tensor.extents());
  explainer.add_moves(plan, Tensor::layout, tensor.extents(), true, "",
                      [](ReshardStep const&) { return std::string(); });
  explainer.add_tensor("to", "", layout_of<typename Tensor::mesh_type, To>, tensor.extents());
  explainer.add_summary();
  return std::move(explainer.explanation);
}

}  // namespace gshard
