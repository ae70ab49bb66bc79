"""Acts of the exchange itself (floor 8): bans, keys, streams, contracts, forced endings."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from core.domain.money import ZERO
from core.paper.errors import ApiError
from core.paper.faults import EventFault, RestFault
from core.paper.model import Tick
from core.paper.streams import Route
from core.simulation.calm import BIRTH_S, REPEAT_S, REQUEST_S
from core.simulation.schedule import FaultKind, Strike
from tools.simulation.acts import Hands

_RETRY_DEAD_KEY_S = 60.0
"""A key that is refused is tried once a minute."""
_BURST_TICKS, _BURST_COPIES = 1_500, 200
_COARSER = 10
_STRANGE = (
    b'{"e":"NEW_THING","E":1,"T":1,"x":{"y":[1,2]}}',
    b'{"e":"ORDER_TRADE_UPDATE","E":1,"T":1,"o":{"s":"BTCUSDC","X":"MELTED"}}',
    b'{"e":"ACCOUNT_UPDATE","E":"soon","a":null}',
    b'{"stream":"nobody@markPrice","data":{"e":"markPriceUpdate","p":"NaN"}}',
    b"<html>502 Bad Gateway</html>",
    b"[]",
    b'{"e":',
)


def ban(hands: Hands, strike: Strike) -> None:
    seconds = 10 + 110 * strike.draw if strike.seconds is None else strike.seconds
    hands.world.paper.limits.ban(round(seconds * 1_000))
    hands.count(FaultKind.BANNED, f"for {seconds:.0f} s")
    hands.observer.disturb(seconds + REQUEST_S + REPEAT_S, reach=False)


def forbidden(hands: Hands, strike: Strike) -> None:
    """Every request is answered 403 for a while; the streams go on."""
    seconds = 5 + 55 * strike.draw
    text = "<html>403 Forbidden</html>"
    _refuse_all(hands, FaultKind.FORBIDDEN, seconds, RestFault("*", status=403, body=text, times=0))
    hands.observer.disturb(seconds + REQUEST_S + REPEAT_S, reach=False)


def revoked(hands: Hands, strike: Strike) -> None:
    """The key is refused, then it is good again."""
    seconds = 10 + 80 * strike.draw
    text = "Invalid API-key, IP, or permissions for action."
    rule = RestFault("*", status=401, code=-2015, msg=text, times=0)
    hands.key_dead_until = hands.world.loop.time() + seconds + REQUEST_S
    _refuse_all(hands, FaultKind.KEY_REVOKED, seconds, rule)
    hands.observer.disturb(seconds + _RETRY_DEAD_KEY_S + BIRTH_S, reach=False)


def _refuse_all(hands: Hands, kind: FaultKind, seconds: float, rule: RestFault) -> None:
    rules = hands.world.paper.faults.rest
    rules.insert(0, rule)
    hands.count(kind, f"for {seconds:.0f} s")

    def lift() -> None:
        if rule in rules:
            rules.remove(rule)

    hands.later(seconds, lift)


def expire_key(hands: Hands, strike: Strike) -> None:
    hands.count(FaultKind.KEY_EXPIRED, "")
    hands.observer.disturb(BIRTH_S)
    hands.world.paper.users.expire_key()


def cut_streams(hands: Hands, strike: Strike) -> None:
    hands.world.paper.hub.close_route(None)
    hands.count(FaultKind.STREAMS_CUT, "")
    hands.observer.disturb(BIRTH_S)


def silence(hands: Hands, strike: Strike) -> None:
    hands.world.paper.hub.freeze_route(Route.MARKET)
    hands.count(FaultKind.MARKET_SILENT, "")


def garbage(hands: Hands, strike: Strike) -> None:
    """Frames that nobody has documented, on every stream."""
    for connection in hands.world.paper.hub.connections:
        for frame in _STRANGE:
            connection.send(frame)
    hands.count(FaultKind.GARBAGE, f"{len(_STRANGE)} frames on every stream")


def burst(hands: Hands, strike: Strike) -> None:
    """Thousands of market events at once, and the next account event hundreds of times."""
    symbol = hands.pick(hands.script.symbols)
    price = hands.world.paper.exchange.markets[symbol].price
    now = hands.world.clock.now_ms()
    for _ in range(_BURST_TICKS):
        hands.world.paper.on_tick(Tick(symbol, now, price, ZERO, gap=False))
    hands.world.paper.faults.events.append(EventFault("*", copies=_BURST_COPIES))
    hands.count(FaultKind.BURST, f"{symbol} {_BURST_TICKS} prices")


def liquidate(hands: Hands, strike: Strike) -> None:
    _force(hands, strike, FaultKind.LIQUIDATED, "liquidate")


def deleverage(hands: Hands, strike: Strike) -> None:
    _force(hands, strike, FaultKind.DELEVERAGED, "adl")


def _force(hands: Hands, strike: Strike, kind: FaultKind, action: str) -> None:
    symbol = hands.held(strike.draw)
    if symbol is not None:
        hands.count(kind, symbol)
        hands.world.by_hand("action", {"action": action, "symbol": symbol})


def gap(hands: Hands, strike: Strike) -> None:
    symbol = hands.held(strike.draw) or hands.pick(hands.script.symbols)
    market = hands.world.paper.exchange.markets[symbol]
    step = Decimal(str(round((strike.draw - 0.5) * 0.03, 4)))
    tick = market.contract.tick
    price = (market.price * (1 + step) / tick).to_integral_value() * tick
    hands.count(FaultKind.PRICE_GAP, f"{symbol} {step:+}")
    now = hands.world.clock.now_ms()
    hands.world.paper.on_tick(Tick(symbol, now, price, ZERO, gap=True))


def delist(hands: Hands, strike: Strike) -> None:
    """A contract takes exits only, for a while."""
    symbol = hands.held(strike.draw) or hands.pick(hands.script.symbols)
    _change(hands, f"delisted {symbol}", 60 + 540 * strike.draw, lambda: _close_only(hands, symbol))
    hands.count(FaultKind.DELISTED, symbol)


def _close_only(hands: Hands, symbol: str) -> Callable[[], None]:
    market = hands.world.paper.exchange.markets[symbol]

    def put(*, close_only: bool) -> None:
        market.close_only = close_only
        hands.world.paper.market.contract_changed(market)

    put(close_only=True)
    return lambda: put(close_only=False)


def coarser_prices(hands: Hands, strike: Strike) -> None:
    """A contract's tick becomes ten times as large, for a while."""
    symbol = hands.held(strike.draw) or hands.pick(hands.script.symbols)
    _change(hands, f"tick of {symbol}", 60 + 540 * strike.draw, lambda: _coarsen(hands, symbol))
    hands.count(FaultKind.FILTERS, symbol)
    hands.observer.disturb(REPEAT_S)


