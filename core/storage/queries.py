"""Questions to the database (floor 2b). Periods are UTC milliseconds, start included, end not."""

import json
from dataclasses import dataclass
from decimal import Decimal

from core.domain.enums import Severity
from core.domain.position import Fill, Trade
from core.storage.database import Database, Param
from core.storage.recorder import CHECKPOINT
from core.storage.rows import FILL, TRADE, Reader, read_fill, read_trade

_DECISION = (
    "at_ms",
    "verdict",
    "symbol",
    "strategy",
    "timeframe",
    "candle_open_ms",
    "direction",
    "gate",
    "why",
    "detail",
    "looks",
)
_EQUITY = ("at_ms", "coin", "wallet", "unrealized", "available", "positions")
_EVENT = ("at_ms", "kind", "symbol", "detail")
_OBSERVED = ("decisions", "equity", "events")


@dataclass(frozen=True, slots=True)
class Decision:
    """One look at one candle. `verdict` is approved, refused (a signal) or passed (no signal).

    `detail` is in words for `passed`, JSON with checks and sizing otherwise. `looks` counts how
    often the same candle was looked at with this result.
    """

    at_ms: int
    verdict: str
    symbol: str
    strategy: str
    timeframe: str
    candle_open_ms: int
    direction: str | None
    gate: str
    why: str
    detail: str
    looks: int


@dataclass(frozen=True, slots=True)
class GateCount:
    """How many candles of `symbol` a gate said no to."""

    symbol: str
    gate: str
    candles: int


