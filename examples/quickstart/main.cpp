// SPDX-License-Identifier: Apache-2.0
// Tokens to their experts: one all-to-all, written as a type. Run it on 4 ranks: mpirun -n 4 quickstart
#include <iostream>

#include <gshard/einsum.hpp>
#include <gshard/reduce.hpp>
#include <gshard/tensor.hpp>

using namespace gshard;

// Sizes are given when the program starts, or fixed: Axis<"expert", 8>.
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

constexpr int G = 8, S = 16, M = 32;  // groups, tokens of a group, width of a token
constexpr int E = 4, C = 8, H = 64;   // experts, slots of an expert for a group, width inside an expert

struct Wave {  // any function of the global index: the values do not depend on the mesh
  template <class Index>
  KOKKOS_FUNCTION float operator()(Index const& index) const {
    return Kokkos::sin(static_cast<float>(1 + index[0] + 3 * index[1] + 7 * index[2]));
  }
};

struct TurnByTurn {  // token s goes to expert s mod E, into its slot s / E
  template <class Index>
  KOKKOS_FUNCTION float operator()(Index const& index) const {
    return index[1] % E == index[2] && index[1] / E == index[3] ? 1.0F : 0.0F;
  }
};

int main(int argc, char** argv) {
  return run(argc, argv, [](Runtime& runtime) {
    Grid grid(runtime, {2, 2});  // 4 ranks; any other number: one clear error

    ShardedTensor<Grid, Spec<"data,expert", _, _>> x(grid, {G, S, M}, "x");  // groups of tokens, split over both axes
    ShardedTensor<Grid, Spec<"data,expert", _, _, _>> mask(grid, {G, S, E, C}, "mask");
    ShardedTensor<Grid, Spec<"expert", _, _>> wi(grid, {E, M, H}, "wi");  // each expert row holds its own experts
    fill(x, Wave{});
    fill(mask, TurnByTurn{});
    fill(wi, Wave{});

    // The declared type of the result is the annotation: E moves onto "expert" by one all-to-all over "expert" alone.
    ShardedTensor<Grid, Spec<"expert", "data", _, _>> sent = einsum<"gsec,gsm->egcm">(mask, x);

    // No annotation: the sharding is propagated; relu is fused in.
    auto h = eval(relu(einsum<"egcm,emh->egch">(sent, wi)));

    // Communication is part of the type, so it can be asserted, and a change that adds an all-gather does not compile:
    static_assert(plan_of<"gsec,gsm->egcm", decltype(mask), decltype(x), decltype(sent)>.all_to_all == 1);
    static_assert(plan_of<"gsec,gsm->egcm", decltype(mask), decltype(x), decltype(sent)>.all_gather == 0);
    static_assert(plan_of<"egcm,emh->egch", decltype(sent), decltype(wi), decltype(h)>.total() == 0);

    double const total = sum(h);  // over all ranks: every rank calls it
    if (runtime.is_root())
      std::cout << explain<"gsec,gsm->egcm">(mask, x, sent)  // the same plan with this run's bytes, flops and memory
                << describe(h) << "\nsum of h: " << total << '\n';
  });
}
