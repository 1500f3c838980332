// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <gshard/core/options.hpp>
#include <gshard/index/check_ids.hpp>
#include <gshard/index/split_dimension.hpp>
#include <gshard/nn/attention_cache.hpp>
#include <gshard/nn/transformer/transformer.hpp>

namespace gshard::nn {

/// Decodes word by word: each step runs the decoder on the newest place of every sentence alone, and finds the keys and
/// values of the places before it in caches. The logits are those of the whole decoder on the same words, to rounding,
/// as long as no gate is out of slots: its groups are the N sentences of a step.
///
///   nn::Decoder decoder(model, source, max_length);
///   while (...) words = ...(decoder.step(words));  // (G, N) to logits (G, N, V)
///
/// Memory: 2 (max_length + K) H D numbers for each layer and sentence. Every rank takes every step, also when all its
/// own sentences have ended.
template <class Model>
class Decoder {
  using Side = typename Model::Side;
  using Memory = decltype(std::declval<Model&>().encode(std::declval<Side const&>()));
  using Block = typename decltype(Model::dense_decoder_)::value_type;
  using Cache = decltype(std::declval<Block&>().cross_attention.cache(std::declval<Memory const&>(), 1));
  using Places = decltype(Cache::keys);
  using Space = typename Places::memory_space;

 public:
  using Words = typename Side::Integers;  ///< (G, N)

 private:
  using Holders = decltype(split_dimension<1>(std::declval<Words const&>(), 1));

 public:
  /// Encodes the source sentences (G, R), and keeps R * hypotheses sentences of up to `max_length` words, those of one
  /// source in a row. Throws OptionError unless `max_length` is from 1 to the model's, and `hypotheses` is 1 or more.
  Decoder(Model& model, Side const& source, std::int64_t max_length, std::int64_t hypotheses = 1)
      : model_(&model), source_(source), max_length_(max_length), hypotheses_(hypotheses) {
    gshard::detail::require_option(max_length >= 1 && max_length <= model.options().max_length, "max_length",
                                   max_length,
                                   gshard::detail::concat("1 to ", model.options().max_length, ", the model's places"));
    gshard::detail::require_at_least("hypotheses", hypotheses, 1);
    Memory const memory = model.encode(source);
    auto const add = [&](auto& blocks, std::size_t layer) {
      if (layer < blocks.size()) layers_.push_back(layer_of(blocks[layer], memory));
    };
    for (std::size_t layer = 0; layer < model.dense_decoder_.size(); ++layer) {
      add(model.dense_decoder_, layer);
      add(model.mixed_decoder_, layer);
    }
  }

  /// The number of steps so far: the place that the next words stand at.
  std::int64_t place() const { return place_; }

  /// Takes one more word for each sentence, `words` (G, N); negative where a sentence has ended, which it has for good.
  /// Returns the logits (G, N, V) of the words after them; those of ended sentences are unspecified.
  /// Throws IndexError for a word of V or more, StateError past the max_length place, ExtentError where N is not R *
  /// hypotheses; the decoder stays as it was.
  auto step(Words const& words) {
    check(words);
    if (holders_.is_set()) follow({});
    return run(words);
  }

  /// The same where sentence n goes on from the words that sentence parents(g, n) in [0, N) had before this step, as in
  /// beam search. Caches stay where they are: a table (G, N, max_length) says which sentence holds each place. Throws
  /// IndexError for other parents, too.
  auto step(Words const& words, Words const& parents) {
    check(words);
    check_extents("parents", parents);
    gshard::detail::require_ids("decoder", "parents", parents, sentences());
    follow(parents.local());
    return run(words);
  }

 private:
  struct Layer {
    Cache own;
    Cache source;
  };

  std::int64_t sentences() const { return source_.lengths.extent(1) * hypotheses_; }

