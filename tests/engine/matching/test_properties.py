"""The properties a live follower must have, on random procedures (hypothesis)."""

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from streams import NOBODY, PHASES, RATE_HZ, TICKS, cycle, errors_s, events_of, follow, procedure, reference, seen

from engine.events import EventDetector
from engine.matching.hmm import SwitchingMatcher

few, more = examples(6), examples(10)
"""Most of a test is the making of the reference: more examples where a short stream follows."""
seeds = st.integers(0, 10_000)
DEVIATIONS = ("phase_skipped", "phase_repeated", "phase_out_of_order")


@more
@given(seeds)
def test_the_reference_against_itself_is_the_identity_at_rate_one(seed):
    work = procedure(seed)
    matches = follow(reference(work), work)
    settled = slice(20, None)
    assert errors_s(matches, range(TICKS))[settled].max() <= 1 / RATE_HZ + 1e-9
    assert abs(np.median([m.rate for m in matches[settled]]) - 1) < 0.15


@more
@given(seeds, st.floats(np.log(1 / 3), np.log(3)))
def test_another_pace_is_followed_within_a_fifth_of_a_second(seed, log_pace):
    work = procedure(seed)
    positions = np.arange(0, 3 * TICKS, np.exp(log_pace)) % TICKS
    error = errors_s(follow(reference(work), seen(work, positions, seed)), positions)[40:]
    assert np.quantile(error, 0.95) <= 0.2


@few
@given(seeds, st.integers(40, TICKS - 40))
def test_a_frozen_picture_holds_the_position_and_is_a_pause_without_a_skip(seed, where):
    work = procedure(seed)
    positions = [*cycle(*range(PHASES)), *range(where), *[where] * 100, *range(where, TICKS)]
    ref = reference(work)
    embeddings = seen(work, positions, seed)
    held = slice(TICKS + where + 30, TICKS + where + 100)
    matches = follow(ref, embeddings)
    assert errors_s(matches[held], positions[held]).max() <= 0.2
    assert all(m.status == "paused" for m in matches[held])
    told = [e.event for e in events_of(ref, embeddings, ("paused", "resumed", *DEVIATIONS))]
    assert told == ["paused", "resumed"]


@more
@given(seeds, st.integers(50, 150))
def test_off_task_holds_the_position_and_work_is_found_again_within_a_second(seed, where):
    work = procedure(seed)
    positions = [*range(where), *[NOBODY] * 80, *range(where, TICKS)]
    matches = follow(reference(work), seen(work, positions, seed))
    away = matches[where + 40 : where + 80]
    assert all(m.status == "off_task" for m in away)
    assert errors_s(away, [where] * len(away)).max() <= 0.6
    back = slice(where + 80 + round(RATE_HZ), None)
    assert errors_s(matches[back], positions[back]).max() <= 0.3
    assert all(m.status in ("on_task", "paused") for m in matches[back])


@few
@given(seeds, st.integers(1, PHASES - 2))
def test_a_dropped_phase_is_told_exactly_once(seed, dropped):
    work = procedure(seed)
    order = [p for p in range(PHASES) if p != dropped]
    positions = [*cycle(*range(PHASES)), *cycle(*order), *cycle(*range(PHASES)), *range(20)]
    told = events_of(reference(work), seen(work, positions, seed), (*DEVIATIONS, "cycle_finished"))
    assert [(e.event, e.phase) for e in told if e.event in DEVIATIONS] == [("phase_skipped", f"p{dropped}")]
    assert sum(e.event == "cycle_finished" for e in told) == 3


@few
@given(seeds, st.integers(0, PHASES - 2))
def test_swapped_phases_are_out_of_order_not_skipped_and_repeated(seed, first):
    work = procedure(seed)
    order = list(range(PHASES))
    order[first], order[first + 1] = order[first + 1], order[first]
    positions = [*cycle(*range(PHASES)), *cycle(*order), *cycle(*range(PHASES))]
    told = events_of(reference(work), seen(work, positions, seed), DEVIATIONS)
    assert [(e.event, e.phase) for e in told] == [("phase_out_of_order", f"p{first}")]


