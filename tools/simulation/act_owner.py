"""Acts of people (floor 8): the account's owner elsewhere, and the operator of the daemon."""

from collections.abc import Callable, Coroutine
from decimal import Decimal

from core.assembly.operator import OperatorDesk
from core.domain.enums import OrderKind
from core.domain.money import to_wire
from core.simulation.calm import RECONCILE_S, REPEAT_S, REQUEST_S
from core.simulation.schedule import FaultKind, Strike
from core.symbol_utils import to_binance_symbol
from tools.simulation.acts import Hands

_HALT_S = 600.0
_IN_FLIGHT_S = 20.0
"""What was sent before a halt may arrive this much later on a slow link."""
_PANIC_DONE_S = 60.0
_ELSEWHERE_S = 400.0
_AGAIN_S = RECONCILE_S + REQUEST_S
"""A position that returns sooner than a reconcile looks is the same one to it."""
_WHO = "simulation"
Command = Callable[[OperatorDesk], Coroutine[None, None, object]]


def phone_close(hands: Hands, strike: Strike) -> None:
    symbol = hands.held(strike.draw)
    if symbol is None:
        return
    held = hands.world.paper.ledger.positions[symbol].quantity
    hands.count(FaultKind.PHONE_CLOSE, symbol)
    side = "SELL" if held > 0 else "BUY"
    quantity = to_wire(abs(held))
    hands.by_hand(
        "order", symbol=symbol, side=side, type="MARKET", quantity=quantity, reduceOnly="true"
    )


def phone_cancel(hands: Hands, strike: Strike) -> None:
    waiting = [
        algo.spec.order
        for algo in hands.world.paper.open_algo_orders()
        if algo.spec.order.kind is OrderKind.STOP_MARKET
    ]
    if waiting:
        client_id = waiting[int(strike.draw * len(waiting))].client_id
        hands.count(FaultKind.PHONE_CANCEL, client_id)
        hands.by_hand("cancel_algo", clientAlgoId=client_id)


def foreign_order(hands: Hands, strike: Strike) -> None:
    """A limit order of somebody else, far from the price."""
    symbol = hands.pick(hands.script.symbols)
    market = hands.world.paper.exchange.markets[symbol]
    tick, step = market.contract.tick, market.contract.step
    price = (market.price * Decimal("0.96") / tick).to_integral_value() * tick
    quantity = (Decimal(30) / price / step).to_integral_value() * step
    if quantity < market.contract.min_qty:
        return
    name = f"hand-{hands.fired[FaultKind.FOREIGN_ORDER]}"
    hands.count(FaultKind.FOREIGN_ORDER, f"{symbol} {name}")
    hands.by_hand(
        "order",
        symbol=symbol,
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        price=to_wire(price),
        quantity=to_wire(quantity),
        newClientOrderId=name,
    )


def trade_elsewhere(hands: Hands, strike: Strike) -> None:
    """Another program opens a position on the account, in a contract the daemon does not trade."""
    symbol = hands.world.plan.elsewhere
    if not symbol or symbol in hands.away:
        return
    if hands.world.paper.ledger.positions[symbol].quantity:
        return  # the last one was closed in part only: it is not a new one
    market = hands.world.paper.exchange.markets[symbol]
    step = market.contract.step
    quantity = (Decimal(100) / market.price / step).to_integral_value() * step
    side, back = ("BUY", "SELL") if strike.draw < 0.5 else ("SELL", "BUY")
    hands.wire.strangers[symbol] = None
    hands.count(FaultKind.ELSEWHERE, f"{symbol} {side} {quantity}")
    order = {"symbol": symbol, "type": "MARKET", "quantity": to_wire(quantity)}
    hands.by_hand("order", **order, side=side)
    hands.observer.stranger(f"position in {symbol}", f"foreign:{_told_as(hands, symbol)} ")

    def end() -> None:
        hands.by_hand("order", **order, side=back, reduceOnly="true")
        hands.observer.stranger_gone(f"position in {symbol}")

    hands.away[symbol] = end

    def later() -> None:
        if hands.away.get(symbol) is not end:
            return  # the healing has ended it
        end()
        hands.away[symbol] = lambda: None
        hands.later(_AGAIN_S, free)

    def free() -> None:
        hands.away.pop(symbol, None)

    hands.later(_ELSEWHERE_S * (0.2 + strike.draw), later)


def _told_as(hands: Hands, symbol: str) -> str:
    """The symbol as the daemon spells it."""
    quote = hands.world.plan.quote
    spelt = f"{symbol.removesuffix(quote)}/{quote}:{quote}"
    if to_binance_symbol(spelt) != symbol:
        raise ValueError(f"{symbol} is not quoted in {quote}")
    return spelt


# --- the operator --------------------------------------------------------------------------------


def pause(hands: Hands, strike: Strike) -> None:
    _forbid(
        hands,
        strike,
        FaultKind.PAUSE,
        lambda desk: desk.pause(_WHO),
        lambda desk: desk.resume(_WHO),
    )


def panic(hands: Hands, strike: Strike) -> None:
    _forbid(
        hands,
        strike,
        FaultKind.PANIC,
        lambda desk: desk.panic(_WHO, "rehearsal"),
        lambda desk: desk.clear_halt(_WHO, "rehearsal over"),
    )


def _forbid(hands: Hands, strike: Strike, kind: FaultKind, stop: Command, go: Command) -> None:
    """Stop entries by command for a while that may see kills; then allow them again."""
    if hands.forbidden:
        return
    hands.forbidden = True
    world, observer = hands.world, hands.observer
    seconds = _HALT_S * strike.draw

    async def spell() -> None:
        if await world.command(stop):
            hands.count(kind, f"for {seconds:.0f} s")
            observer.forbid(_IN_FLIGHT_S)
            began = world.loop.time()
            await world.clock.sleep(seconds)
            ended = world.loop.time()
            calm = observer.calm.is_whole(began - REPEAT_S, ended)
            if kind is FaultKind.PANIC and ended - began > _PANIC_DONE_S and calm:
                observer.after_panic()
            observer.allow()
        while not await world.command(go):  # also when a kill came in between
            await world.clock.sleep(1.0)
        world.tell("operator", f"{kind} ends")
        hands.forbidden = False

    world.supervisor.spawn("halt", spell)


ACTS: dict[FaultKind, Callable[[Hands, Strike], None]] = {
    FaultKind.PHONE_CLOSE: phone_close,
    FaultKind.PHONE_CANCEL: phone_cancel,
    FaultKind.FOREIGN_ORDER: foreign_order,
    FaultKind.ELSEWHERE: trade_elsewhere,
    FaultKind.PAUSE: pause,
    FaultKind.PANIC: panic,
}
