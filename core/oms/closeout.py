"""Accounts for a position that became flat (floor 3).

The trade is recorded once, RiskGuard is told once: `record_close` answers False the second time,
also after a restart.
"""

from decimal import Decimal

from core.domain.enums import ExitReason, Purpose, Severity
from core.domain.errors import StorageError
from core.domain.facts import TradeClosed
from core.domain.money import ZERO
from core.domain.ports import (
    AuditPort,
    Clock,
    ExchangePort,
    FactPublisher,
    JournalPort,
    RiskPort,
)
from core.oms.alarm import Alarm
from core.oms.state import SymbolState, was_never_opened
from core.oms.stop_level import was_moved

_HOUR_MS = 3_600_000
_FOREIGN_PREFIXES = (
    ("autoclose-", ExitReason.LIQUIDATION),
    ("adl_autoclose", ExitReason.ADL),
    ("settlement_autoclose-", ExitReason.FOREIGN),
    ("delivery_autoclose-", ExitReason.FOREIGN),
)


def exit_reason(state: SymbolState) -> ExitReason:
    """Why the position is flat: the order that made the last exit fill decides."""
    record = state.orders.get(state.last_exit_client_id)
    if record is None:
        for prefix, reason in _FOREIGN_PREFIXES:
            if state.last_exit_client_id.startswith(prefix):
                return reason
        return ExitReason.FOREIGN
    if record.intent.purpose is Purpose.STOP:
        return ExitReason.MOVED_STOP if was_moved(record) else ExitReason.STOP_LOSS
    if record.intent.purpose is Purpose.TAKE_PROFIT:
        return ExitReason.TAKE_PROFIT
    return state.flatten_reason or ExitReason.MANUAL


class CloseOut:
    """Ends an episode: funding, result, journal, risk, fact."""

    def __init__(
        self,
        *,
        exchange: ExchangePort,
        journal: JournalPort,
        audit: AuditPort,
        risk: RiskPort,
        facts: FactPublisher,
        clock: Clock,
    ) -> None:
        self._exchange = exchange
        self._journal = journal
        self._audit = audit
        self._risk = risk
        self._facts = facts
        self._alert = Alarm(facts, clock)

    async def finish(self, state: SymbolState) -> None:
        """Record the flat episode. Raises VenueError when funding cannot be read yet."""
        trade = state.trade
        if was_never_opened(state):
            state.closed = True
            trade.closed_ms = self._exchange.exchange_now_ms()
            await self._record(state, ExitReason.MANUAL)
            return
        if state.funding_seen or self._met_a_full_hour(trade.opened_ms):
            trade.funding = await self._funding(state)
        reason = exit_reason(state)
        if reason in (ExitReason.LIQUIDATION, ExitReason.FOREIGN):
            fee = await self._clearance_fee(state)
            trade.fees += fee
            if fee:
                reason = ExitReason.LIQUIDATION  # a trade list does not tell who closed
        trade.exit_reason = reason
        trade.closed_ms = self._exchange.exchange_now_ms()
        state.closed = True
        if not await self._record(state, reason):
            return
        self._risk.trade_closed(trade.trade_id, trade.symbol, trade.net, reason, trade.closed_ms)
        self._facts.publish(
            TradeClosed(
                trade_id=trade.trade_id,
                symbol=trade.symbol,
                strategy=trade.strategy,
                direction=trade.direction,
                quantity=trade.entry_quantity,
                entry_price=trade.entry_price,
                exit_price=trade.exit_price,
                gross=trade.realized,
                fees=trade.fees,
                funding=trade.funding,
                net=trade.net,
                reason=reason,
                opened_ms=trade.opened_ms,
                closed_ms=trade.closed_ms,
                unprotected_ms=trade.unprotected_ms,
            )
        )

    async def _record(self, state: SymbolState, reason: ExitReason) -> bool:
        """True when this is the first time the trade is closed. A failing disk changes nothing
        about the fact (INV-08); the journal writes it as soon as it can.

        The audit log goes first: once the journal calls the trade closed, a restart does not look
        at its orders again, so their outcomes must be durable by then (INV-12).
        """
        trade = state.trade
        try:
            await self._audit.write_durable(
                {
                    "action": "trade.closing",
                    "trade_id": trade.trade_id,
                    "symbol": trade.symbol,
                    "reason": reason.value,
                }
            )
        except StorageError as error:
            text = f"{state.symbol} result not in the audit log: {error}"
            self._alert(Severity.CRITICAL, "storage", text)
        try:
            return await self._journal.record_close(trade, reason)
        except StorageError as error:
            text = f"{state.symbol} result not in the database: {error}"
            self._alert(Severity.CRITICAL, "storage", text)
            return True

    def _met_a_full_hour(self, opened_ms: int) -> bool:
        """Funding is settled on full hours. Its event may have been lost, or told to a process that
        is gone, so whoever held a position over one asks."""
        return opened_ms // _HOUR_MS != self._exchange.exchange_now_ms() // _HOUR_MS

    async def _clearance_fee(self, state: SymbolState) -> Decimal:
        """What a liquidation costs besides the commission (income INSURANCE_CLEAR, negative)."""
        rows = await self._exchange.get_income(
            kind="INSURANCE_CLEAR", start_ms=state.trade.opened_ms
        )
        return -sum((row.amount for row in rows if row.symbol == state.symbol), ZERO)

    async def _funding(self, state: SymbolState) -> Decimal:
        rows = await self._exchange.get_income(kind="FUNDING_FEE", start_ms=state.trade.opened_ms)
        return sum((row.amount for row in rows if row.symbol == state.symbol), ZERO)
