"""Rolling percentiles: recent ones forget, the summary does not grow without bound."""

from engine import latency
from engine.latency import Latency


def test_recent_figures_forget_what_is_long_past():
    times = Latency()
    for _ in range(latency.WINDOW):
        times.add("pose", 100.0)
    for _ in range(latency.WINDOW):
        times.add("pose", 1.0)
    assert times.recent()["pose"] == (1.0, 1.0)
    assert times.summary()["pose"]["p99"] == 100.0


def test_the_summary_keeps_an_even_choice_once_it_is_full(monkeypatch):
    monkeypatch.setattr(latency, "RESERVOIR", 500)
    times = Latency()
    for i in range(5000):
        times.add("match", float(i))
    summary = times.summary()["match"]
    assert summary["count"] == 5000
    assert 2000 < summary["p50"] < 3000


def test_measuring_a_block_counts_it_even_when_it_fails():
    times = Latency()
    try:
        with times.measure("embed"):
            raise ValueError
    except ValueError:
        pass
    assert times.summary()["embed"]["count"] == 1
