// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/einsum/local/contract.hpp>
#include <gshard/spatial/kernels/window.hpp>
#include <gshard/tensor/layout.hpp>

// Convolutions of blocks as contractions of strided views: output (x, y) sees under window position (a, b) the
// element (x stride + a dilation, y stride + b dilation), an affine function of x, y, a and b. The window letters a and
// b are therefore further dimensions of the input, with strides of their own.

namespace gshard::detail {

/// Letters of the dimensions of x (N, space..., I), w (window..., I, O) and y (N, space..., O).
template <int Rank>
struct ConvolutionLetters {
  static constexpr std::string_view space = "xyz";
  static constexpr std::string_view window = "abc";

  static constexpr Labels input() { return labels("n", space.substr(0, Rank), "i"); }
  static constexpr Labels weights() { return labels("", window.substr(0, Rank), "io"); }
  static constexpr Labels output() { return labels("n", space.substr(0, Rank), "o"); }

 private:
  static constexpr Labels labels(std::string_view first, std::string_view middle, std::string_view last) {
    Labels result;
    for (std::string_view part : {first, middle, last})
      for (char letter : part) result.push_back(letter);
    return result;
  }
};

/// Returns the elements in the type that they are computed in: the elements themselves, or a float copy of BFloat16 in
/// `scratch`.
template <class MemorySpace, class T, class Scratch>
Computed<T> const* widened_elements(T* elements, std::int64_t count, Scratch& scratch) {
  if constexpr (is_rounded<T>) {
    Computed<T>* const wide = scratch.template get<Computed<T>>(count);
    convert_elements<MemorySpace>(wide, static_cast<T const*>(elements), count);
    return wide;
  } else {
    return elements;
  }
}

/// Calls `compute(results)` and rounds the results into `elements`; without rounding, `results` is `elements`.
template <class MemorySpace, class T, class Scratch, class Compute>
void compute_rounded(T* elements, std::int64_t count, Scratch& scratch, Compute const& compute) {
  if constexpr (is_rounded<T>) {
    Computed<T>* const results = scratch.template get<Computed<T>>(count);
    compute(results);
    convert_elements<MemorySpace>(elements, static_cast<Computed<T> const*>(results), count);
  } else {
    compute(elements);
  }
}

/// One rank's part of a convolution: `input` is the packed box of x that the outputs see, `outputs` the block of y.
/// `T` is the type that elements are computed in.
template <class T, int Rank>
struct LocalConvolution {
  std::array<Window, static_cast<std::size_t>(Rank)> windows;
  Block input;
  Block outputs;
  Extents weights;  // (window..., I, O)

  using Letters = ConvolutionLetters<Rank>;

  /// Writes the convolution of x and w to y. Without base dilation by one contraction for each part of the batch, else
  /// by one for each window position, since the outputs that see an element differ between positions.
  template <class MemorySpace, class Scratch>
  void forward(T const* x, T const* w, T* y, Scratch& scratch) const {
    if (is_undilated())
      return for_each_batch([&](LocalConvolution const& part, std::int64_t x_before, std::int64_t y_before) {
        contract_strided<MemorySpace>(x + x_before + part.seen(part.origin_taps()), part.input_windows(), w,
                                      labelled_strides(Letters::weights(), weights), y + y_before,
                                      part.output_strides(), false, scratch);
      });
    fill_elements<MemorySpace>(y, product(outputs.extents), T(0));
    for_each_position([&](TapsOf const& taps, std::int64_t position) {
      contract_strided<MemorySpace>(x + seen(taps), input_taps(taps), w + position * matrix_size(), matrix(),
                                    y + reached(taps), output_taps(taps), true, scratch);
    });
  }

  /// Writes the gradient of x for the whole box, by one contraction for each window position: windows overlap, and a
  /// contraction cannot add to overlapping elements of its result.
  template <class MemorySpace, class Scratch>
  void input_gradient(T const* y_gradient, T const* w, T* x_gradient, Scratch& scratch) const {
    fill_elements<MemorySpace>(x_gradient, product(input.extents), T(0));
    for_each_position([&](TapsOf const& taps, std::int64_t position) {
      contract_strided<MemorySpace>(y_gradient + reached(taps), output_taps(taps), w + position * matrix_size(),
                                    matrix(), x_gradient + seen(taps), input_taps(taps), true, scratch);
    });
  }

  /// Writes the gradient of w.
  template <class MemorySpace, class Scratch>
  void weight_gradient(T const* x, T const* y_gradient, T* w_gradient, Scratch& scratch) const {
    fill_elements<MemorySpace>(w_gradient, product(weights), T(0));
    if (is_undilated())
      return for_each_batch([&](LocalConvolution const& part, std::int64_t x_before, std::int64_t y_before) {
        contract_strided<MemorySpace>(x + x_before + part.seen(part.origin_taps()), part.input_windows(),
                                      y_gradient + y_before, part.output_strides(), w_gradient,
                                      labelled_strides(Letters::weights(), weights), true, scratch);
      });
    for_each_position([&](TapsOf const& taps, std::int64_t position) {
      contract_strided<MemorySpace>(x + seen(taps), input_taps(taps), y_gradient + reached(taps), output_taps(taps),
                                    w_gradient + position * matrix_size(), matrix(), true, scratch);
    });
  }

