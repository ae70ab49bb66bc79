"""A small daemon for `test_signals`: waits for one stop signal, or hangs until a second."""

import asyncio
import os
import sys

from core.kernel.loops import live_loop_factory, run
from core.kernel.signals import StopSignals
from core.simulation.virtual_loop import virtual_loop_factory

LOOPS = {
    "live": live_loop_factory(),
    "standard": asyncio.new_event_loop,
    "paced": virtual_loop_factory(1.0, outside=True),
}


def say(text: str) -> None:
    print(text, flush=True)


def force(name: str) -> None:
    say(f"forced by {name}")
    os._exit(7)


async def main(*, hang: bool) -> None:
    signals = StopSignals(asyncio.get_running_loop(), force)
    signals.install()
    say("ready")
    await signals.stop.wait()
    say(f"stopping after {signals.received[0]}")
    if hang:
        await asyncio.Event().wait()
    signals.uninstall()


if __name__ == "__main__":
    run(main(hang=sys.argv[2] == "hang"), loop_factory=LOOPS[sys.argv[1]])
    say("stopped")
