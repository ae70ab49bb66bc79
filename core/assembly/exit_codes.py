"""Exit codes of `main.py`; they are an interface for scripts and service managers (floor 7)."""

from enum import IntEnum


class ExitCode(IntEnum):
    """0 done or stopped by signal · 1 fatal at run time · 2 invalid configuration · 3 the account
    or key cannot trade · 4 another instance holds the data folder."""

    OK = 0
    FATAL = 1
    CONFIG = 2
    ACCOUNT = 3
    LOCKED = 4