 private:
  using TapsOf = std::array<Taps, static_cast<std::size_t>(Rank)>;

  bool is_undilated() const {
    return std::ranges::all_of(windows, [](Window const& window) { return window.base_dilation == 1; });
  }

  /// Calls `visit(part, elements of x before it, elements of y before it)` for consecutive parts of the batch. Bounds
  /// the temporary of a contraction that copies the windows to a matrix (im2col): at most 2^23 elements, or one image.
  template <class Visit>
  void for_each_batch(Visit const& visit) const {
    constexpr std::int64_t most = std::int64_t{1} << 23;
    std::int64_t each = weights[Rank];
    for (int d = 0; d < Rank; ++d) each *= outputs.extents[d + 1] * weights[d];
    std::int64_t const images = std::max<std::int64_t>(1, most / std::max<std::int64_t>(1, each));
    std::int64_t const all = outputs.extents[0];
    for (std::int64_t done = 0; done < all; done += images) {
      LocalConvolution part = *this;
      part.input.extents[0] = part.outputs.extents[0] = std::min(images, all - done);
      visit(part, done * (product(input.extents) / all), done * (product(outputs.extents) / all));
    }
  }

  Range output_range(int d) const { return {outputs.offsets[d + 1], outputs.offsets[d + 1] + outputs.extents[d + 1]}; }
  /// Returns the number of elements of w at one window position, I times O.
  std::int64_t matrix_size() const { return weights[Rank] * weights[Rank + 1]; }
  LabelledStrides matrix() const { return labelled_strides({'i', 'o'}, {weights[Rank], weights[Rank + 1]}); }
  LabelledStrides output_strides() const { return labelled_strides(Letters::output(), outputs.extents); }

  /// Returns the taps under window position 0.
  TapsOf origin_taps() const {
    TapsOf taps;
    for (int d = 0; d < Rank; ++d)
      taps[static_cast<std::size_t>(d)] = taps_of(windows[static_cast<std::size_t>(d)], output_range(d), 0);
    return taps;
  }

  /// Calls `visit(taps, position)` for each window position under which some output sees an element.
  template <class Visit>
  void for_each_position(Visit const& visit) const {
    std::int64_t count = 1;
    for (Window const& window : windows) count *= window.size;
    for (std::int64_t position = 0; position < count; ++position) {
      TapsOf taps;
      std::int64_t rest = position;
      bool sees = true;
      for (int d = Rank - 1; d >= 0; --d) {
        Window const& window = windows[static_cast<std::size_t>(d)];
        taps[static_cast<std::size_t>(d)] = taps_of(window, output_range(d), rest % window.size);
        rest /= window.size;
        sees = sees && taps[static_cast<std::size_t>(d)].count > 0;
      }
      if (sees) visit(taps, position);
    }
  }

  /// Returns the position in the input box of the first element of `taps`.
  std::int64_t seen(TapsOf const& taps) const {
    Extents const strides = packed_strides(input.extents);
    std::int64_t position = 0;
    for (int d = 0; d < Rank; ++d)
      position += (taps[static_cast<std::size_t>(d)].element - input.offsets[d + 1]) * strides[d + 1];
    return position;
  }
  /// Returns the position in the output block of the first output of `taps`.
  std::int64_t reached(TapsOf const& taps) const {
    Extents const strides = packed_strides(outputs.extents);
    std::int64_t position = 0;
    for (int d = 0; d < Rank; ++d)
      position += (taps[static_cast<std::size_t>(d)].output - outputs.offsets[d + 1]) * strides[d + 1];
    return position;
  }

  /// Returns the elements of the input box that are seen under one window position.
  LabelledStrides input_taps(TapsOf const& taps) const {
    LabelledStrides result = labelled_strides(Letters::input(), input.extents);
    for (int d = 0; d < Rank; ++d) {
      result.extents[d + 1] = taps[static_cast<std::size_t>(d)].count;
      result.strides[d + 1] *= taps[static_cast<std::size_t>(d)].element_step;
    }
    return result;
  }
  /// Returns the outputs that see an element under one window position.
  LabelledStrides output_taps(TapsOf const& taps) const {
    LabelledStrides result = output_strides();
    for (int d = 0; d < Rank; ++d) {
      result.extents[d + 1] = taps[static_cast<std::size_t>(d)].count;
      result.strides[d + 1] *= taps[static_cast<std::size_t>(d)].output_step;
    }
    return result;
  }

  /// Returns the elements seen under all window positions, with the window letters as further dimensions.
  /// Precondition: no base dilation.
  LabelledStrides input_windows() const {
    LabelledStrides result = input_taps(origin_taps());
    Extents const strides = packed_strides(input.extents);
    for (int d = 0; d < Rank; ++d) {
      result.labels.push_back(Letters::window[static_cast<std::size_t>(d)]);
      result.extents.push_back(windows[static_cast<std::size_t>(d)].size);
      result.strides.push_back(strides[d + 1] * windows[static_cast<std::size_t>(d)].dilation);
    }
    return result;
  }
};

}  // namespace gshard::detail
