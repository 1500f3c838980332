// SPDX-License-Identifier: Apache-2.0
// An operation with kernels and a gradient of its own, in a data-parallel training loop: learns the decay rates of a
// linear recurrence from its outputs. Every number of ranks prints the same losses: mpirun -n 2 custom_operation
#include <cstdint>
#include <cstdio>

#include <gshard/gshard.hpp>

using namespace gshard;

constexpr int B = 64, T = 32, C = 4;  // sequences, time steps, channels

using Line = Mesh<Axis<"data">>;
using Sequences = ShardedTensor<Line, Spec<"data", _, _>, double>;  // (B, T, C)
using Channels = ShardedTensor<Line, Spec<_>, double>;              // (C), the same on every rank

/// y[b, t, c] = decay[c] * y[b, t - 1, c] + x[b, t, c], in time order; one work item for each b and c.
struct Forward {
  Sequences::view_type x, y;
  Channels::view_type decay;
  KOKKOS_FUNCTION void operator()(int b, int c) const {
    double state = 0;
    for (int t = 0; t < T; ++t) y(b, t, c) = state = decay(c) * state + x(b, t, c);
  }
};

/// dx[b, t, c] = dy[b, t, c] + decay[c] * dx[b, t + 1, c]: the same recurrence, backward in time.
struct Backward {
  Sequences::view_type dy, dx;
  Channels::view_type decay;
  KOKKOS_FUNCTION void operator()(int b, int c) const {
    double state = 0;
    for (int t = T - 1; t >= 0; --t) dx(b, t, c) = state = dy(b, t, c) + decay(c) * state;
  }
};

/// part[c] = sum over t and the sequences of this rank of dx[b, t, c] * y[b, t - 1, c].
struct DecayGradient {
  Sequences::view_type dx, y;
  Channels::view_type part;
  KOKKOS_FUNCTION void operator()(int c) const {
    double sum = 0;
    for (int b = 0; b < dx.extent_int(0); ++b)
      for (int t = 1; t < T; ++t) sum += dx(b, t, c) * y(b, t - 1, c);
    part(c) = sum;
  }
};

struct Recurrence {
  using Range = Kokkos::MDRangePolicy<Kokkos::Rank<2>>;

  Sequences forward(Sequences const& x, Channels const& decay) const {
    Sequences const y = empty_like(x);
    Kokkos::parallel_for("recurrence", Range({0, 0}, {x.local_extent(0), C}),
                         Forward{x.local(), y.local(), decay.local()});
    return y;
  }

  /// The gradient of x (operand 0) reads the decay; that of the decay (operand 1) reads the result as well. x is not
  /// kept.
  template <int Operand>
  static constexpr Reads reads = Operand == 0 ? Reads::operand(1) : Reads::operand(1) | Reads::result();

  void vjp(auto const& saved, Sequences const& dy, auto const& gradients) const {
    auto const& [x, decay] = saved.operands;
    auto const& [dx, ddecay] = gradients;
    Sequences const through_time = empty_like(dy);
    Kokkos::parallel_for("recurrence, backward", Range({0, 0}, {dy.local_extent(0), C}),
                         Backward{dy.local(), through_time.local(), decay.local()});
    dx.add(through_time);  // does nothing where x is input data
    if constexpr (is_wanted<decltype(ddecay)>) {
      auto const part = ddecay.empty_part(dy, decay.extents());  // each rank holds one addend
      Kokkos::parallel_for("recurrence, gradient of decay", C,
                           DecayGradient{through_time.local(), saved.result.local(), part.local()});
      ddecay.add_part(part);  // the tape all-reduces it over "data", once for all uses of the parameter
    }
  }
};
inline constexpr Differentiable<Recurrence> recurrence;

struct Noise {  // random numbers are drawn by global index: the same on every mesh
  std::uint64_t step;
  KOKKOS_FUNCTION double operator()(GlobalIndex<3> const& index) const {
    return random_normal(1, step, static_cast<std::uint64_t>((index[0] * T + index[1]) * C + index[2]));
  }
};

struct TrueDecay {  // 0.9, 0.7, 0.5, 0.3
  KOKKOS_FUNCTION double operator()(GlobalIndex<1> const& index) const {
    return 0.9 - 0.2 * static_cast<double>(index[0]);
  }
};

struct Model {
  Parameter<Channels> logits;
  auto operator()(auto const& x) { return recurrence(x, sigmoid(bind(logits, x))); }
  void for_each_parameter(auto const& visit) { visit(logits); }
};

int main(int argc, char** argv) {
  return run(argc, argv, [](Runtime& runtime) {
    Line line(runtime, {runtime.size()});
    Model model{
        .logits = {.value = Channels(line, {C}, "logits"), .gradient = {}}};  // zeros: every decay starts at 1/2
    Channels decay(line, {C}, "decay");
    fill(decay, TrueDecay{});
    Sequences x(line, {B, T, C}, "x");
    optim::AdamW<> optimizer;
    for (int step = 0; step <= 120; ++step) {
      fill(x, Noise{static_cast<std::uint64_t>(step)});
      auto const target = recurrence(x, decay);  // plain tensors: nothing is recorded
      Tape tape;
      auto const loss = mean(square(model(tape.input(x)) - target));
      tape.backward(loss);
      optimizer.step(model, 0.05);
      if (step % 20 == 0 && runtime.is_root()) std::printf("step %3d  loss %.8f\n", step, item(loss));
    }
  });
}
