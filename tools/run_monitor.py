"""One look at the thresholds: `python -m tools.run_monitor` (floor 8).

Loss of the day, stop-losses in a row, age of the oldest position, errors in the log. Writes
`logs/monitor_report.txt` and tells Telegram what changed since the last look.

Exit codes: 0 all well, 1 a threshold is passed, 2 wrong usage, configuration or no database yet.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/run_monitor.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.domain.errors import DataError, StorageError
from core.domain.ports import JsonValue
from core.kernel.clock import LiveClock
from core.observe.monitor import Reading
from tools.common.cli import Output, finish_async, load_config, parser
from tools.common.exits import ToolExit
from tools.common.watch import look_and_tell

NAME = "run_monitor"
_EXITS = "0 all well, 1 a threshold is passed, 2 usage or no database"


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(NAME, "One look at the alarm thresholds.", _EXITS).parse_args(argv)

    async def work() -> int:
        config = load_config(options)
        output = Output(as_json=options.json, config=config)
        try:
            seen = await look_and_tell(config, LiveClock().now_ms(), output)
        except StorageError as error:
            raise DataError(str(error)) from None
        rows: list[JsonValue] = [_record(reading) for reading in seen.readings]
        output.result({"alarms": len(seen.alarms), "rules": rows}, seen.text.rstrip())
        return ToolExit.FINDING if seen.alarms else ToolExit.OK

    return finish_async(NAME, work)


def _record(reading: Reading) -> dict[str, JsonValue]:
    return {
        "rule": reading.rule.key,
        "value": reading.value,
        "alarm_from": reading.rule.raise_at,
        "clear_at": reading.rule.clear_at,
        "raised": reading.raised,
        "changed": reading.changed,
    }


if __name__ == "__main__":
    sys.exit(main())
