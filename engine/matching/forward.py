"""One step of the forward filter, compiled. O(N · K²) with K = 8 rates; allocates nothing.

    belief ──rates mix──► ──positions advance, wrap──► ──jumps, off task, idle──► × evidence ──► normalised belief

Jumps are an outer product (who leaves × where they land), so any jump costs O(N).
"""

from __future__ import annotations

import numpy as np

from engine.compiled import compiled

# Indices into the vector of probabilities of one tick.
JUMP, LEAVE, BACK, BACK_HERE, BACK_START, GIVE_UP, BEGIN, WRAP = range(8)


@compiled(fastmath={"reassoc", "contract", "nsz"})
def forward(on, off, idle, mixing, shifts, odds, entry, land, begin, likelihood, idle_likelihood, mixed, new_on):
    """Moves the belief on by one tick and weighs it with the evidence, in place. Returns the new idle mass.

    on (K, N), off (N,): belief, changed in place; idle: its third part. mixing (K, K) rate transition; shifts (K,) ticks
    advanced per rate; odds (8,) probabilities of this tick; entry (K,) rate on entering; land, begin (N,) where jumps and
    cycles begin; likelihood (N,) of the evidence per position relative to off task; mixed, new_on (K, N) scratch.
    All float32; sums in float64.
    """
    rates, count = on.shape
    stay = np.float32(1.0 - odds[JUMP] - odds[LEAVE])
    here = np.float32(odds[BACK] * odds[BACK_HERE])
    off_stays = np.float32(1.0 - odds[BACK] - odds[GIVE_UP])
    leaving = np.float32(odds[LEAVE])

    on_total = 0.0
    off_total = 0.0
    for i in range(count):
        off_total += off[i]
    # Rates change; whoever comes back to where they left joins in.
    for k in range(rates):
        row = mixed[k]
        share = np.float32(here * entry[k])
        for i in range(count):
            row[i] = share * off[i]
        for source in range(rates):
            weight = np.float32(stay * mixing[source, k])
            if weight > 0.0:
                old = on[source]
                for i in range(count):
                    row[i] += weight * old[i]
    for i in range(count):
        off[i] *= off_stays
    for k in range(rates):
        old = on[k]
        total = 0.0
        for i in range(count):
            total += old[i]
            off[i] += leaving * old[i]
        on_total += total

    # Positions advance by a whole number of ticks and a fraction, split linearly over two bins.
    over = 0.0
    for k in range(rates):
        whole = int(np.floor(shifts[k]))
        far = np.float32(shifts[k] - whole)
        near = np.float32(1.0) - far
        source, target = mixed[k], new_on[k]
        first = min(whole + 1, count)
        for i in range(first):
            target[i] = 0.0
        if whole < count:
            target[whole] = near * source[0]
        for i in range(first, count):
            target[i] = near * source[i - whole] + far * source[i - whole - 1]
        # Past the end: into the next cycle, or idle.
        for j in range(max(0, count - whole - 1), count):
            lands = j + whole
            if lands >= count:
                over += near * source[j]
                target[lands % count] += np.float32(odds[WRAP]) * near * source[j]
            if lands + 1 >= count:
                over += far * source[j]
                target[(lands + 1) % count] += np.float32(odds[WRAP]) * far * source[j]

    back_elsewhere = odds[BACK] * (1.0 - odds[BACK_HERE]) * off_total
    to_start = odds[BEGIN] * idle + odds[BACK_START] * back_elsewhere
    to_land = odds[JUMP] * on_total + (1.0 - odds[BACK_START]) * back_elsewhere
    new_idle = (1.0 - odds[BEGIN]) * idle + odds[GIVE_UP] * off_total + (1.0 - odds[WRAP]) * over

    total = 0.0
    for k in range(rates):
        target, old = new_on[k], on[k]
        a, b = np.float32(entry[k] * to_land), np.float32(entry[k] * to_start)
        for i in range(count):
            value = (target[i] + a * land[i] + b * begin[i]) * likelihood[i]
            old[i] = value
            total += value
    for i in range(count):
        total += off[i]
    new_idle *= idle_likelihood
    total += new_idle
    scale = np.float32(1.0 / total)
    for k in range(rates):
        old = on[k]
        for i in range(count):
            old[i] *= scale
    for i in range(count):
        off[i] *= scale
    return new_idle / total


def compile_once() -> None:
    """Compiles (or loads from the cache) before the first live tick needs it."""
    grid = np.full((2, 4), 0.1, np.float32)
    line = np.full(4, 0.05, np.float32)
    two = np.eye(2, dtype=np.float32)
    one = np.ones(4, np.float32)
    forward(
        grid,
        line,
        0.0,
        two,
        np.zeros(2),
        np.full(8, 0.1),
        one[:2] / 2,
        one / 4,
        one / 4,
        one,
        1.0,
        np.zeros_like(grid),
        np.zeros_like(grid),
    )
