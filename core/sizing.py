"""Position size from risk (floor 3). Pure: values in, a result or a typed refusal out.

    loss_ratio = stop + slippage + taker_fee * (2 + stop + slippage)
    notional   = equity * risk_pct / loss_ratio

`loss_ratio` is what one unit of notional loses when the stop is hit: the stop distance, the slip of
a market exit, the taker fee on the entry and on an exit that may be (stop + slippage) larger than
the entry, as it is for a short. The loss at the stop is therefore never above the risk, for both
directions. Without costs, 400 at 0.75 % with a 0.8 % stop is risk 3, notional 375, margin 75 at 5x.

Every cap is a notional; the smallest one decides and is named in `limited_by`. Keeps INV-06.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from typing import Self

from core.config import TradingConfig
from core.domain.instrument import Instrument
from core.domain.intent import SizingResult
from core.domain.money import ONE, ZERO, floor_to_step, to_wire

_DOWN = Context(prec=28, rounding=ROUND_DOWN)
"""Divisions that lead to a size round toward zero, so that no cap is passed by the last digit."""

_BRACKET = "leverage_bracket"
_WIRE_ROOM = Decimal("0.99")
"""Part of the largest order value that is used: prices move between decision and wire."""

Cap = tuple[str, Decimal]
"""Name of a limit and the largest notional it allows (quote coin)."""


@dataclass(frozen=True, slots=True)
class SizingLimits:
    """Limits of every position. Ratios are fractions, amounts in the quote coin.

    `margin_share` bounds the margin of managed positions together, `max_margin_usage` the margin of
    everything on the account, foreign positions included. The liquidation price stays at least
    `liquidation_stops` stop distances and `liquidation_atrs` average true ranges away.
    """

    risk_pct: Decimal
    stop_ratio: Decimal
    leverage: int
    max_margin_usage: Decimal = Decimal("0.5")
    margin_share: Decimal = Decimal("0.375")
    max_notional: Decimal | None = None
    max_order_value: Decimal | None = None
    min_position_size: Decimal = Decimal(6)
    taker_fee: Decimal = Decimal("0.0005")
    stop_slippage: Decimal = Decimal("0.0005")
    liquidation_stops: Decimal = Decimal(3)
    liquidation_atrs: Decimal = Decimal(8)

    @classmethod
    def from_config(cls, config: TradingConfig) -> Self:
        return cls(
            risk_pct=config.risk_per_trade_pct,
            stop_ratio=config.stop_loss_pct,
            leverage=config.leverage_default,
            max_margin_usage=config.max_margin_usage_pct,
            max_notional=config.max_notional_per_symbol,
            max_order_value=config.max_order_value,
            min_position_size=config.min_position_size,
            taker_fee=config.taker_fee_pct,
            stop_slippage=config.stop_slippage_pct,
        )

    @property
    def cost_ratio(self) -> Decimal:
        """Fees of both ways and stop slippage per unit of notional."""
        exit_ratio = self.stop_ratio + self.stop_slippage
        return self.stop_slippage + self.taker_fee * (2 + exit_ratio)

    @property
    def loss_ratio(self) -> Decimal:
        """What one unit of notional loses when the stop is hit."""
        return self.stop_ratio + self.cost_ratio


@dataclass(frozen=True, slots=True)
class AccountView:
    """Account at the moment of the decision, quote coin.

    `equity` is wallet plus unrealised result. `managed_margin` belongs to our positions and pending
    entries, `used_margin` to everything on the account.
    """

    equity: Decimal
    available: Decimal
    managed_margin: Decimal = ZERO
    used_margin: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class SizingRefused:
    """No valid size exists. `gate` names what forbids it, `numbers` what was compared."""

    gate: str
    numbers: dict[str, str]


Sized = SizingResult | SizingRefused


def size_entry(
    instrument: Instrument,
    limits: SizingLimits,
    account: AccountView,
    *,
    price: Decimal,
    mark: Decimal | None = None,
    atr_ratio: Decimal = ZERO,
) -> Sized:
    """Largest market entry at `price` that keeps every limit, or the reason why there is none.

    `price` is the expected fill (best ask of a buy), `mark` values the minimum notional as the
    exchange does, `atr_ratio` is ATR / price and may lower the leverage. Raises ValueError when
    price, stop or risk is not positive: those are mistakes of the caller, not market states.
    """
    for name, value in (
        ("price", price),
        ("stop_ratio", limits.stop_ratio),
        ("risk_pct", limits.risk_pct),
    ):
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if account.equity <= 0:
        return SizingRefused("equity", {"equity": to_wire(account.equity)})
    leverage, caps = _best_leverage(instrument, limits, account, price, atr_ratio)
    limited_by, ceiling = min(caps, key=lambda cap: cap[1])
    step = max(instrument.step, instrument.market_step)
    quantity = floor_to_step(_DOWN.divide(max(ceiling, ZERO), price), step)
    notional = quantity * price
    refused = _too_small(instrument, limits, quantity, price, mark, (limited_by, ceiling))
    if refused is not None:
        return refused
    return SizingResult(
        equity=account.equity,
        risk=notional * limits.loss_ratio,
        stop_ratio=limits.stop_ratio,
        cost_ratio=limits.cost_ratio,
        notional=notional,
        margin=_DOWN.divide(notional, Decimal(leverage)),
        leverage=leverage,
        quantity=quantity,
        price=price,
        limited_by=limited_by,
        budget=account.equity * limits.risk_pct,
        caps=caps,
    )


def _best_leverage(
    instrument: Instrument,
    limits: SizingLimits,
    account: AccountView,
    price: Decimal,
    atr_ratio: Decimal,
) -> tuple[int, tuple[Cap, ...]]:
    """Leverage that allows the largest notional, with the caps that hold under it.

    A higher bracket allows more notional at less leverage. Taking the best bracket rather than the
    one the risk alone would lead to keeps the size monotone in the risk. Later brackets can only
    help while the bracket itself is the tightest cap.
    """
    best: list[tuple[Decimal, int, tuple[Cap, ...]]] = []
    for leverage, bracket in _leverage_choices(instrument, limits, atr_ratio):
        caps = (
            *_account_caps(limits, account, leverage),
            *_size_caps(instrument, limits, price),
            *bracket,
        )
        tightest, notional = min(caps, key=lambda cap: cap[1])
        best.append((notional, leverage, caps))
        if tightest != _BRACKET:
            break
    _, leverage, caps = max(best, key=lambda choice: choice[0])  # the first of equals
    return leverage, caps


def _leverage_choices(
    instrument: Instrument, limits: SizingLimits, atr_ratio: Decimal
) -> Iterator[tuple[int, tuple[Cap, ...]]]:
    """Leverage per bracket, smallest notional first, with the bracket's ceiling as a cap.

    Never above the configured leverage nor the bracket's, and low enough that the liquidation price
    keeps its distance from the entry. Without a bracket table leverage is 1.
    """
    distance = max(
        limits.liquidation_stops * limits.stop_ratio, limits.liquidation_atrs * atr_ratio
    )
    if not instrument.brackets:
        yield 1, ()
    for bracket in instrument.brackets:
        # Isolated margin is gone after a move of about 1 / leverage - maintenance ratio.
        calm = int(ONE / (distance + bracket.maint_margin_ratio))
        leverage = max(min(limits.leverage, bracket.max_leverage, calm), 1)
        yield leverage, ((_BRACKET, bracket.notional_cap),)


def _account_caps(limits: SizingLimits, account: AccountView, leverage: int) -> tuple[Cap, ...]:
    managed_room = account.equity * limits.margin_share - account.managed_margin
    account_room = account.equity * limits.max_margin_usage - account.used_margin
    # The entry's own fee leaves the same balance as its margin.
    per_notional = ONE / leverage + limits.taker_fee
    return (
        ("risk", _DOWN.divide(account.equity * limits.risk_pct, limits.loss_ratio)),
        ("margin_share", managed_room * leverage),
        ("max_margin_usage", account_room * leverage),
        ("available", _DOWN.divide(account.available, per_notional)),
    )


def _size_caps(instrument: Instrument, limits: SizingLimits, price: Decimal) -> tuple[Cap, ...]:
    """Caps of the order itself; a maximum of zero means that bound is disabled."""
    caps = [
        ("lot_max", instrument.max_qty * price),
        ("market_lot_max", instrument.market_max_qty * price),
    ]
    if limits.max_notional is not None:
        caps.append(("max_notional", limits.max_notional))
    if limits.max_order_value is not None:
        caps.append(("max_order_value", limits.max_order_value * _WIRE_ROOM))
    return tuple(cap for cap in caps if cap[1] > 0)


def _too_small(
    instrument: Instrument,
    limits: SizingLimits,
    quantity: Decimal,
    price: Decimal,
    mark: Decimal | None,
    cap: Cap,
) -> SizingRefused | None:
    limited_by, ceiling = cap
    if ceiling <= 0:
        return SizingRefused(limited_by, {"room": to_wire(ceiling), "needed": "more than 0"})
    notional = quantity * price
    valued = quantity * min(price, mark) if mark is not None else notional
    minimum_quantity = max(instrument.min_qty, instrument.market_min_qty)
    for gate, value, minimum in (
        ("min_qty", quantity, minimum_quantity),
        ("min_notional", valued, instrument.min_notional),
        ("min_position_size", notional, limits.min_position_size),
    ):
        if value < minimum or value <= 0:
            numbers = {
                "value": to_wire(value),
                "minimum": to_wire(minimum),
                "limited_by": limited_by,
                "limit": to_wire(ceiling),
                "price": to_wire(price),
            }
            return SizingRefused(gate, numbers)
    return None