def _coarsen(hands: Hands, symbol: str) -> Callable[[], None]:
    market = hands.world.paper.exchange.markets[symbol]
    old = market.contract
    tick = old.tick * _COARSER
    market.contract = replace(
        old, tick=tick, min_price=tick, price_precision=max(old.price_precision - 1, 0)
    )

    def back() -> None:
        market.contract = old

    return back


def _change(
    hands: Hands, name: str, seconds: float, make: Callable[[], Callable[[], None]]
) -> None:
    """Change something for a while, unless it is changed already; the healing ends it too."""
    if name in hands.away:
        return
    hands.away[name] = make()

    def back() -> None:
        undo = hands.away.pop(name, None)
        if undo is not None:
            undo()

    hands.later(seconds, back)


def change_settings(hands: Hands, strike: Strike) -> None:
    """The owner changes leverage, or for a while the position mode, elsewhere."""
    exchange = hands.world.paper.exchange
    if strike.draw < 0.6:
        symbol = hands.pick(hands.script.symbols)
        leverage = 1 + int(strike.draw * 30)
        try:
            exchange.set_leverage(symbol, leverage)
        except ApiError:
            return
        hands.wire.leverage_moved[symbol] = hands.world.loop.time()
        hands.observer.disturb(0.0)
        hands.count(FaultKind.BY_HAND, f"{symbol} leverage {leverage}")
        return
    try:
        exchange.set_hedge_mode(enabled=True)
    except ApiError:  # refused while something is open, as on the exchange
        return
    hands.count(FaultKind.BY_HAND, "position mode")
    _change(hands, "position mode", 30 + 90 * strike.draw, lambda: _mode_back(hands))


def _mode_back(hands: Hands) -> Callable[[], None]:
    return lambda: hands.world.paper.exchange.set_hedge_mode(enabled=False)


ACTS: dict[FaultKind, Callable[[Hands, Strike], None]] = {
    FaultKind.BANNED: ban,
    FaultKind.FORBIDDEN: forbidden,
    FaultKind.KEY_REVOKED: revoked,
    FaultKind.KEY_EXPIRED: expire_key,
    FaultKind.STREAMS_CUT: cut_streams,
    FaultKind.MARKET_SILENT: silence,
    FaultKind.GARBAGE: garbage,
    FaultKind.BURST: burst,
    FaultKind.LIQUIDATED: liquidate,
    FaultKind.DELEVERAGED: deleverage,
    FaultKind.PRICE_GAP: gap,
    FaultKind.DELISTED: delist,
    FaultKind.FILTERS: coarser_prices,
    FaultKind.BY_HAND: change_settings,
}
