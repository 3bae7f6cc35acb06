"""Listen to a station in a few lines, until Ctrl-C:

python -m clients.subscribe [ADDRESS [REQUESTS]]
python -m clients.subscribe tcp://HOST:5560 tcp://HOST:5561 --keys FOLDER --server KEY     where the station has keys
"""

import argparse
from pathlib import Path

from engine.bus import PUBLISH, REQUESTS
from engine.errors import LockstepError
from engine.messages import Event, State
from engine.security import ClientKeys
from engine.subscriber import Subscriber


def listen(address: str, requests: str, keys: ClientKeys | None) -> None:
    with Subscriber(address, requests, keys=keys) as bus:
        for message in bus:
            if isinstance(message, State):
                print(
                    f"{message.status:9} {message.phase or '-':16} {message.cycle_progress:4.0%}", end="\r", flush=True
                )
            elif isinstance(message, Event):
                print(f"\033[K#{message.seq} {message.event} {message.phase or ''}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", default=PUBLISH)
    parser.add_argument("requests", nargs="?", default=REQUESTS)
    parser.add_argument("--keys", type=Path, metavar="FOLDER", help="your own, made by `lockstep keys new`")
    parser.add_argument("--server", default="", metavar="KEY", help="the station's public key, or a file that holds it")
    options = parser.parse_args()
    try:
        listen(options.address, options.requests, ClientKeys(options.keys, options.server) if options.keys else None)
    except LockstepError as error:
        parser.exit(2, f"subscribe: {error}\n")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
