// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/core/compile_error.hpp>

namespace gshard {

namespace error {

template <class Model>
struct ModelWithoutParameters {
  static_assert(
      always_false<Model>,
      "gshard: a model has a member `template <class Visit> void for_each_parameter(Visit const& visit)` that "
      "calls visit(parameter) for each Parameter, and is not const; add it, or leave out const");
};

}  // namespace error

namespace optim {

namespace detail {

struct VisitNothing {
  template <class Parameter>
  void operator()(Parameter&) const {}
};

}  // namespace detail

/// What optimizers change: `for_each_parameter(visit)` visits the same parameters in the same order each time.
template <class Type>
concept Model = requires(Type& model, detail::VisitNothing const& visit) { model.for_each_parameter(visit); };

namespace detail {

/// Says that a type is no Model.
template <class Type>
double refuse_model() {
  using Refused [[maybe_unused]] = decltype(error::ModelWithoutParameters<Type>{});
  return 0;
}

}  // namespace detail
}  // namespace optim
}  // namespace gshard
