"""Exit codes of the tools (floor 8); the first five mean the same as those of `main.py`."""

from enum import IntEnum


class ToolExit(IntEnum):
    """0 done, all well · 1 done, and something is not as it should be (or could not be finished) ·
    2 wrong usage, configuration or file · 3 the account or key cannot trade · 4 a daemon holds the
    data folder · 5 the exchange could not be read."""

    OK = 0
    FINDING = 1
    USAGE = 2
    ACCOUNT = 3
    LOCKED = 4
    UNREACHABLE = 5
