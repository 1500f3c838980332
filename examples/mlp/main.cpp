// SPDX-License-Identifier: Apache-2.0
// A two-layer network, data parallel: tells apart three rings around the origin. Every number of ranks prints the same
// losses: mpirun -n 2 mlp
#include <cstdint>
#include <cstdio>

#include <gshard/gshard.hpp>

using namespace gshard;

constexpr int N = 512, Hidden = 32, Classes = 3;  // points of a batch, hidden units, rings

using Line = Mesh<Axis<"data">>;
using Points = ShardedTensor<Line, Spec<"data", _>>;         // (N, 2), split over the ranks
using Weights = Parameter<ShardedTensor<Line, Spec<_, _>>>;  // the same on every rank
using Bias = Parameter<ShardedTensor<Line, Spec<_>>>;

struct Draw {  // by step and global index: the same on every mesh
  std::uint64_t step;
  KOKKOS_FUNCTION float operator()(GlobalIndex<2> const& index) const {  // a coordinate of a point
    return random_normal<float>(7, step, static_cast<std::uint64_t>(2 * index[0] + index[1]));
  }
  KOKKOS_FUNCTION int operator()(GlobalIndex<1> const& index) const {  // its class, by the distance from the origin
    float const x = (*this)({index[0], 0}), y = (*this)({index[0], 1}), square = x * x + y * y;
    return square < 0.8F ? 0 : square < 2.2F ? 1 : 2;
  }
};

struct Mlp {
  Weights w1, w2;
  Bias b1, b2;
  auto operator()(auto const& x) {
    auto const h = eval(relu(einsum<"ni,ih->nh">(x, bind(w1, x)) + bind(b1, x)));
    return eval(einsum<"nh,hc->nc">(h, bind(w2, x)) + bind(b2, x));
  }
  void for_each_parameter(auto const& visit) { visit(w1), visit(b1), visit(w2), visit(b2); }
};

int main(int argc, char** argv) {
  return run(argc, argv, [](Runtime& runtime) {
    Line line(runtime, {runtime.size()});
    nn::Initializer init(1);
    Mlp mlp{.w1 = init.normal<Weights::tensor_type>(line, {2, Hidden}, 1, "w1"),
            .w2 = init.normal<Weights::tensor_type>(line, {Hidden, Classes}, 0.2, "w2"),
            .b1 = init.constant<Bias::tensor_type>(line, {Hidden}, 0, "b1"),
            .b2 = init.constant<Bias::tensor_type>(line, {Classes}, 0, "b2")};
    optim::AdamW<> optimizer;
    for (std::uint64_t step = 0; step <= 300; ++step) {
      Points x(line, {N, 2}, "x");
      ShardedTensor<Line, Spec<"data">, int> targets(line, {N}, "targets");
      fill(x, Draw{step}), fill(targets, Draw{step});
      Tape tape;
      auto const loss = nn::cross_entropy(mlp(tape.input(x)), targets, N);
      tape.backward(loss);
      optimizer.step(mlp, 1e-2);
      if (step % 50 == 0 && runtime.is_root()) std::printf("step %3d  loss %.4f\n", static_cast<int>(step), item(loss));
    }
  });
}
