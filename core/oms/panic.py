"""Leave everything, and prove it (floor 3; INV-08, INV-13).

Whoever calls has latched entries off before. The order is: cancel entries, flatten what we manage
reduce-only, verify flat, cancel the rest, then read the exchange afresh for the proof. Calling it
again repeats only what is still open. Needs neither the user stream nor the database.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

from core.domain.commands import CloseReport, PanicReport, ProofRow
from core.domain.enums import ExitReason, Lane
from core.domain.errors import VenueError
from core.domain.money import to_wire
from core.domain.ports import Clock, ExchangePort
from core.domain.position import OrderSnapshot

_PAUSE_S = 0.25
_SWEEP_SHARE = 0.4

CloseAll = Callable[[ExitReason, float], Awaitable[list[CloseReport]]]
IsOurs = Callable[[str], bool]
Managed = Callable[[], tuple[str, ...]]


class Panic:
    """`run` returns the report; `is_ours` recognises our orders, `managed` names our symbols."""

    def __init__(
        self,
        *,
        exchange: ExchangePort,
        close_all: CloseAll,
        is_ours: IsOurs,
        managed: Managed,
        clock: Clock,
    ) -> None:
        self._exchange = exchange
        self._close_all = close_all
        self._is_ours = is_ours
        self._managed = managed
        self._clock = clock

    async def run(self, quote: str, timeout: float) -> PanicReport:
        """`quote` is the coin of the wallet whose change is reported as realised.

        Returns within about `timeout` seconds whatever happens.
        """
        deadline = self._clock.monotonic() + timeout
        symbols = set(self._managed())
        before = await self._wallet(quote)
        closed = await self._close_all(ExitReason.PANIC, timeout * (1 - _SWEEP_SHARE))
        while True:
            try:
                rows, others = await self._sweep(symbols)
                if all(row.count == 0 for row in rows) or self._clock.monotonic() >= deadline:
                    after = await self._wallet(quote)
                    change = None if before is None or after is None else after - before
                    return PanicReport(tuple(closed), rows, change, _words(rows), others)
            except VenueError as error:
                if self._clock.monotonic() >= deadline:
                    problem = f"the exchange could not be read: {error}"
                    return PanicReport(tuple(closed), (), None, problem)
            await self._clock.sleep(_PAUSE_S)

    async def _wallet(self, quote: str) -> Decimal | None:
        """Wallet balance; None when it cannot be read, which must not stop a panic."""
        try:
            balances = await self._exchange.get_balances()
        except VenueError:
            return None
        return next((row.wallet for row in balances if row.asset == quote), None)

    async def _sweep(self, symbols: set[str]) -> tuple[tuple[ProofRow, ...], tuple[str, ...]]:
        """Cancel what is left of ours, then count afresh; and whose positions are left alone."""
        found = await self._exchange.get_positions()
        positions = [row for row in found if row.symbol in symbols]
        held = {row.symbol for row in positions}
        for order in await self._ours():
            if order.symbol not in held:  # a stop stays as long as its position does
                await self._exchange.cancel(
                    order.symbol,
                    order.client_id,
                    conditional=order.conditional,
                    lane=Lane.PROTECT,
                )
        orders = await self._ours()
        proof = (
            ProofRow("positions", len(positions)),
            ProofRow("orders", sum(not order.conditional for order in orders)),
            ProofRow("conditional orders", sum(order.conditional for order in orders)),
        )
        return proof, tuple(sorted(row.symbol for row in found if row.symbol not in symbols))

    async def _ours(self) -> list[OrderSnapshot]:
        rows = await self._exchange.get_open_orders()
        return [row for row in rows if self._is_ours(row.client_id)]


def _words(rows: tuple[ProofRow, ...]) -> str:
    left = [f"{row.count} {row.what}" for row in rows if row.count]
    return f"still open: {', '.join(left)}" if left else ""


def describe(report: PanicReport) -> str:
    """The report as text, a line per position and the proof table."""
    lines = [
        f"{row.symbol}: {row.detail}"
        + ("" if row.closed else f", {to_wire(row.quantity)} still open")
        for row in report.closed
    ]
    lines += [f"{row.what}: {row.count}" for row in report.proof]
    if report.realized is not None:
        lines.append(f"realised since the panic began: {to_wire(report.realized)}")
    if report.left_alone:
        lines.append(f"not ours, left alone: {', '.join(report.left_alone)}")
    if report.problem:
        lines.append(report.problem)
    return "\n".join(lines)
