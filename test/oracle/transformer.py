# SPDX-License-Identifier: Apache-2.0
"""A small Mixture-of-Experts Transformer, forward and backward, from its formulas alone (arXiv 2006.16668, section 2), in double precision.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy
    /tmp/oracle/bin/python test/oracle/transformer.py        # checks itself, then writes transformer.csv beside this file

test/unit/oracle.cpp builds the same model and compares. Each line of the result is a name and numbers, tensors in row-major order.
Weights are the closed formula `weight` of their number and position, so both sides make them; the sentences are in the result.
"""

import csv
import math
import pathlib

import numpy as np

# ---- Gradients: each operation knows how to pass its result's gradient to its operands --------------------------------------------------------------


class Value:
    def __init__(self, data, pulls=()):
        self.data = np.asarray(data, dtype=np.float64)
        self.pulls = pulls  # (operand, function from the gradient of this to that of the operand)
        self.gradient = np.zeros_like(self.data)


def backward(loss):
    order, seen = [], set()

    def visit(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        for operand, _ in value.pulls:
            visit(operand)
        order.append(value)

    visit(loss)
    loss.gradient = np.ones_like(loss.data)
    for value in reversed(order):
        for operand, pull in value.pulls:
            operand.gradient = operand.gradient + pull(value.gradient)


def einsum(text, a, b):
    operands, result = text.split("->")
    left, right = operands.split(",")
    return Value(np.einsum(text, a.data, b.data),
                 [(a, lambda g: np.einsum(f"{result},{right}->{left}", g, b.data)), (b, lambda g: np.einsum(f"{result},{left}->{right}", g, a.data))])


def scaled(a, factor):
    """Times a number or an array that needs no gradient."""
    return Value(a.data * factor, [(a, lambda g: g * factor)])


def add(a, b):
    return Value(a.data + b.data, [(a, lambda g: g), (b, lambda g: g)])


def relu(a):
    return Value(np.maximum(a.data, 0), [(a, lambda g: g * (a.data > 0))])


def divided_by_rows(a, rows):
    """a[..., j] / rows[...]"""
    return Value(a.data / rows.data[..., None],
                 [(a, lambda g: g / rows.data[..., None]), (rows, lambda g: -(g * a.data).sum(-1) / rows.data**2)])


def row_sums(a):
    return Value(a.data.sum(-1), [(a, lambda g: np.broadcast_to(g[..., None], a.data.shape))])


def total(a):
    return Value(a.data.sum(), [(a, lambda g: np.full(a.data.shape, g))])


def square_root(a):
    root = np.sqrt(a.data)
    return Value(root, [(a, lambda g: g / (2 * root))])


def plus(a, number):
    return Value(a.data + number, [(a, lambda g: g)])


def softmax(scores, seen=True):
    """Over the last dimension, of what is seen alone; zeros where nothing is."""
    seen = np.broadcast_to(seen, scores.data.shape)
    largest = np.where(seen, scores.data, -np.inf).max(-1, keepdims=True)
    powers = np.where(seen, np.exp(np.where(seen, scores.data - np.where(np.isfinite(largest), largest, 0), 0)), 0)
    sums = powers.sum(-1, keepdims=True)
    p = powers / np.where(sums > 0, sums, 1)
    return Value(p, [(scores, lambda g: p * (g - (g * p).sum(-1, keepdims=True)))])


def log_softmax(logits):
    shifted = logits.data - logits.data.max(-1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return Value(logarithms, [(logits, lambda g: g - np.exp(logarithms) * g.sum(-1, keepdims=True))])


def rows_of(table, ids):
    """Rows of a table by number; zeros for numbers below 0."""
    def pull(g):
        result = np.zeros_like(table.data)
        np.add.at(result, ids[ids >= 0], g[ids >= 0])
        return result

    return Value(np.where((ids >= 0)[..., None], table.data[ids], 0), [(table, pull)])


# ---- The model --------------------------------------------------------------------------------------------------------------------------------------

V, M, H, E = 11, 6, 10, 5  # vocabulary, width, hidden width, experts
HEADS, D = 2, 4            # heads of attention and their size, which is not M / HEADS
LONGEST = 7
G, N = 4, 2                # groups, and sentences of each
CAPACITY_FACTOR = 1.5
SMOOTHING = 0.1
BALANCE_WEIGHT = 0.1

# Words of each sentence: some fill all places, one source and one target are empty.
SOURCE_LENGTHS = np.array([[5, 3], [4, 5], [0, 2], [5, 5]])
TARGET_LENGTHS = np.array([[6, 4], [1, 5], [3, 6], [6, 0]])


def weight(number, position):
    """What parameter `number` has at `position` before its scale: in [-1, 1). Cubes modulo a prime."""
    return 2 * ((1361 * number + position + 1) ** 3 % 65537) / 65537 - 1


class Parameters(dict):
    """Values by name, numbered in the order in which they are made."""

    def make(self, name, *shape):
        value = weight(len(self), np.arange(math.prod(shape), dtype=np.int64)).reshape(shape)
        self[name] = Value(1 + value / 4 if len(shape) == 1 else 0.6 * value)


def make_parameters():
    p = Parameters()

    def attention(name):
        for projection in ("wq", "wk", "wv"):
            p.make(f"{name}.{projection}", M, HEADS, D)
        p.make(f"{name}.wo", HEADS, D, M)

    def inner(name, mixed):
        p.make(f"{name}.norm", M)
        if mixed:
            p.make(f"{name}.gate", M, E)
        experts = (E,) if mixed else ()
        p.make(f"{name}.wi", *experts, M, H)
        p.make(f"{name}.wo", *experts, H, M)

    p.make("embedding", V, M)
    p.make("positions", LONGEST, M)
    for layer, mixed in enumerate((False, True)):
        p.make(f"encoder{layer}.norm", M)
        attention(f"encoder{layer}.attention")
        inner(f"encoder{layer}.inner", mixed)
    p.make("encoder.norm", M)
    for layer, mixed in enumerate((False, True)):
        p.make(f"decoder{layer}.norm", M)
        attention(f"decoder{layer}.attention")
        p.make(f"decoder{layer}.cross.norm", M)
        attention(f"decoder{layer}.cross")
        inner(f"decoder{layer}.inner", mixed)
    p.make("decoder.norm", M)
    return p


def make_sentences(lengths, longest, seed):
    """Ids (G, N, L), -1 behind the words."""
    sentence = np.arange(G * N).reshape(G, N, 1)
    place = np.arange(longest)
    return np.where(place < lengths[..., None], (7 * sentence + 3 * place + place * place + seed) % V, -1)


def rms_norm(x, gain):
    squares = scaled(row_sums(einsum("gnlm,gnlm->gnlm", x, x)), 1 / M)
    return einsum("gnlm,m->gnlm", divided_by_rows(x, square_root(plus(squares, 1e-6))), gain)


def embedded(p, ids):
    places = np.where(ids >= 0, np.arange(ids.shape[-1]), -1)
    return scaled(add(rows_of(p["embedding"], ids), rows_of(p["positions"], places)), math.sqrt(M))


def attention(p, name, queries, keys, key_is_seen):
    """Queries (G, N, L, M) look at keys (G, N, K, M) where key_is_seen (G, N, L, K)."""
    q = einsum("gnlm,mhd->gnlhd", queries, p[f"{name}.wq"])
    k = einsum("gnkm,mhd->gnkhd", keys, p[f"{name}.wk"])
    v = einsum("gnkm,mhd->gnkhd", keys, p[f"{name}.wv"])
    weights = softmax(scaled(einsum("gnlhd,gnkhd->gnhlk", q, k), 1 / math.sqrt(D)), key_is_seen[:, :, None])
    return einsum("gnlhd,hdm->gnlm", einsum("gnhlk,gnkhd->gnlhd", weights, v), p[f"{name}.wo"])


def algorithm1(gates, real, capacity):
    """One group's tokens in order, gates (S, E): the two choices of each token, which of them are kept, and the first choices of each expert."""
    chosen, kept = np.zeros(gates.shape), np.zeros(gates.shape)
    count = np.zeros(E, dtype=int)
    tokens = [s for s in range(len(gates)) if real[s]]
    order = {s: np.argsort(-gates[s], kind="stable") for s in tokens}
    first_choices = None
    for choice in (0, 1):
        for s in tokens:
            e = order[s][choice]
            chosen[s, e] = 1
            if count[e] < capacity:
                kept[s, e] = 1
            count[e] += 1
        if choice == 0:
            first_choices = count.copy()
    return chosen, kept, first_choices


class Report:
    """What the gates did: for the result's reader, and to see that a finite difference did not change a choice."""

    def __init__(self):
        self.kept = []
        self.margin = np.inf
        self.dropped = 0


def mixture(p, name, x, real, report):
    """Algorithm 1 in each group with second choices that always go; every expert sees every token, and the weights pick. Output and E^2 mean of l_aux."""
    shape = x.data.shape
    x = Value(x.data.reshape(G, -1, M), [(x, lambda g: g.reshape(shape))])
    real = real.reshape(G, -1)
    capacity = math.ceil(CAPACITY_FACTOR * real.shape[1] / E)
    gates = softmax(einsum("gsm,me->gse", x, p[f"{name}.gate"]))
    chosen, kept, share = np.zeros(gates.data.shape), np.zeros(gates.data.shape), np.zeros(gates.data.shape)
    for g in range(G):
        chosen[g], kept[g], first_choices = algorithm1(gates.data[g], real[g], capacity)
        tokens = max(real[g].sum(), 1)
        share[g] = real[g][:, None] * first_choices / tokens / tokens  # c_e / S, and the 1 / S of the mean gate m_e
        for s in np.flatnonzero(real[g]):
            best = np.sort(gates.data[g, s])[::-1]
            report.margin = min(report.margin, best[0] - best[1], best[1] - best[2])
    report.kept.append(kept)
    report.dropped += int((chosen - kept).sum())
    both = plus(row_sums(scaled(gates, chosen)), 1.0 * (real == 0))  # g1 + g2; anything but 0 for padding
    weights = divided_by_rows(scaled(gates, kept), both)
    hidden = relu(einsum("gsm,emh->gseh", x, p[f"{name}.wi"]))
    outputs = einsum("gseh,ehm->gsem", hidden, p[f"{name}.wo"])
    y = einsum("gse,gsem->gsm", weights, outputs)
    balance = scaled(total(scaled(gates, share)), E**2 / E / G)
    return Value(y.data.reshape(shape), [(y, lambda g: g.reshape(y.data.shape))]), balance


def inner(p, name, x, real, report, losses):
    normed = rms_norm(x, p[f"{name}.norm"])
    if f"{name}.gate" in p:
        output, balance = mixture(p, name, normed, real, report)
        losses.append(balance)
    else:
        output = einsum("gnlh,hm->gnlm", relu(einsum("gnlm,mh->gnlh", normed, p[f"{name}.wi"])), p[f"{name}.wo"])
    return add(x, output)


def run(p, source, target, spoken):
    report, losses = Report(), []
    source_real, target_real = source >= 0, target >= 0
    L, K = target.shape[-1], source.shape[-1]

    x = embedded(p, source)
    for layer in range(2):
        normed = rms_norm(x, p[f"encoder{layer}.norm"])
        x = add(x, attention(p, f"encoder{layer}.attention", normed, normed, np.broadcast_to(source_real[:, :, None], (G, N, K, K))))
        x = inner(p, f"encoder{layer}.inner", x, source_real, report, losses)
    memory = rms_norm(x, p["encoder.norm"])

    not_behind = np.arange(L)[None, :] <= np.arange(L)[:, None]
    x = embedded(p, target)
    for layer in range(2):
        normed = rms_norm(x, p[f"decoder{layer}.norm"])
        x = add(x, attention(p, f"decoder{layer}.attention", normed, normed, target_real[:, :, None] & not_behind))
        normed = rms_norm(x, p[f"decoder{layer}.cross.norm"])
        x = add(x, attention(p, f"decoder{layer}.cross", normed, memory, np.broadcast_to(source_real[:, :, None], (G, N, L, K))))
        x = inner(p, f"decoder{layer}.inner", x, target_real, report, losses)
    logits = einsum("gnlm,vm->gnlv", rms_norm(x, p["decoder.norm"]), p["embedding"])

    words = (spoken >= 0).sum()
    goal = np.where((spoken >= 0)[..., None], SMOOTHING / V + (1 - SMOOTHING) * (spoken[..., None] == np.arange(V)), 0)
    cross_entropy = scaled(total(scaled(log_softmax(logits), goal)), -1 / words)
    balance = scaled(add(*losses), 1 / len(losses))
    return logits, cross_entropy, balance, add(cross_entropy, scaled(balance, BALANCE_WEIGHT)), report


def check(p, sentences):
    """The gradient of each parameter along a direction of its own, against central differences."""
    kept = run(p, *sentences)[4].kept
    worst = 0
    for number, value in enumerate(p.values()):
        direction = weight(number + 7, np.arange(value.data.size, dtype=np.int64)[::-1]).reshape(value.data.shape)
        origin, losses = value.data, []
        for step in (1e-6, -1e-6):
            value.data = origin + step * direction
            *_, loss, report = run(p, *sentences)
            assert all(np.array_equal(a, b) for a, b in zip(kept, report.kept)), "a step changed a choice"
            losses.append(loss.data)
        value.data = origin
        worst = max(worst, abs((losses[0] - losses[1]) / 2e-6 - (value.gradient * direction).sum()))
    assert worst < 1e-8, worst
    return worst


def main():
    p = make_parameters()
    source, target = make_sentences(SOURCE_LENGTHS, 5, 1), make_sentences(TARGET_LENGTHS, 6, 4)
    spoken = make_sentences(TARGET_LENGTHS, 6, 8)
    logits, cross_entropy, balance, loss, report = run(p, source, target, spoken)
    backward(loss)
    worst = check(p, (source, target, spoken))
    assert report.margin > 1e-4 and report.dropped > 0
    print(f"cross entropy {cross_entropy.data:.6f}, balance {balance.data:.6f}; {report.dropped} choices dropped, "
          f"gates at least {report.margin:.4f} apart; gradients within {worst:.1e} of central differences")

    with open(pathlib.Path(__file__).with_name("transformer.csv"), "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")

        def line(name, values):
            table.writerow([name, *(f"{v:.12g}" for v in np.reshape(values, -1))])

        line("source ids", source)
        line("source lengths", SOURCE_LENGTHS)
        line("target ids", target)
        line("target lengths", TARGET_LENGTHS)
        line("spoken ids", spoken)
        line("cross entropy", cross_entropy.data)
        line("balance loss", balance.data)
        line("logits of words", logits.data[target >= 0])
        for name, value in p.items():
            line(f"gradient {name}", value.gradient)


if __name__ == "__main__":
    main()