  template <class Any>
  Layer layer_of(Any& block, Memory const& memory) {
    Cache const source = block.cross_attention.cache(memory, source_.lengths.extent(1));
    Extents extents = source.keys.extents();
    extents[1] = sentences();
    extents[2] = max_length_;
    return {{Places(memory.mesh(), extents), Places(memory.mesh(), extents)}, source};
  }

  void check(Words const& words) const {
    check_extents("words", words);
    if (place_ >= max_length_)
      throw StateError(gshard::detail::concat("decoder: a step past the last of ", max_length_, " places"));
    model_->require_ids(words);
  }

  void check_extents(std::string_view role, Words const& words) const {
    gshard::detail::Operand const given(role, words);
    gshard::detail::require_one_mesh("decoder", {{"source lengths", source_.lengths}, given});
    gshard::detail::require_extent("decoder", given, 0, source_.lengths.extent(0), "the groups of the source");
    gshard::detail::require_extent("decoder", given, 1, sentences(), "its sentences times hypotheses");
  }

  Side newest(Words const& words) const {
    Side const side{words, empty_like(words), empty_like(words), {}};
    detail::record_kernel("place_words", words, side.positions, side.real);
    detail::PlaceWordsKernel<Space> const kernel{detail::row_of(words), detail::row_of(side.positions),
                                                 detail::row_of(side.real), static_cast<int>(place_)};
    detail::launch<Space>("gshard::place_words", words.local_size(), kernel);
    return side;
  }

  /// Says which sentence holds each place after this step; an empty view: all go on from themselves.
  void follow(detail::Rank2<int const, Space> parents) {
    Holders const after(uninitialized, source_.lengths.mesh(), {source_.lengths.extent(0), sentences(), max_length_});
    detail::record_kernel("follow_parents", after, after);
    auto const before = holders_.is_set() ? holders_.local() : typename Holders::view_type{};
    detail::for_each_row<Space>("gshard::follow_parents", after.local_extent(0) * after.local_extent(1),
                                detail::FollowParentsKernel<Space>{parents, before, after.local(), place_});
    holders_ = after;
  }

  auto run(Words const& words) {
    Side const side = newest(words);
    auto x = model_->embedded_known(model_->table_.value, side);
    std::size_t next = 0;
    for (std::size_t layer = 0; layer < model_->dense_decoder_.size(); ++layer) {
      x = through(model_->dense_decoder_[layer], x, side, layers_[next++]);
      if (layer < model_->mixed_decoder_.size()) x = through(model_->mixed_decoder_[layer], x, side, layers_[next++]);
    }
    ++place_;
    return model_->logits(model_->decoder_norm_(x));
  }

  template <class Any, class X>
  auto through(Any& block, X const& x, Side const& side, Layer const& layer) {
    detail::CachedPlaces<Space> own{sentences(), max_length_, place_ + 1};
    if (holders_.is_set()) own.holders = holders_.local();
    std::int64_t const places = layer.source.keys.extent(2);
    detail::CachedPlaces<Space> const source{source_.lengths.extent(1), places, places, hypotheses_,
                                             source_.lengths.local()};
    auto const normed = block.self_norm(x);
    block.self_attention.remember(layer.own, place_, normed, side.real);
    auto const attended = eval(x + block.self_attention(normed, layer.own, side.real, own));
    auto const informed =
        eval(attended + block.cross_attention(block.cross_norm(attended), layer.source, side.real, source));
    auto const normed_inner = block.inner_norm(informed);
    if constexpr (std::is_invocable_v<decltype(block.inner)&, decltype(normed_inner)>)
      return eval(informed + block.inner(normed_inner));
    else return eval(informed + block.inner.infer(normed_inner, side.real));
  }

  Model* model_;
  Side source_;
  std::int64_t max_length_;
  std::int64_t hypotheses_;
  std::int64_t place_ = 0;
  Holders holders_;
  std::vector<Layer> layers_;
};

}  // namespace gshard::nn
