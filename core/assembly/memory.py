"""What the daemon writes down (floor 7): logs, audit, database; opened and closed together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from core.audit_logger import AuditBroken, AuditLogger
from core.config import TradingConfig
from core.domain.errors import ConfigError, StorageError
from core.domain.ports import Clock, JsonValue
from core.kernel.redaction import Redactor
from core.storage.audit_verify import verify
from core.storage.database import Database, open_database
from core.storage.journal import Journal
from core.storage.rebuild import rebuild
from core.storage.write_queue import WriteQueue
from core.unified_logger import UnifiedLogger


@dataclass(slots=True)
class Memory:
    """`redactor` is shared by everything that writes."""

    redactor: Redactor
    log: UnifiedLogger
    audit: AuditLogger
    database: Database
    queue: WriteQueue
    journal: Journal
    mended: str = ""
    """What was made anew because the database was damaged, in one line; empty when it was sound."""

    def note(self, payload: Mapping[str, JsonValue]) -> None:
        """Put into the audit log what nothing waits for: a disk that fails is told, and whoever
        wanted to say it goes on (INV-08, INV-16)."""
        try:
            self.audit.write(payload)
        except StorageError as error:
            self.log.log_event("storage", "CRITICAL", f"not recorded: {error}")

    async def close(self) -> None:
        """Write what waits and close in the order in which the parts need one another."""
        try:
            await self.journal.flush()
        finally:
            await self.database.close()
            self.audit.close()


def secrets_of(config: TradingConfig) -> list[SecretStr]:
    """Every secret the configuration holds."""
    values = (getattr(config, name) for name in type(config).model_fields)
    return [value for value in values if isinstance(value, SecretStr)]


def open_log(
    config: TradingConfig, clock: Clock, redactor: Redactor, *, console: bool = True
) -> UnifiedLogger:
    try:
        config.logs_dir.mkdir(parents=True, exist_ok=True)
        return UnifiedLogger(
            config.logs_dir,
            str(config.log_level),
            redactor,
            clock,
            console=console,
            json_lines=config.log_json,
            retention_days=config.log_retention_days,
        )
    except OSError as error:
        raise _unusable("LOGS_DIR", config.logs_dir, error) from None


async def open_memory(
    config: TradingConfig, clock: Clock, log: UnifiedLogger, redactor: Redactor, *, inline: bool
) -> Memory:
    """Open audit and database. `inline` runs SQL and flushes on the loop (virtual time).

    Raises ConfigError when a folder cannot be used or its audit log is damaged, StorageError when
    writing fails.
    """
    try:
        audit = AuditLogger(
            config.logs_dir / "audit.jsonl",
            clock=clock,
            venue=config.venue.value,
            redactor=redactor,
            hmac_key=config.audit_hmac_key,
        )
    except OSError as error:
        raise _unusable("LOGS_DIR", config.logs_dir, error) from None
    except AuditBroken as error:
        raise ConfigError([f"LOGS_DIR: {error}"]) from None
    _prove(audit)
    try:
        database = await open_database(
            config.data_dir / f"bot.{config.venue.value}.db", inline=inline, durable=not inline
        )
    except StorageError:
        audit.close()
        raise
    mended = ""
    try:
        if database.set_aside is not None:
            mended = await _mend(config, audit, database)
            log.log_event("storage", "CRITICAL", mended)
    except BaseException:
        await database.close()
        audit.close()
        raise
    queue = WriteQueue(database, clock, lambda line: log.log_event("storage", "CRITICAL", line))
    return Memory(redactor, log, audit, database, queue, Journal(database, queue), mended)


async def _mend(config: TradingConfig, audit: AuditLogger, database: Database) -> str:
    """Fill the database that took the place of a damaged one; what happened, in one line."""
    found = await rebuild(database, audit.path, config.venue.value)
    name = database.set_aside.name if database.set_aside is not None else ""
    audit.write(
        {
            "action": "database.rebuilt",
            "set_aside": name,
            "trades": found.trades,
            "open": found.open_trades,
            "orders": found.orders,
            "fills": found.fills,
            "decisions": found.decisions,
            "records": found.records,
        }
    )
    return f"damaged database set aside as {name}, a new one made: {found.text}"


def _prove(audit: AuditLogger) -> None:
    """Nothing is appended to a log that does not hold. Reads the current segment.

    Raises ConfigError naming the first bad record.
    """
    bad = verify([audit.path], whole=False).bad
    if bad is None:
        return
    audit.close()
    raise ConfigError(
        [
            f"LOGS_DIR: audit log {audit.path}: line {bad.line} {bad.fault}: {bad.why}; examine it "
            f"with 'python -m tools.verify_audit {audit.path}', then move it away to begin a new "
            "chain"
        ]
    )


def _unusable(key: str, folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        [
            f"{key}: {folder} cannot be used ({error.strerror or error}); allowed is a folder "
            "this user may write to"
        ]
    )
