"""The operator's desk: the one way in for commands of people (floor 7; INV-13).

Implements `core.domain.ports.OperatorPort` over the connected parts. Every command is audited with
who gave it before it takes effect.
"""

from decimal import Decimal

from core.assembly.settings import LiveSettings
from core.assembly.trading import Trading
from core.config import render_effective
from core.domain.commands import CloseReport, DayView, PanicReport, StatusView, WhyLine
from core.domain.enums import Tier
from core.domain.facts import OperatorCommand
from core.domain.money import ZERO
from core.domain.ports import Clock, FactPublisher
from core.domain.position import Trade
from core.observe.log_lines import newest_text
from core.oms.account import total_unrealized
from core.storage.queries import closed_trades, decisions
from core.symbol_utils import normalize_symbol

_TOP = 3


class OperatorDesk:
    """Views are live; commands act at once and answer in words."""

    def __init__(
        self,
        trading: Trading,
        settings: LiveSettings,
        facts: FactPublisher,
        clock: Clock,
    ) -> None:
        self._trading = trading
        self._settings = settings
        self._facts = facts
        self._clock = clock
        self._began = clock.monotonic()

    # --- views -----------------------------------------------------------------------------------

    def status(self) -> StatusView:
        trading, config = self._trading, self._settings.config
        positions = trading.orders.get_active_positions()
        quote = config.resolved_quote_coin
        open_result = total_unrealized(positions, trading.engine.mark_price)
        return StatusView(
            venue=config.venue,
            feed=trading.access.feed,
            uptime_s=self._clock.monotonic() - self._began,
            equity=trading.orders.account.wallet(quote) + open_result,
            balance=trading.orders.account.wallet(quote),
            marks=tuple(
                (view.symbol, mark)
                for view in positions
                if (mark := trading.engine.mark_price(view.symbol)) is not None
            ),
            quote_coin=quote,
            positions=positions,
            user_stream=trading.stream.state,
            market_stream=trading.market.state,
            entries_blocked=self._blocked(),
            fenced=trading.engine.fenced,
        )

    def _blocked(self) -> str:
        """Why no entry may be sent, the operator's own word first."""
        if not self._settings.trading_enabled():
            return "paused by the operator: entries stopped, exits active"
        blocked = self._trading.orders.entries_blocked()
        if blocked:
            return blocked
        allowed, reason = self._trading.risk.can_open_position()
        return "" if allowed else reason

    def settings(self) -> str:
        return render_effective(self._settings.config)

    def log_tail(self, lines: int) -> tuple[str, ...]:
        """Newest lines of the log; the logger has redacted them."""
        return tuple(newest_text(self._settings.config.logs_dir, lines))

    async def day(self, start_ms: int, end_ms: int) -> DayView:
        rows = await closed_trades(self._trading.memory.database, start_ms, end_ms)
        return summarize([row for row in rows if row.entry_quantity])

    async def why(self, symbol: str | None, limit: int) -> tuple[WhyLine, ...]:
        """Newest decisions; `symbol` in any form. Raises ValueError for an unreadable symbol."""
        rows = await decisions(
            self._trading.memory.database,
            0,
            self._clock.now_ms() + 1,
            symbol=normalize_symbol(symbol) if symbol else None,
            limit=limit,
        )
        return tuple(
            WhyLine(row.at_ms, row.symbol, row.verdict, row.gate, row.why or row.detail)
            for row in rows
        )

    # --- commands --------------------------------------------------------------------------------

    async def pause(self, who: str) -> str:
        self._audit(who, "pause")
        self._settings.change("TRADING_ENABLED", "false", who, self._trading.memory.audit)
        return "entries stopped, exits active; kept across restarts"

    async def resume(self, who: str) -> str:
        self._audit(who, "resume")
        self._settings.change("TRADING_ENABLED", "true", who, self._trading.memory.audit)
        blocked = self._blocked()
        return f"entries enabled, but still blocked: {blocked}" if blocked else "entries enabled"

    async def close(self, symbol: str, who: str) -> CloseReport:
        name = normalize_symbol(symbol)
        self._audit(who, f"close {name}")
        return await self._trading.orders.close_position(name)

    async def panic(self, who: str, reason: str) -> PanicReport:
        self._audit(who, f"panic: {reason}")
        self._trading.risk.halt(f"panic: {reason}", who)
        return await self._trading.orders.panic(self._settings.config.resolved_quote_coin)

    async def clear_halt(self, who: str, reason: str) -> str:
        self._audit(who, f"clear halt: {reason}")
        if self._trading.risk.clear_halt(reason, who):
            return "halt cleared: entries allowed again"
        return "the halt stays: its file could not be removed"

    async def set_tier(self, tier: Tier, who: str) -> str:
        self._audit(who, f"aggression {tier}")
        self._settings.change("TIER", tier.value, who, self._trading.memory.audit)
        limits = self._settings.config
        return (
            f"tier {tier.value}: risk {limits.risk_per_trade_pct * 100:f} % per trade, "
            f"{limits.max_concurrent_positions} positions, {limits.leverage_default}x"
        )

    def _audit(self, who: str, command: str) -> None:
        self._facts.publish(OperatorCommand(who=who, command=command, at_ms=self._clock.now_ms()))


def summarize(trades: list[Trade]) -> DayView:
    """Sums of closed trades and the symbols that stand out."""
    by_symbol: dict[str, Decimal] = {}
    for trade in trades:
        by_symbol[trade.symbol] = by_symbol.get(trade.symbol, ZERO) + trade.net
    ranked = sorted(by_symbol.items(), key=lambda item: (-item[1], item[0]))
    won = sum((trade.net for trade in trades if trade.net > 0), ZERO)
    lost = -sum((trade.net for trade in trades if trade.net < 0), ZERO)
    return DayView(
        trades=len(trades),
        wins=sum(trade.net > 0 for trade in trades),
        gross=sum((trade.realized for trade in trades), ZERO),
        fees=sum((trade.fees for trade in trades), ZERO),
        funding=sum((trade.funding for trade in trades), ZERO),
        net=won - lost,
        profit_factor=won / lost if lost else None,
        best=tuple(row for row in ranked[:_TOP] if row[1] > 0),
        worst=tuple(row for row in reversed(ranked[-_TOP:]) if row[1] < 0),
    )
