"""Errors that name the reaction they ask for (floor 0).

Callers decide by class, never by message. Text never carries request headers, signatures or keys.
"""


class BotError(Exception):
    """Root of the daemon's own errors."""


class ConfigError(BotError):
    """Configuration is invalid; `problems` has one line per field. Exit code 2."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class AccountError(BotError):
    """The account or key cannot trade; the text says what to mend. Exit code 3."""


class InstanceLocked(BotError):
    """Another instance holds the data folder. Exit code 4."""


class VenueError(BotError):
    """An answer, or its absence, from the exchange.

    `code` is the exchange's own number (0 when there is none), `status` the HTTP status (0 when no
    answer came), `text` its message.
    """

    def __init__(self, text: str, *, code: int = 0, status: int = 0) -> None:
        super().__init__(f"{text} (code {code}, http {status})" if code or status else text)
        self.text = text
        self.code = code
        self.status = status


class Refused(VenueError):
    """Definite no: the request had no effect. Do not repeat it unchanged."""


class RetryLater(VenueError):
    """Definite no for now (overload, network before sending, clock): may be repeated later."""


class RateLimited(RetryLater):
    """429 or 418; `until_ms` is when sending may resume (UTC ms, exchange time)."""

    def __init__(self, text: str, *, code: int = 0, status: int = 0, until_ms: int = 0) -> None:
        super().__init__(text, code=code, status=status)
        self.until_ms = until_ms


class OutcomeUnknown(VenueError):
    """The request may or may not have been executed; only evidence can tell (INV-04)."""


class CredentialsDead(VenueError):
    """Key revoked, wrong or without permission: retrying cannot help."""


class DataError(BotError):
    """An input file or record is unreadable; the text names the file, the line and the reason."""


class StorageError(BotError):
    """The journal or the audit log could not be written (disk full, read-only, corrupt)."""
