// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/reshard.hpp>
#include <gshard/autodiff/tape.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/index/check_ids.hpp>
#include <gshard/nn/attention.hpp>
#include <gshard/nn/embedding.hpp>
#include <gshard/nn/feed_forward.hpp>
#include <gshard/nn/moe/layer.hpp>
#include <gshard/nn/transformer/blocks.hpp>
#include <gshard/nn/transformer/options.hpp>
#include <gshard/nn/zero_padding.hpp>

namespace gshard::nn {

template <class Model>
class Decoder;

/// Sentences of one language side, as tensors: N sentences of L places in each of G groups.
template <class Mesh, AxisNames Tokens, class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct Sentences {
  using Integers = ShardedTensor<Mesh, Spec<Tokens, _>, int, MemorySpace>;
  Integers ids;        ///< (G, N * L); negative for padding
  Integers positions;  ///< (G, N * L): the place within the sentence; negative for padding
  Integers real;       ///< (G, N * L): 1 for words, 0 for padding
  Integers lengths;    ///< (G, N): the words of each sentence
};

namespace detail {

/// Throws StateError, MeshError or ExtentError unless the tensors of `side`, as "source", belong together and lie on
/// the mesh of `model`, any of its tensors.
template <class Mesh, AxisNames Tokens, class MemorySpace, AnyTensor Tensor>
void require_sentences(std::string_view side, Sentences<Mesh, Tokens, MemorySpace> const& sentences,
                       Tensor const& model) {
  using gshard::detail::Operand;
  std::string const operation = gshard::detail::concat("transformer, ", side, " sentences");
  Operand const ids("ids", sentences.ids), lengths("lengths", sentences.lengths);
  gshard::detail::require_one_mesh(operation, {{"the model", model}, ids, lengths});
  gshard::detail::require_same_shape(operation, {ids, {"positions", sentences.positions}, {"real", sentences.real}});
  require_sentences_in(operation, lengths, ids);
}

}  // namespace detail

/// The paper's encoder-decoder (2.1, Figure 3): every other feed-forward layer is a mixture of experts. One table
/// embeds source and target words and, turned round, gives the logits. `Parallelism` says which axes split what,
/// `Parts` what the blocks are made of.
template <class Mesh, class Parallelism, class Parts = TransformerParts, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
class Transformer {
  static constexpr AxisNames vocabulary = Parallelism::model;
  using Table =
      ShardedTensor<Mesh, Spec<vocabulary, detail::names_without(Parallelism::parameters, vocabulary)>, T, MemorySpace>;
  using Places = ShardedTensor<Mesh, Spec<_, Parallelism::parameters>, T, MemorySpace>;
  using Tokens = Spec<Parallelism::tokens, _, _>;
  using Scalar = ShardedTensor<Mesh, Spec<>, gshard::detail::Computed<T>, MemorySpace>;  // losses are not rounded
  using Norm = typename Parts::template Norm<Mesh, Parallelism, T, MemorySpace>;
  using Attention = nn::Attention<Mesh, Parallelism, T, MemorySpace>;
  using Dense = FeedForward<Mesh, Parallelism, T, MemorySpace>;
  using Mixture = MixtureOfExperts<Mesh, Parallelism, typename Parts::Gate, Parts::template Experts, T, MemorySpace>;
  template <class>
  friend class Decoder;
  template <class X>
  using LossOf = std::conditional_t<AnyVar<X>, Var<Scalar>, Scalar>;

 public:
  using Side = Sentences<Mesh, Parallelism::tokens, MemorySpace>;

  /// Throws OptionError for options that are not allowed.
  Transformer(Mesh const& mesh, TransformerOptions const& options, std::uint64_t seed)
      : Transformer(mesh, detail::validated(options), Initializer(seed)) {}

  /// What a pass through encoder and decoder gives: logits (G, N * L, V), and the balance loss, the mean over the
  /// mixture layers.
  template <class Logits, class Loss>
  struct Output {
    Logits logits;
    Loss balance_loss;
  };

