// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "beam.hpp"
#include "corpus.hpp"
#include "train.hpp"

namespace translation {

/// What the command line of the trainer says.
struct Options {
  std::string mesh = {};
  CorpusOptions corpus = {};
  std::int64_t vocabulary = 2000;
  gshard::nn::TransformerOptions model = {};
  TrainingOptions training = {};
  BeamOptions beam = {};
  std::string loss_curve = {};
  std::string help = {};  ///< the text that --help asks for; empty where it is not given
};

/// Reads a command line.
/// @throws gshard::OptionError in one sentence that names the option, its value and what is allowed.
Options read_options(int argc, char const* const* argv);

}  // namespace translation
