"""Retention goes on while a station runs, and a store in trouble does not end it."""

import threading
import time

from engine.errors import StoreError
from engine.journal import Journal
from engine.messages import Event
from engine.retention import Retention
from engine.store import Store

DAY_S = 86400.0


def happen(journal, days_ago):
    journal.number(Event("bench", 0, "slow", 0.0, time.time() - days_ago * DAY_S))


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_too_old_goes_at_the_start_and_whenever_it_becomes_too_old(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/s.db")
    journal = Journal("bench", store)
    for days_ago in (40, 31, 29, 0):
        happen(journal, days_ago)
    with Retention(store, keep_days=30, every_s=0.05):
        until(lambda: store.bounds("bench") == (3, 4))
        happen(journal, 35)  # as if written five days before it was too old
        happen(journal, 0)
        until(lambda: store.bounds("bench") == (6, 6))


def test_a_store_that_cannot_be_written_is_tried_again(monkeypatch):
    store, asked = Store("sqlite://"), threading.Semaphore(0)

    def full(_):
        asked.release()
        raise StoreError("cannot write", found="disk full")

    monkeypatch.setattr(store, "forget", full)
    with Retention(store, keep_days=1, every_s=0.01):
        assert asked.acquire(timeout=10) and asked.acquire(timeout=10)


def test_the_newest_event_stays_so_that_numbering_goes_on():
    store = Store("sqlite://")
    journal = Journal("bench", store)
    happen(journal, 400)
    happen(journal, 300)
    with Retention(store, keep_days=30):
        until(lambda: store.bounds("bench") == (2, 2))
    assert journal.number(Event("bench", 0, "slow", 0.0, time.time())).seq == 3
