"""A station from its settings: everything `Station` needs, opened in the order in which a user's mistakes are cheapest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.aligner import Aligner
from engine.bundle import open_bundle
from engine.bus import Publisher
from engine.config import StationConfig
from engine.embedder.opening import open_embedder
from engine.health import Health
from engine.journal import Journal
from engine.pose.locating import open_locator
from engine.pose.selection import region
from engine.reference import Reference
from engine.retention import Retention
from engine.security import Access
from engine.sources.base import Frame, Source
from engine.sources.opening import open_source
from engine.station import Sink, Station
from engine.store import Store


def open_aligner(config: StationConfig) -> Aligner:
    """Bundle, reference, embedder and matcher of a station, warmed up. Raises BundleError, BadReference."""
    bundle = open_bundle(config.bundle)
    reference = Reference.load(config.reference)
    reference.check_bundle(bundle)
    aligner = Aligner(open_embedder(bundle, config.runtime), reference, config.station)
    aligner.warm_up()
    return aligner


@contextmanager
def open_station(
    config: StationConfig,
    sinks: Iterable[Sink] = (),
    *,
    source: Source | None = None,
    tap: Callable[[Frame, NDArray[np.float32]], None] | None = None,
) -> Iterator[Station]:
    """A station ready to `run`, and everything it holds closed afterwards. Raises a LockstepError for what does not fit.

    `source` instead of the configured one (a replay); `tap` sees each frame with the pose located in it (a recorder).
    """
    with ExitStack() as closing:
        area = region(config.pose.region) if config.pose.region is not None else None
        aligner = open_aligner(config)
        store = closing.enter_context(Store(config.store.url or "sqlite://"))
        journal = Journal(config.station, store)
        closing.callback(journal.finish)
        bus = config.bus
        publishers: list[Publisher] = []
        if bus.publish is not None:
            access = Access(bus.keys, bus.insecure)
            publishers.append(closing.enter_context(Publisher(journal, bus.publish, bus.requests, access)))
        closing.enter_context(Retention(store, config.store.keep_days))
        listeners: list[Sink] = [*publishers, *sinks]
        if config.health.address is not None:
            listeners.append(closing.enter_context(Health(config.health.address, journal, aligner.latency)))
        policy = None if config.source.policy == "auto" else config.source.policy
        source = source or open_source(config.source.open, policy)
        closing.callback(source.close)
        layout = aligner.embedder.bundle.info.layout
        locator = open_locator(source, config.pose.estimator, layout=layout, area=area, model=config.pose.model)
        closing.callback(locator.close)

        def locate(frame: Frame) -> NDArray[np.float32]:
            pose = locator(frame)
            if tap is not None:
                tap(frame, pose)
            return pose

        station = Station(config.station, source, locate, aligner, journal.number, listeners)
        station.stream_lost = journal.stream_lost()
        if publishers:
            station.confirmations = publishers[0].confirmations
        # The matrices of one station are small: threads of the linear algebra would only wait for the pose estimator's.
        # Now, not before: libraries that are loaded later (the matcher's own) are not reached.
        closing.enter_context(threadpool_limits(1, user_api="blas"))
        yield station