@dataclass(frozen=True, slots=True)
class TradeFill:
    """One execution and our trade it belongs to."""

    trade_id: str
    fill: Fill


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """Snapshot of the account in `coin`."""

    at_ms: int
    coin: str
    wallet: Decimal
    unrealized: Decimal
    available: Decimal
    positions: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `detail` is the fact as JSON."""

    at_ms: int
    kind: str
    symbol: str
    detail: str


async def closed_trades(database: Database, start_ms: int, end_ms: int) -> list[Trade]:
    """Trades closed in the period, in the order they closed."""
    rows = await database.query(
        f"SELECT {', '.join(TRADE)} FROM trades"  # noqa: S608 - constants
        " WHERE closed_ms > 0 AND closed_ms >= ? AND closed_ms < ? ORDER BY closed_ms, trade_id",
        (start_ms, end_ms),
    )
    return [read_trade(row) for row in rows]


async def open_symbols(database: Database) -> list[str]:
    """Symbols of trades that are not closed, sorted."""
    rows = await database.query(
        "SELECT DISTINCT symbol FROM trades WHERE closed_ms = 0 ORDER BY symbol"
    )
    return [str(row[0]) for row in rows]


async def open_trades(database: Database) -> list[Trade]:
    """Trades that hold a position, the oldest first."""
    rows = await database.query(
        f"SELECT {', '.join(TRADE)} FROM trades"  # noqa: S608 - constants
        " WHERE closed_ms = 0 AND opened_ms > 0 ORDER BY opened_ms, trade_id"
    )
    return [read_trade(row) for row in rows]


async def fills_between(database: Database, start_ms: int, end_ms: int) -> list[TradeFill]:
    """Executions of the period with the trade they belong to, oldest first."""
    rows = await database.query(
        f"SELECT {', '.join(FILL)} FROM fills"  # noqa: S608 - constants
        " WHERE time_ms >= ? AND time_ms < ? ORDER BY time_ms, symbol, exchange_trade_id",
        (start_ms, end_ms),
    )
    return [TradeFill(Reader(FILL, row).text("trade_id"), read_fill(row)) for row in rows]


async def decisions(
    database: Database,
    start_ms: int,
    end_ms: int,
    *,
    symbol: str | None = None,
    verdict: str | None = None,
    limit: int = 100,
) -> list[Decision]:
    """The newest `limit` decisions of the period, newest first."""
    where, params = _where(start_ms, end_ms, symbol=symbol, verdict=verdict)
    rows = await database.query(
        f"SELECT {', '.join(_DECISION)} FROM decisions WHERE {where}"  # noqa: S608 - constants
        " ORDER BY at_ms DESC, id DESC LIMIT ?",
        (*params, limit),
    )
    return [_decision(Reader(_DECISION, row)) for row in rows]


async def gate_counts(
    database: Database, start_ms: int, end_ms: int, *, symbol: str | None = None
) -> list[GateCount]:
    """Candles per symbol and gate that said no, the most frequent first."""
    where, params = _where(start_ms, end_ms, symbol=symbol)
    rows = await database.query(
        "SELECT symbol, gate, COUNT(DISTINCT strategy || candle_open_ms) AS candles"  # noqa: S608 - constants
        f" FROM decisions WHERE gate != '' AND {where}"
        " GROUP BY symbol, gate ORDER BY candles DESC, symbol, gate",
        params,
    )
    return [GateCount(str(name), str(gate), int(count or 0)) for name, gate, count in rows]


async def equity_curve(database: Database, start_ms: int, end_ms: int) -> list[EquityPoint]:
    """Snapshots of the period, oldest first."""
    rows = await database.query(
        f"SELECT {', '.join(_EQUITY)} FROM equity"  # noqa: S608 - constants
        " WHERE at_ms >= ? AND at_ms < ? ORDER BY at_ms, coin",
        (start_ms, end_ms),
    )
    return [_equity(Reader(_EQUITY, row)) for row in rows]


async def events(
    database: Database,
    start_ms: int,
    end_ms: int,
    *,
    symbol: str | None = None,
    kind: str | None = None,
    limit: int = 100,
) -> list[Event]:
    """The newest `limit` events of the period, newest first."""
    where, params = _where(start_ms, end_ms, symbol=symbol, kind=kind)
    rows = await database.query(
        f"SELECT {', '.join(_EVENT)} FROM events WHERE {where}"  # noqa: S608 - constants
        " ORDER BY at_ms DESC, id DESC LIMIT ?",
        (*params, limit),
    )
    return [Event(int(at or 0), str(name), str(sym), str(words)) for at, name, sym, words in rows]


async def critical_alerts(database: Database, start_ms: int, end_ms: int) -> int:
    """How many critical alerts were raised in the period."""
    rows = await database.query(
        "SELECT COUNT(*) FROM events WHERE kind = 'Alert' AND at_ms >= ? AND at_ms < ?"
        " AND json_extract(detail, '$.severity') = ?",
        (start_ms, end_ms, Severity.CRITICAL.value),
    )
    return int(rows[0][0] or 0)


async def last_checkpoint(database: Database) -> tuple[int, int, str] | None:
    """Newest remembered head of the audit log: UTC ms, number of records (0: unknown), hash."""
    rows = await database.query(
        "SELECT at_ms, detail FROM events WHERE kind = ? ORDER BY at_ms DESC, id DESC LIMIT 1",
        (CHECKPOINT,),
    )
    if not rows:
        return None
    told = json.loads(str(rows[0][1]))
    return int(rows[0][0] or 0), int(told["records"]), str(told["head"])


async def prune(database: Database, before_ms: int) -> int:
    """Remove observations older than `before_ms`; orders, fills and trades stay. Rows removed."""
    return await database.write(
        [(f"DELETE FROM {table} WHERE at_ms < ?", (before_ms,)) for table in _OBSERVED]  # noqa: S608 - constants
    )


def _where(start_ms: int, end_ms: int, **equal: str | None) -> tuple[str, tuple[Param, ...]]:
    """Condition and parameters; a column whose value is None does not matter."""
    given = {name: value for name, value in equal.items() if value is not None}
    condition = " AND ".join(["at_ms >= ?", "at_ms < ?", *(f"{name} = ?" for name in given)])
    return condition, (start_ms, end_ms, *given.values())


def _decision(r: Reader) -> Decision:
    return Decision(
        at_ms=r.whole("at_ms"),
        verdict=r.text("verdict"),
        symbol=r.text("symbol"),
        strategy=r.text("strategy"),
        timeframe=r.text("timeframe"),
        candle_open_ms=r.whole("candle_open_ms"),
        direction=r.maybe_text("direction"),
        gate=r.text("gate"),
        why=r.text("why"),
        detail=r.text("detail"),
        looks=r.whole("looks"),
    )


def _equity(r: Reader) -> EquityPoint:
    return EquityPoint(
        at_ms=r.whole("at_ms"),
        coin=r.text("coin"),
        wallet=r.money("wallet"),
        unrealized=r.money("unrealized"),
        available=r.money("available"),
        positions=r.whole("positions"),
    )
