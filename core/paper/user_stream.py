"""The account's user data stream (floor 2c): listen keys and events in the venue's order."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random

from core.domain.enums import ExecutionType
from core.paper import wire
from core.paper.errors import refuse
from core.paper.events import AccountChange, MarginCall
from core.paper.faults import FaultPlan
from core.paper.model import Contract
from core.paper.records import AlgoOrder, Order, Trade
from core.paper.streams import StreamHub

KEY_LIFE_MS = 3_600_000
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

Later = Callable[[int, Callable[[], None]], None]
"""Run something after so many milliseconds."""


class UserStream:
    """Implements the engine's `UserEvents`. One listen key per account, as on the venue."""

    def __init__(
        self,
        hub: StreamHub,
        faults: FaultPlan,
        contracts: dict[str, Contract],
        now_ms: Callable[[], int],
        chance: Random,
        later: Later,
    ) -> None:
        self._hub = hub
        self._faults = faults
        self._contracts = contracts
        self._now_ms = now_ms
        self._chance = chance
        self._later = later
        self._key = ""
        self._expires_ms = 0

    # --- listen key ------------------------------------------------------------------------------

    def open_key(self) -> str:
        """A new key, or the active one prolonged."""
        self.expire_when_due()
        if not self._key:
            self._key = "".join(self._chance.choice(_ALPHABET) for _ in range(64))
        self._expires_ms = self._now_ms() + KEY_LIFE_MS
        return self._key

    def keep_alive(self) -> str:
        """Prolong the active key. Raises ApiError -1125 without one."""
        self.expire_when_due()
        if not self._key:
            raise refuse(-1125)
        return self.open_key()

    def close_key(self) -> None:
        key, self._key = self._key, ""
        if key:
            self._hub.close_key(key)

    def expire_when_due(self) -> None:
        if self._key and self._now_ms() >= self._expires_ms:
            self.expire_key()

    def expire_key(self) -> None:
        """End the key: its sockets stay open, told so, and fall silent."""
        key = self._key
        if key:
            self._send("listenKeyExpired", wire.listen_key_expired_event(key, self._now_ms()))
            self._key = ""

    # --- events ----------------------------------------------------------------------------------

    def order_changed(
        self, order: Order, execution: ExecutionType, trade: Trade | None, now_ms: int
    ) -> None:
        if not self._key:
            return
        if trade is not None and execution is ExecutionType.TRADE:
            contract = self._contracts[trade.symbol]
            self._send("TRADE_LITE", wire.lite_event(order, trade, contract, now_ms))
        self._send("ORDER_TRADE_UPDATE", wire.order_event(order, execution, trade, now_ms))

    def account_changed(self, change: AccountChange, now_ms: int) -> None:
        if self._key:
            self._send("ACCOUNT_UPDATE", wire.account_event(change, now_ms))

    def algo_changed(self, algo: AlgoOrder, now_ms: int) -> None:
        if self._key:
            self._send("ALGO_UPDATE", wire.algo_event(algo, now_ms))

    def leverage_changed(self, symbol: str, leverage: int, now_ms: int) -> None:
        if self._key:
            self._send("ACCOUNT_CONFIG_UPDATE", wire.leverage_event(symbol, leverage, now_ms))

    def margin_called(
        self, calls: Sequence[MarginCall], cross_wallet: Decimal, now_ms: int
    ) -> None:
        if self._key:
            self._send("MARGIN_CALL", wire.margin_call_event(calls, cross_wallet, now_ms))

    def multi_assets_changed(self, now_ms: int, *, enabled: bool) -> None:
        if self._key:
            event = wire.multi_assets_event(now_ms, enabled=enabled)
            self._send("ACCOUNT_CONFIG_UPDATE", event)

    def _send(self, name: str, payload: wire.Row) -> None:
        key = self._key
        content = (payload,) if self._faults.looks_inside else ()
        delivery = self._faults.for_event(name, *content)
        for _ in range(delivery.copies):
            if delivery.delay_ms:
                self._later(
                    delivery.delay_ms, lambda: self._hub.publish_private(key, name, payload)
                )
            else:
                self._hub.publish_private(key, name, payload)
