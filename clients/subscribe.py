"""Listen to a station in a few lines: `python -m clients.subscribe [ADDRESS [REQUESTS]]`. Ctrl-C ends it."""

import sys

from engine.messages import Event, State
from engine.subscriber import Subscriber

if __name__ == "__main__":
    with Subscriber(*sys.argv[1:3]) as bus:
        for message in bus:
            if isinstance(message, State):
                print(
                    f"{message.status:9} {message.phase or '-':16} {message.cycle_progress:4.0%}", end="\r", flush=True
                )
            elif isinstance(message, Event):
                print(f"\033[K#{message.seq} {message.event} {message.phase or ''}")
