"""What happened, told from what the matcher says at each tick: cycles, phases, deviations, pauses, absences.

    Match per tick ─live─► presence (lost, off task, paused) ─┐
                   └delayed─► cycle tracking (visits, order) ─┴► drafts of events

Presence is judged live, because it must be told soon; where the work is, from the matcher's delayed copy, which has seen what came
next. `detector` is the entry; `procedure` is what a reference asks of a cycle, `cycle_record` what one cycle gave, `cycle_tracking`
decides what to tell of it. Nothing here sees a picture, a pose or an embedding.
"""

from __future__ import annotations

from engine.events.detector import EventDetector

__all__ = ["EventDetector"]