  /// The logits of each target word from the source sentences and the words before it. With a tape the pass is
  /// recorded, and with random numbers, as RandomStream{seed, step}, its gates choose and its dropout drops as in
  /// training: each layer draws numbers of its own.
  /// Throws IndexError for ids of V or more and positions of `max_length` or more, ExtentError where the tensors of a
  /// side, or source and target, have other groups or sentences.
  auto operator()(Side const& source, Side const& target, std::optional<RandomStream> random = {}) {
    return run(table_.value, source, target, random);
  }
  auto operator()(Tape& tape, Side const& source, Side const& target, RandomStream random) {
    return run(tape.watch(table_), source, target, random);
  }

  /// What the decoder attends to: the encoded source sentences (G, N * K, M).
  auto encode(Side const& source) {
    detail::require_sentences("source", source, table_.value);
    detail::Pass<Scalar> pass;
    return encoded(table_.value, source, pass);
  }

  /// The decoder's last layer (G, N * L, M), normalised: the logits of a place are its product with the table.
  template <AnyTensor Memory>
  auto decode(Memory const& memory, Side const& source, Side const& target) {
    require_sides(source, target);
    detail::Pass<Scalar> pass;
    return decoded(table_.value, memory, source, target, pass);
  }

  /// Logits (G, S, V) of normalised activations (G, S, M).
  template <class X>
  auto logits(X const& x) {
    return eval(einsum<"gsm,vm->gsv">(x, movable(bind(Parts::has_tied_output ? table_ : output_, x))));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(table_);
    visit(places_);
    if constexpr (!Parts::has_tied_output) visit(output_);
    for (auto& block : dense_encoder_) block.for_each_parameter(visit);
    for (auto& block : mixed_encoder_) block.for_each_parameter(visit);
    encoder_norm_.for_each_parameter(visit);
    for (auto& block : dense_decoder_) block.for_each_parameter(visit);
    for (auto& block : mixed_decoder_) block.for_each_parameter(visit);
    decoder_norm_.for_each_parameter(visit);
  }

  TransformerOptions const& options() const { return options_; }

  /// The number of parameters in the whole model.
  std::int64_t parameters() {
    std::int64_t count = 0;
    for_each_parameter([&](auto const& parameter) { count += parameter.value.size(); });
    return count;
  }

 private:
  Transformer(Mesh const& mesh, TransformerOptions const& options, Initializer initializer)
      : options_(options),
        table_(initializer.normal<Table>(mesh, {options.vocabulary, options.model}, deviation(options.model),
                                         "embedding")),
        places_(initializer.normal<Places>(mesh, {options.max_length, options.model}, 0.25 * deviation(options.model),
                                           "positions")),
        encoder_norm_(mesh, initializer, options.model),
        decoder_norm_(mesh, initializer, options.model) {
    if constexpr (!Parts::has_tied_output)
      output_ =
          initializer.normal<Table>(mesh, {options.vocabulary, options.model}, deviation(options.model), "output");
    auto norm = [&] { return Norm(mesh, initializer, options.model); };
    auto attention = [&] { return Attention(mesh, initializer, options.model, options.heads, options.head_size); };
    auto dense = [&] { return Dense(mesh, initializer, options.model, options.hidden); };
    auto mixture = [&] {
      return Mixture(mesh, initializer,
                     {options.experts, options.model, options.hidden, options.gate, options.shared_experts});
    };
    for (std::int64_t layer = 0; layer < options.encoder_layers; ++layer) {
      if (layer % 2 == 0) dense_encoder_.push_back({norm(), attention(), norm(), dense()});
      else mixed_encoder_.push_back({norm(), attention(), norm(), mixture()});
    }
    for (std::int64_t layer = 0; layer < options.decoder_layers; ++layer) {
      if (layer % 2 == 0) dense_decoder_.push_back({norm(), attention(), norm(), attention(), norm(), dense()});
      else mixed_decoder_.push_back({norm(), attention(), norm(), attention(), norm(), mixture()});
    }
  }

  void require_sides(Side const& source, Side const& target) const {
    detail::require_sentences("source", source, table_.value);
    detail::require_sentences("target", target, table_.value);
    gshard::detail::require_same_shape("transformer",
                                       {{"source lengths", source.lengths}, {"target lengths", target.lengths}});
  }