@few
@given(seeds, st.integers(0, PHASES - 1))
def test_a_phase_done_twice_is_told_once(seed, twice):
    work = procedure(seed)
    order = sorted([*range(PHASES), twice])
    positions = [*cycle(*range(PHASES)), *cycle(*order), *cycle(*range(PHASES))]
    told = events_of(reference(work), seen(work, positions, seed), DEVIATIONS)
    assert [(e.event, e.phase) for e in told] == [("phase_repeated", f"p{twice}")]


@few
@given(seeds, st.integers(1, 6), st.floats(0.4, 2.5))
def test_k_loops_count_exactly_k_and_half_a_cycle_does_not(seed, loops, pace):
    work = procedure(seed)
    positions = np.arange(0, loops * TICKS, pace) % TICKS
    half = np.arange(0, TICKS / 2, pace)
    embeddings = seen(work, [*positions, *half, *[NOBODY] * 100], seed)
    assert len(events_of(reference(work), embeddings, ("cycle_finished",))) == loops


@more
@given(seeds, st.integers(80, 140))
def test_a_look_alike_of_the_home_pose_in_mid_work_causes_no_jump(seed, where):
    work = procedure(seed)
    work[where : where + 12] = work[:12]
    positions = [*cycle(*range(PHASES))] * 3
    error = errors_s(follow(reference(work), seen(work, positions, seed)), positions)
    assert error[TICKS // 2 :].max() <= 0.4


@few
@given(seeds, st.integers(1, 2 * TICKS - 1))
def test_saving_and_restoring_in_mid_stream_changes_nothing(seed, at):
    work = procedure(seed)
    ref = reference(work)
    embeddings = seen(work, [*cycle(0, 2, 1, 3), *cycle(*range(PHASES))], seed)
    poses = np.cumsum(np.random.default_rng(seed).normal(size=(len(embeddings), 13, 3)), axis=0)
    poses[:, :, 2] = 1.0

    def run(cut: int | None):
        matcher, detector = SwitchingMatcher(ref), EventDetector(ref)
        out = []
        for t, (embedding, pose) in enumerate(zip(embeddings, poses, strict=True)):
            if t == cut:
                saved = matcher.state(), detector.state()
                matcher, detector = SwitchingMatcher(ref), EventDetector(ref)
                matcher.restore(saved[0])
                detector.restore(saved[1])
            match = matcher.step(embedding, 1 / RATE_HZ, pose)
            out.append((match, detector.step(match, t / RATE_HZ, t / RATE_HZ, True)))
        return out

    assert run(None) == run(at)


@more
@given(seeds, st.sampled_from([0.6, 1.5]))
def test_another_frame_rate_and_dropped_frames_leave_the_phases_as_they_are(seed, stretch):
    work = procedure(seed)
    ref = reference(work)
    rng = np.random.default_rng(seed)
    kept_s = np.arange(0, 2 * TICKS / RATE_HZ, stretch / RATE_HZ)
    kept_s = kept_s[rng.random(len(kept_s)) > 0.2]
    positions = kept_s * RATE_HZ % TICKS
    embeddings = seen(work, positions, seed)
    matcher = SwitchingMatcher(ref)
    matches = [matcher.step(e, dt) for e, dt in zip(embeddings, np.diff(kept_s, prepend=kept_s[0]), strict=True)]
    expected = (positions // (TICKS // PHASES)).astype(int)
    assert (np.array([m.phase for m in matches]) == expected)[30:].mean() >= 0.95


@few
@given(seeds, st.integers(0, 3))
def test_frames_seen_twice_leave_the_phases_as_they_are(seed, times):
    """A camera that delivers the same frame again, at the same time or a little later."""
    work = procedure(seed)
    positions = np.arange(2 * TICKS) % TICKS
    rng = np.random.default_rng(seed)
    matcher = SwitchingMatcher(reference(work))
    said = []
    for embedding in seen(work, positions, seed):
        again = times if rng.random() < 0.2 else 0
        later_s = 0.2 / RATE_HZ if again else 0.0
        match = matcher.step(embedding, 1 / RATE_HZ - again * later_s * 0.5)
        for _ in range(again):
            match = matcher.step(embedding, later_s * 0.5)
        said.append(match.phase)
    expected = positions // (TICKS // PHASES)
    assert (np.array(said) == expected)[30:].mean() >= 0.95


@few
@given(seeds, st.integers(50, 350))
def test_the_future_never_changes_the_past(seed, cut):
    work = procedure(seed)
    ref = reference(work)
    embeddings = seen(work, cycle(*range(PHASES)) * 2, seed)
    other = np.concatenate([embeddings[:cut], seen(work, [NOBODY] * 100, seed)])
    assert follow(ref, embeddings)[:cut] == follow(ref, other)[:cut]


@few
@given(seeds)
def test_noise_alone_brings_no_cycle_and_no_alert(seed):
    work = procedure(seed)
    two_minutes = round(120 * RATE_HZ)  # longer than it takes to forget how alike somebody looked
    assert events_of(reference(work), seen(work, [NOBODY] * two_minutes, seed)) == []


@more
@given(seeds, st.integers(60, 140))
def test_when_nobody_is_seen_confidence_falls_before_the_position_jumps(seed, where):
    work = procedure(seed)
    embeddings = [*seen(work, range(where), seed), *[None] * 60]
    matches = follow(reference(work), embeddings)
    for earlier, later in zip(matches[where:], matches[where + 1 :], strict=False):
        jumped = abs(later.position_s - earlier.position_s) > 0.5
        assert not jumped or earlier.confidence < 0.5 or earlier.status == "lost"
    assert matches[-1].status == "lost"


@st.composite
def kinds_of_stream(draw):
    """Positions that come round again and again, and the noise on them."""
    kind = draw(st.sampled_from(["loops", "noise", "constant", "gaps"]))
    where = draw(st.integers(0, TICKS - 1))
    positions = {
        "loops": [*range(where, TICKS), *range(TICKS)],
        "noise": [NOBODY] * TICKS,
        "constant": [where] * TICKS,
        "gaps": [*range(where), *[None] * draw(st.integers(1, 100)), *range(where, TICKS)],
    }[kind]
    return positions, draw(st.sampled_from([0.0, 0.04, 0.3]))


@examples(6)
@given(kinds_of_stream(), seeds)
def test_however_long_a_stream_its_belief_sums_to_one_and_its_memory_does_not_grow(stream, seed):
    positions, noise = stream
    work = procedure(seed)
    matcher, detector = SwitchingMatcher(reference(work)), EventDetector(reference(work))
    embeddings = iter(seen(work, [where for where in positions if where is not None], seed, noise))
    around = [None if where is None else next(embeddings) for where in positions]
    tick = 0

    def follow_for(ticks: int) -> None:
        nonlocal tick
        for _ in range(ticks):
            embedding = around[tick % len(around)]
            match = matcher.step(embedding, 1 / RATE_HZ)
            detector.step(match, tick / RATE_HZ, tick / RATE_HZ, embedding is not None)
            state = matcher.state()
            total = state["on"].sum(dtype=np.float64) + state["off"].sum(dtype=np.float64) + state["numbers"][0]
            assert abs(total - 1) < 1e-4  # false of a number that is none, too
            tick += 1

    follow_for(400)  # what is kept for a while is there
    tracemalloc.start()
    try:
        follow_for(400)
        before, _ = tracemalloc.get_traced_memory()
        follow_for(800)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4096
