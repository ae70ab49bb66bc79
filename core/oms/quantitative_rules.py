"""The exchange's quantitative rules (floor 3; INV-06).

Accounts whose orders mostly do not fill, are cancelled at once, expire or are tiny lose the right
to open positions for a while. The ratios are counted per symbol over ten minutes, from our own
orders by the exchange's definitions, and its own count is read beside them. Entries of a symbol
pause before a limit is reached and while the exchange has locked it; exits go on.
"""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal

from core.domain.account import RuleIndicator
from core.domain.enums import DenyReason, OrderStatus, Severity, TimeInForce
from core.domain.errors import Refused, VenueError
from core.domain.money import ZERO
from core.domain.order import OrderRecord
from core.domain.ports import Clock, ExchangePort, FactPublisher
from core.kernel.config_values import instant_text
from core.oms.alarm import Alarm
from core.oms.state import Wake
from core.oms.throttle import Denial

WINDOW_MS = 600_000
LEAST_ORDERS = 20
"""Fewer orders of a symbol in the window are never counted against anybody."""
SHARE = Decimal("0.8")
"""Of a limit; from here on entries pause."""
TRIGGERS = {
    "UFR": Decimal("0.99"),
    "GCR": Decimal("0.99"),
    "IFER": Decimal("0.99"),
    "DR": Decimal("0.9"),
}
"""Unfilled quantity, orders cancelled within 5 s, expired IOC and FOK, orders under 50 (quote)."""
_HASTY_MS = 5_000
_DUST = Decimal(50)
_RESTING_KINDS = (TimeInForce.GTC, TimeInForce.GTX, TimeInForce.GTD)
_FILL_OR_EXPIRE = (TimeInForce.IOC, TimeInForce.FOK)
_REMEMBERED = 5_000
_EVERY_S = 600.0
_NOT_SERVED_S = 86_400.0
LOCKED_CODES = frozenset({-4400, -4401})
"""Refusals: only reduce-only orders are accepted."""


class OrderRatios:
    """Our own count. Records are kept by reference: what becomes of them counts by itself."""

    def __init__(self) -> None:
        self._sent: deque[tuple[OrderRecord, Decimal]] = deque(maxlen=_REMEMBERED)

    def note_sent(self, record: OrderRecord, price: Decimal) -> None:
        """An order reached the exchange; `price` is what one unit is worth (quote coin)."""
        self._sent.append((record, record.intent.quantity * price))

    def of(self, symbol: str, now_ms: int) -> dict[str, Decimal]:
        """Ratios of the last ten minutes by name; empty below the least number of orders.

        A conditional order counts once it is in the book, as the order it became.
        """
        rows = [
            (record, value)
            for record, value in self._recent(now_ms)
            if record.intent.symbol == symbol
            and (record.order_id or not record.intent.kind.is_conditional)
        ]
        if len(rows) < LEAST_ORDERS:
            return {}
        asked = sum((record.intent.quantity for record, _ in rows), ZERO)
        done = sum((record.executed for record, _ in rows), ZERO)
        return {
            "UFR": 1 - done / asked,
            "GCR": _share(_hasty(record) for record, _ in rows if _rests(record)),
            "IFER": _share(
                record.status is OrderStatus.EXPIRED
                for record, _ in rows
                if record.intent.time_in_force in _FILL_OR_EXPIRE
            ),
            "DR": _share(value < _DUST for _, value in rows),
        }

    def _recent(self, now_ms: int) -> Iterator[tuple[OrderRecord, Decimal]]:
        while self._sent and self._sent[0][0].sent_ms <= now_ms - WINDOW_MS:
            self._sent.popleft()
        yield from self._sent


class RuleWatch:
    """Reads the exchange's count, keeps entries back by it and by ours."""

    def __init__(
        self, *, ratios: OrderRatios, exchange: ExchangePort, facts: FactPublisher, clock: Clock
    ) -> None:
        self._ratios = ratios
        self._exchange = exchange
        self._alert = Alarm(facts, clock)
        self._clock = clock
        self._indicators: tuple[RuleIndicator, ...] = ()
        self._told: set[tuple[str, str]] = set()
        self._refused: dict[str, int] = {}
        self._wake = Wake()

    def note_answer(self, symbol: str, code: int) -> None:
        """The exchange answered an order: a refusal by these rules holds for a window at least."""
        if code in LOCKED_CODES:
            self._refused[symbol] = self._exchange.exchange_now_ms() + WINDOW_MS
            self._wake.ring()

    def bar(self, symbol: str) -> Denial | None:
        """Why entries of a symbol pause, None when they do not."""
        now_ms = self._exchange.exchange_now_ms()
        until_ms = self._refused.get(symbol, 0)
        if until_ms > now_ms:
            numbers = {"rule": "refused", "locked_until": instant_text(until_ms)}
            return Denial(DenyReason.ORDER_RATIO, numbers)
        for row in self._indicators:
            if row.symbol not in ("", symbol):
                continue
            if row.locked and (not row.recover_ms or row.recover_ms > now_ms):
                until = instant_text(row.recover_ms) if row.recover_ms else "unknown"
                numbers = {"rule": row.name, "locked_until": until}
                return Denial(DenyReason.ORDER_RATIO, numbers)
            if row.trigger and row.value >= row.trigger * SHARE and row.name in TRIGGERS:
                return _near(row.name, row.value, row.trigger, "exchange")
        for name, value in self._ratios.of(symbol, now_ms).items():
            if value >= TRIGGERS[name] * SHARE:
                return _near(name, value, TRIGGERS[name], "own orders")
        return None

    async def run(self) -> None:
        """Read every ten minutes until cancelled; a venue without this answer is asked daily."""
        while True:
            pause = _EVERY_S
            try:
                self._indicators = await self._exchange.get_rule_indicators()
            except Refused as error:
                self._indicators, pause = (), _NOT_SERVED_S
                text = f"the exchange does not tell its order ratios: {error}"
                self._alert(Severity.INFO, "order-ratios", text)
            except VenueError:
                pause = _EVERY_S / 10  # what was read last stays in force
            else:
                self._tell()
            await self._wake.wait(pause)

    def _tell(self) -> None:
        """Each locked symbol once."""
        locked = {(row.symbol, row.name) for row in self._indicators if row.locked}
        for symbol, name in sorted(locked - self._told):
            self._alert(
                Severity.CRITICAL,
                f"order-ratio:{symbol}",
                f"{symbol or 'the account'} is locked by the exchange's rule {name}: "
                "entries stopped, exits active",
            )
        self._told = locked


def _near(name: str, value: Decimal, trigger: Decimal, source: str) -> Denial:
    numbers = {"rule": name, "value": f"{value:.3f}", "trigger": str(trigger), "by": source}
    return Denial(DenyReason.ORDER_RATIO, numbers)


def _share(hits: Iterator[bool]) -> Decimal:
    rows = list(hits)
    return Decimal(sum(rows)) / len(rows) if rows else ZERO


def _rests(record: OrderRecord) -> bool:
    return record.intent.time_in_force in _RESTING_KINDS


def _hasty(record: OrderRecord) -> bool:
    """Cancelled less than five seconds after it was sent."""
    if record.status is not OrderStatus.CANCELED:
        return False
    return record.updated_ms - record.sent_ms < _HASTY_MS