  static double deviation(std::int64_t model) { return 1 / std::sqrt(static_cast<double>(model)); }

  template <class Words>
  auto run(Words const& table, Side const& source, Side const& target, std::optional<RandomStream> random) {
    require_sides(source, target);
    detail::Pass<LossOf<Words>> pass{detail::uses_of(random), options_.dropout};
    auto const memory = encoded(table, source, pass);
    auto const scores = logits(decoded(table, memory, source, target, pass));
    auto const loss = balance(table, pass);
    return Output<std::remove_const_t<decltype(scores)>, std::remove_const_t<decltype(loss)>>{scores, loss};
  }

  template <class Words>
  auto embedded(Words const& table, Side const& side) {
    require_ids(side.ids);
    gshard::detail::require_ids("transformer", "positions", side.positions, options_.max_length,
                                gshard::detail::NegativeIds::padding);
    return embedded_known(table, side);
  }

  void require_ids(typename Side::Integers const& ids) const {
    gshard::detail::require_ids("transformer", "ids", ids, options_.vocabulary, gshard::detail::NegativeIds::padding);
  }

  /// The same of ids and positions that are known to be in range.
  template <class Words>
  auto embedded_known(Words const& table, Side const& side) {
    double const scale = std::sqrt(static_cast<double>(table_.value.extent(1)));
    auto const words = reshard<Tokens>(detail::embedding_of_checked(table, side.ids, scale));
    return eval(words + detail::embedding_of_checked(bind(places_, table), side.positions, scale));
  }

  template <class Words, class Pass>
  auto encoded(Words const& table, Side const& source, Pass& pass) {
    auto x = pass.drop(embedded(table, source), pass.rates.input);
    for (std::size_t layer = 0; layer < dense_encoder_.size(); ++layer) {
      x = detail::run_block(dense_encoder_[layer], options_.recompute, pass, std::tuple(source), x);
      if (layer < mixed_encoder_.size())
        x = detail::run_block(mixed_encoder_[layer], options_.recompute, pass, std::tuple(source), x);
    }
    return encoder_norm_(x);
  }

  template <class Words, class Memory, class Pass>
  auto decoded(Words const& table, Memory const& memory, Side const& source, Side const& target, Pass& pass) {
    auto x = pass.drop(embedded(table, target), pass.rates.input);
    for (std::size_t layer = 0; layer < dense_decoder_.size(); ++layer) {
      x = detail::run_block(dense_decoder_[layer], options_.recompute, pass, std::tuple(source, target), x, memory);
      if (layer < mixed_decoder_.size())
        x = detail::run_block(mixed_decoder_[layer], options_.recompute, pass, std::tuple(source, target), x, memory);
    }
    return decoder_norm_(x);
  }

  template <class Words, class Pass>
  auto balance(Words const& table, Pass const& pass) {
    auto const& losses = pass.balance_losses;
    LossOf<Words> total = zero_beside(table);
    for (auto const& loss : losses) total = eval(total + loss * (1.0 / static_cast<double>(losses.size())));
    return total;
  }

  template <class Words>
  LossOf<Words> zero_beside(Words const& table) {
    if constexpr (AnyVar<Words>) return table.tape().watch(Scalar(table_.value.mesh()));
    else return Scalar(table_.value.mesh());
  }

  TransformerOptions options_;
  Parameter<Table> table_;    ///< (V, M)
  Parameter<Places> places_;  ///< (L, M)
  Parameter<Table> output_;   ///< (V, M), where the table is not used twice
  std::vector<detail::EncoderBlock<Norm, Attention, Dense>> dense_encoder_;
  std::vector<detail::EncoderBlock<Norm, Attention, Mixture>> mixed_encoder_;
  Norm encoder_norm_;
  std::vector<detail::DecoderBlock<Norm, Attention, Dense>> dense_decoder_;
  std::vector<detail::DecoderBlock<Norm, Attention, Mixture>> mixed_decoder_;
  Norm decoder_norm_;
};

}  // namespace gshard::nn
