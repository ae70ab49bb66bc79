"""Tables of the database and the numbered steps that lead to them (floor 2b).

Amounts are TEXT holding exact decimals, times are INTEGER UTC milliseconds, enums are the words of
`core.domain.enums`. `PRAGMA user_version` holds the number of the last step taken. A step is never
edited once released: a change is a new step.
"""

_V1 = (
    """
    CREATE TABLE intents (
        intent_id TEXT PRIMARY KEY,
        trade_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL,
        kind TEXT NOT NULL,
        quantity TEXT NOT NULL,
        purpose TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        price TEXT,
        trigger_price TEXT,
        working_type TEXT,
        time_in_force TEXT,
        reduce_only INTEGER NOT NULL,
        strategy TEXT NOT NULL,
        level INTEGER NOT NULL,
        note TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX intents_trade ON intents (trade_id)",
    """
    CREATE TABLE orders (
        client_id TEXT PRIMARY KEY,
        intent_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        status TEXT NOT NULL,
        order_id INTEGER NOT NULL,
        algo_id INTEGER NOT NULL,
        executed TEXT NOT NULL,
        booked TEXT NOT NULL,
        average_price TEXT NOT NULL,
        sent_ms INTEGER NOT NULL,
        accepted_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        reject_code INTEGER NOT NULL,
        reject_text TEXT NOT NULL,
        cancel_requested INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX orders_intent ON orders (intent_id)",
    """
    CREATE TABLE fills (
        symbol TEXT NOT NULL,
        exchange_trade_id INTEGER NOT NULL,
        trade_id TEXT NOT NULL,
        order_id INTEGER NOT NULL,
        client_id TEXT NOT NULL,
        side TEXT NOT NULL,
        quantity TEXT NOT NULL,
        price TEXT NOT NULL,
        commission TEXT NOT NULL,
        commission_asset TEXT NOT NULL,
        realized_pnl TEXT NOT NULL,
        maker INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        PRIMARY KEY (symbol, exchange_trade_id)
    ) STRICT
    """,
    "CREATE INDEX fills_trade ON fills (trade_id)",
    """
    CREATE TABLE trades (
        trade_id TEXT PRIMARY KEY,
        symbol TEXT NOT NULL,
        strategy TEXT NOT NULL,
        direction TEXT NOT NULL,
        plan TEXT NOT NULL,
        leverage INTEGER NOT NULL,
        planned_quantity TEXT NOT NULL,
        reference_price TEXT NOT NULL,
        why TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        risk TEXT NOT NULL,
        risk_pct TEXT NOT NULL,
        quantity TEXT NOT NULL,
        entry_quantity TEXT NOT NULL,
        entry_notional TEXT NOT NULL,
        exit_quantity TEXT NOT NULL,
        exit_notional TEXT NOT NULL,
        realized TEXT NOT NULL,
        fees TEXT NOT NULL,
        funding TEXT NOT NULL,
        opened_ms INTEGER NOT NULL,
        requested_exit TEXT,
        unprotected_ms REAL NOT NULL,
        last_exit_purpose TEXT,
        tags TEXT NOT NULL,
        closed_ms INTEGER NOT NULL,
        exit_reason TEXT
    ) STRICT
    """,
    "CREATE INDEX trades_closed ON trades (closed_ms)",
    """
    CREATE VIEW positions AS
        SELECT trade_id, symbol, strategy, direction, quantity, entry_quantity, entry_notional,
               leverage, opened_ms, realized, fees, funding
        FROM trades WHERE closed_ms = 0 AND opened_ms > 0
    """,
    """
    CREATE TABLE equity (
        at_ms INTEGER NOT NULL,
        coin TEXT NOT NULL,
        wallet TEXT NOT NULL,
        unrealized TEXT NOT NULL,
        available TEXT NOT NULL,
        positions INTEGER NOT NULL,
        PRIMARY KEY (at_ms, coin)
    ) STRICT
    """,
    """
    CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        verdict TEXT NOT NULL CHECK (verdict IN ('approved', 'refused', 'passed')),
        symbol TEXT NOT NULL,
        strategy TEXT NOT NULL,
        timeframe TEXT NOT NULL,
        candle_open_ms INTEGER NOT NULL,
        direction TEXT,
        gate TEXT NOT NULL,
        why TEXT NOT NULL,
        detail TEXT NOT NULL,
        looks INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX decisions_symbol ON decisions (symbol, at_ms)",
    "CREATE INDEX decisions_time ON decisions (at_ms)",
    # One row per candle, symbol and gate, however often the candle was looked at.
    """
    CREATE UNIQUE INDEX decisions_passed
        ON decisions (symbol, strategy, timeframe, candle_open_ms, gate) WHERE verdict = 'passed'
    """,
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        symbol TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX events_time ON events (at_ms)",
)

_V2 = (
    # Written once and read by nobody.
    "ALTER TABLE trades DROP COLUMN requested_exit",
    "ALTER TABLE trades DROP COLUMN last_exit_purpose",
    "ALTER TABLE trades DROP COLUMN tags",
    # The newest checkpoint, alerts of a period: without a look at every event.
    "CREATE INDEX events_kind ON events (kind, at_ms)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_V1, _V2)
"""Statements of step n at index n - 1."""
