"""`run_monitor` again and again: `python -m tools.auto_monitor` (floor 8).

Prints a line when a threshold is passed and when it is well again, and tells Telegram. Ends with a
signal, after one more look. A look that fails is told and the next one still comes.

Exit codes: 0 stopped and all well, 1 stopped while a threshold was passed (or never a look worked),
2 wrong usage or configuration.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/auto_monitor.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.errors import BotError
from core.domain.ports import JsonValue
from core.kernel.clock import LiveClock
from core.kernel.signals import StopSignals
from tools.common.cli import Output, finish_async, load_config, parser
from tools.common.exits import ToolExit
from tools.common.watch import Look, look_and_tell

NAME = "auto_monitor"
_EXITS = "0 stopped and all well, 1 stopped with an alarm, 2 usage or configuration"
_FORCED = 130


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0.05 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not within 0.05..86400")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(NAME, "Watch the alarm thresholds until stopped.", _EXITS)
    made.add_argument(
        "--interval", type=_seconds, default=60.0, metavar="S", help="between looks (default: 60)"
    )
    options = made.parse_args(argv)
    return finish_async(NAME, lambda: _watch(options))


async def _watch(options: argparse.Namespace) -> int:
    config = load_config(options)
    output = Output(as_json=options.json, config=config)
    signals = StopSignals(asyncio.get_running_loop(), lambda _: sys.exit(_FORCED))
    signals.install()
    last: Look | None = None
    try:
        while not signals.stop.is_set():
            last = await _look(config, output) or last
            try:
                async with asyncio.timeout(options.interval):
                    await signals.stop.wait()
            except TimeoutError:
                continue
        last = await _look(config, output) or last
    finally:
        signals.uninstall()
    return ToolExit.OK if last is not None and not last.alarms else ToolExit.FINDING


async def _look(config: TradingConfig, output: Output) -> Look | None:
    """None when it failed, which is told."""
    try:
        seen = await look_and_tell(config, LiveClock().now_ms(), output)
    except (BotError, OSError) as error:
        output.note(f"{NAME}: {error}")
        return None
    for reading in seen.news:
        record: dict[str, JsonValue] = {
            "rule": reading.rule.key,
            "value": reading.value,
            "raised": reading.raised,
        }
        output.event(record, reading.line)
    return seen


if __name__ == "__main__":
    sys.exit(main())
