"""Does what `core.oms.decisions` says, per symbol (floor 3).

Two workers per open episode. The protector keeps a stop or flattens and waits for nothing else
(INV-01); the manager resolves doubts, fetches fills, trims stops, places the ladder and closes the
books. Both look at the whole state whenever something changed.
"""

from decimal import Decimal

from core.domain.enums import (
    ExitReason,
    Lane,
    OrderKind,
    OrderStatus,
    Purpose,
    Severity,
    Side,
    TimeInForce,
    WorkingType,
)
from core.domain.errors import VenueError
from core.domain.facts import PositionOpened, StopConfirmed
from core.domain.intent import OrderIntent
from core.domain.money import ZERO, floor_to_step, nearest_to_step, to_wire
from core.domain.order import OrderRecord
from core.domain.ports import Clock, ExchangePort, FactPublisher, PriceView
from core.ids import child_intent_id
from core.kernel.supervisor import Restart, Supervisor
from core.oms.alarm import Alarm
from core.oms.closeout import CloseOut
from core.oms.contract_watch import ContractWatch
from core.oms.decisions import (
    RETRY_PAUSE,
    WOULD_TRIGGER,
    BeginFlatten,
    Cancel,
    FetchFills,
    Finish,
    Flatten,
    Idle,
    Leg,
    PlaceLadder,
    PlaceStop,
    Resolve,
    decide_manage,
    decide_protect,
)
from core.oms.evidence import Evidence, with_client_id
from core.oms.inbox import AskReconcile
from core.oms.outcomes import OutcomeResolver
from core.oms.rules import OmsRules
from core.oms.sender import Sender
from core.oms.state import NakedClock, SymbolState, Tracker
from core.oms.stop_level import better, was_moved

_NEVER_GIVE_UP = Restart(limit=1_000, window=60.0, pause=0.1)
_LONGEST_PAUSE = 10.0
_LOOK_AT_PRICE = 1.0
_MAX_PRICE_AGE_MS = 30_000
_REFUSALS_TOLD = 3
_RULES_WAIT = 5.0
_FILLS_FOLLOW_S = 1.0
_STALL_S = 0.25
_LOOK_AGAIN = 5.0  # a bell that was never rung must not end protection


class Keeper:
    """Runs the two workers of every episode."""

    def __init__(
        self,
        *,
        rules: OmsRules,
        tracker: Tracker,
        sender: Sender,
        outcomes: OutcomeResolver,
        evidence: Evidence,
        closeout: CloseOut,
        contracts: ContractWatch,
        ask_reconcile: AskReconcile,
        exchange: ExchangePort,
        prices: PriceView,
        facts: FactPublisher,
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._rules = rules
        self._tracker = tracker
        self._sender = sender
        self._outcomes = outcomes
        self._evidence = evidence
        self._closeout = closeout
        self._contracts = contracts
        self._ask_reconcile = ask_reconcile
        self._exchange = exchange
        self._prices = prices
        self._facts = facts
        self._clock = clock
        self._alert = Alarm(facts, clock)
        self._supervisor = supervisor

    def watch(self, state: SymbolState) -> None:
        """Start both workers for an episode."""
        self._supervisor.spawn(
            f"protect {state.symbol}", lambda: self._protect(state), _NEVER_GIVE_UP
        )
        self._supervisor.spawn(
            f"manage {state.symbol}", lambda: self._manage(state), _NEVER_GIVE_UP
        )

    # --- protector -------------------------------------------------------------------------------

    async def _protect(self, state: SymbolState) -> None:
        while not state.closed:
            self._watch_coverage(state)
            self._watch_price(state)
            step = decide_protect(
                state, self._clock.monotonic(), self._rules.verify_timeout_s, self._rules.moves
            )
            match step:
                case Idle(until):
                    await self._rest(state, self._protect_pause(state, until))
                case PlaceStop():
                    self._place_stop(state, step)
                case BeginFlatten(reason, detail):
                    self._begin_flatten(state, reason, detail)
                case Flatten(quantity, reason):
                    self._flatten(state, quantity, reason)

    async def _rest(self, state: SymbolState, pause: float) -> None:
        """Wait; after a stall of the process, let what arrived meanwhile be read first.

        The exchange's answer may lie in the socket while the deadline for it seems to be over.
        """
        due = self._clock.monotonic() + pause
        await state.protect.wait(pause)
        if self._clock.monotonic() > due + _STALL_S and state.pending_stops():
            await self._clock.sleep(_STALL_S)

    def _watch_coverage(self, state: SymbolState) -> None:
        """Run the naked clock: it starts with the fill and ends with an accepted stop."""
        size = abs(state.position())
        now = self._clock.monotonic()
        if size != ZERO and state.coverage() < size:
            if state.naked is None:
                state.naked = NakedClock(since=now)
            return
        if state.naked is None:
            return
        elapsed_ms = (now - state.naked.since) * 1_000
        state.trade.unprotected_ms += elapsed_ms
        state.naked = None
        stops = state.live_stops()
        if size == ZERO or not stops:
            return
        stop = stops[-1]
        self._facts.publish(
            StopConfirmed(
                trade_id=state.trade.trade_id,
                symbol=state.symbol,
                client_id=stop.client_id,
                trigger_price=stop.intent.trigger_price or ZERO,
                quantity=stop.intent.quantity,
                elapsed_ms=elapsed_ms,
                first=not state.confirmed_once,
                at_ms=self._clock.now_ms(),
            )
        )
        if not state.confirmed_once:
            state.stop_elapsed_ms = elapsed_ms
        state.confirmed_once = True

    def _watch_price(self, state: SymbolState) -> None:
        """Remember the best price since the entry; a price that stopped moving is none."""
        if not self._rules.moves.trailing or state.position() == ZERO:
            return
        price = self._trigger_price(state)
        if price is not None:
            state.best_price = better(state.trade.direction, price, state.best_price)

    def _trigger_price(self, state: SymbolState) -> Decimal | None:
        """The price that stops are triggered by, None while it is unknown or old."""
        oldest = self._exchange.exchange_now_ms() - _MAX_PRICE_AGE_MS
        mark = self._prices.mark(state.symbol)
        if self._rules.working_type is WorkingType.MARK_PRICE:
            return mark.price if mark is not None and mark.event_ms >= oldest else None
        book = self._prices.book(state.symbol)
        return book.mid if book is not None and book.event_ms >= oldest else None

    def _protect_pause(self, state: SymbolState, until: float | None) -> float:
        pause = self._seconds_to(until)
        trails = self._rules.moves.trailing and state.position() != ZERO
        return min(pause, _LOOK_AT_PRICE) if trails else pause

    def _place_stop(self, state: SymbolState, step: PlaceStop) -> None:
        """Send a stop without waiting: its deadline runs while the answer is on its way."""
        intent = self._intent(
            state,
            Purpose.STOP,
            0,
            OrderKind.STOP_MARKET,
            step.quantity,
            trigger=step.trigger,
            note=step.basis.value,
        )
        record = self._sender.record(state, intent)
        if step.urgent:
            if state.naked is None:
                state.naked = NakedClock(since=self._clock.monotonic())
            state.naked.tries += 1
        else:
            now = self._clock.monotonic()
            state.resize_not_before = now + RETRY_PAUSE
            state.move_not_before = now + self._rules.moves.interval_s
        self._supervisor.spawn(
            f"stop {record.client_id}", lambda: self._send_stop(state, record, step.urgent)
        )

    async def _send_stop(self, state: SymbolState, record: OrderRecord, urgent: bool) -> None:  # noqa: FBT001 - internal
        last = await self._sender.send(state, record, Lane.PROTECT)
        refused = last.status in (OrderStatus.REJECTED, OrderStatus.ABSENT, OrderStatus.DENIED)
        if refused and urgent and state.naked is not None:
            state.naked.refused_code = last.reject_code
            state.naked.refused_text = last.reject_text
        if not urgent:
            self._judge_replacement(state, last, refused=refused)
        if refused:
            self._alert(
                Severity.WARNING,
                f"stop:{state.symbol}",
                f"{state.symbol} stop refused: {last.reject_text} (code {last.reject_code})",
            )
        state.touch()

    def _judge_replacement(self, state: SymbolState, last: OrderRecord, *, refused: bool) -> None:
        """The stop in force stays when its successor is refused; each refusal waits longer.

        One that would trigger at once says that the price is through the wanted level already,
        which the looser stop in force does not see.
        """
        if not refused:
            state.move_refusals = 0
            return
        state.move_refusals += 1
        state.move_broken = was_moved(last) and last.reject_code == WOULD_TRIGGER
        pause = min(RETRY_PAUSE * 2**state.move_refusals, _LONGEST_PAUSE)
        state.resize_not_before = self._clock.monotonic() + pause
        if state.move_refusals == _REFUSALS_TOLD:
            self._alert(
                Severity.CRITICAL,
                f"stop-move:{state.symbol}",
                f"{state.symbol} stop could not be replaced {_REFUSALS_TOLD} times, "
                f"the old one stays: {last.reject_text}",
            )

    def _begin_flatten(self, state: SymbolState, reason: ExitReason, detail: str) -> None:
        state.flatten_reason = reason
        self._alert(
            Severity.CRITICAL,
            f"flatten:{state.symbol}",
            f"{state.symbol} leaving the position at market: {detail}",
        )

    def _flatten(self, state: SymbolState, quantity: Decimal, reason: ExitReason) -> None:
        """Send a market exit without waiting for its answer. Pauses grow with each try."""
        tries = state.generation(Purpose.FLATTEN, 0)
        most = state.instrument.market_max_qty
        size = min(quantity, most) if most > ZERO else quantity
        intent = self._intent(
            state, Purpose.FLATTEN, 0, OrderKind.MARKET, size, note=f"{reason.value}"
        )
        record = self._sender.record(state, intent)
        pause = min(self._rules.verify_timeout_s * 2**tries, _LONGEST_PAUSE)
        state.flatten_again_at = self._clock.monotonic() + pause
        self._supervisor.spawn(
            f"flatten {record.client_id}", lambda: self._send_flatten(state, record, tries)
        )

    async def _send_flatten(self, state: SymbolState, record: OrderRecord, tries: int) -> None:
        last = await self._sender.send(state, record, Lane.PROTECT)
        if last.status in (OrderStatus.REJECTED, OrderStatus.ABSENT, OrderStatus.DENIED):
            now = self._clock.monotonic()
            state.flatten_not_before = now + min(RETRY_PAUSE * 2**tries, _LONGEST_PAUSE)
            state.mismatch_since = state.mismatch_since or now
            self._alert(
                Severity.CRITICAL,
                f"flatten:{state.symbol}",
                f"{state.symbol} flatten attempt {tries + 1} refused: {last.reject_text}",
            )
        state.touch()

    # --- manager ---------------------------------------------------------------------------------

    async def _manage(self, state: SymbolState) -> None:
        while not state.closed:
            self._check_hold(state)
            self._check_told(state)
            self._announce(state)
            # The exchange's time, which a jump of our wall clock cannot move.
            now_ms = self._exchange.exchange_now_ms()
            step = decide_manage(state, self._clock.monotonic(), now_ms, self._rules.moves)
            match step:
                case Idle(until):
                    await state.manage.wait(self._manage_pause(state, until))
                case Resolve(record):
                    await self._outcomes.resolve(state, record)
                case FetchFills(record):
                    await self._fetch_fills(state, record)
                case Cancel(record):
                    await self._sender.cancel(state, record, self._cancel_lane(state))
                case PlaceLadder(legs):
                    await self._place_ladder(state, legs)
                case Finish():
                    await self._finish(state)

    def _cancel_lane(self, state: SymbolState) -> Lane:
        return Lane.MANAGE if state.position() != ZERO else Lane.PROTECT

    def _manage_pause(self, state: SymbolState, until: float | None) -> float:
        pause = min(self._seconds_to(until), self._hold_left(state))
        waits = state.told is not None
        if waits or any(record.lacks_fills for record in state.orders.values()):
            return min(pause, RETRY_PAUSE)
        return pause

    def _check_hold(self, state: SymbolState) -> None:
        limit = self._rules.max_hold_ms
        opened = state.trade.opened_ms
        if not limit or not opened or state.flatten_reason is not None:
            return
        if state.position() != ZERO and self._exchange.exchange_now_ms() - opened >= limit:
            state.flatten_reason = ExitReason.MAX_HOLD
            state.protect.ring()

    def _check_told(self, state: SymbolState) -> None:
        """A position told by an account event must be ours once its fills are in."""
        told = state.told
        if told is None:
            return
        booked = state.position()
        if booked != told.quantity:
            if self._clock.monotonic() < told.at + _FILLS_FOLLOW_S:
                return
            text = (
                f"{state.symbol} position {to_wire(told.quantity)} told, {to_wire(booked)} booked"
            )
            self._ask_reconcile(text)
        state.told = None

    def _hold_left(self, state: SymbolState) -> float:
        """Seconds until the longest hold is over."""
        if not self._rules.max_hold_ms or not state.trade.opened_ms:
            return _LOOK_AGAIN
        now_ms = self._exchange.exchange_now_ms()
        left = state.trade.opened_ms + self._rules.max_hold_ms - now_ms
        return left / 1_000 if left > 0 else _LOOK_AGAIN

    async def _place_ladder(self, state: SymbolState, legs: tuple[Leg, ...]) -> None:
        state.ladder_done = True
        for leg in legs:
            if state.flatten_reason is not None or state.position() == ZERO:
                return
            kind = self._rules.take_profit.kind
            record = await self._send_leg(state, self._on_grid(state, leg), kind)
            if state.rules_unread and await self._contracts.wait_read(state, _RULES_WAIT):
                record = await self._send_leg(state, self._on_grid(state, leg), kind)
            if record.reject_code == WOULD_TRIGGER and state.position() != ZERO:
                # The level is passed already: take this part of the profit now.
                await self._send_leg(state, leg, OrderKind.MARKET)
            elif record.status in (OrderStatus.REJECTED, OrderStatus.ABSENT):
                self._alert(
                    Severity.WARNING,
                    f"ladder:{state.symbol}",
                    f"{state.symbol} take-profit {leg.level} refused: {record.reject_text}",
                )

    def _on_grid(self, state: SymbolState, leg: Leg) -> Leg:
        """The same leg under the contract's rules as they are now."""
        contract = state.instrument
        price = nearest_to_step(leg.price, contract.tick)
        return Leg(leg.level, price, floor_to_step(leg.quantity, contract.step))

    async def _send_leg(self, state: SymbolState, leg: Leg, kind: OrderKind) -> OrderRecord:
        intent = self._intent(
            state,
            Purpose.TAKE_PROFIT,
            leg.level,
            kind,
            leg.quantity,
            trigger=leg.price if kind.is_conditional else None,
            price=leg.price if kind is OrderKind.TAKE_PROFIT else None,
        )
        return await self._sender.send(state, self._sender.record(state, intent), Lane.MANAGE)

    async def _fetch_fills(self, state: SymbolState, record: OrderRecord) -> None:
        state.fills_not_before = self._clock.monotonic() + RETRY_PAUSE
        try:
            fills = await self._exchange.get_trades(state.symbol, order_id=record.order_id)
        except VenueError as error:
            self._alert(
                Severity.WARNING,
                f"fills:{state.symbol}",
                f"{state.symbol} fills of order {record.order_id} not readable yet: {error}",
            )
            return
        for fill in fills:
            self._evidence.book(state, with_client_id(fill, record.client_id))

    async def _finish(self, state: SymbolState) -> None:
        try:
            await self._closeout.finish(state)
        except VenueError as error:
            self._alert(
                Severity.WARNING,
                f"closeout:{state.symbol}",
                f"{state.symbol} close-out waits for the exchange: {error}",
            )
            await self._clock.sleep(RETRY_PAUSE)
            return
        self._tracker.remove(state)
        state.touch()

    def _announce(self, state: SymbolState) -> None:
        """One message once the position is complete: entry, stop, ladder."""
        trade = state.trade
        if state.announced or not state.confirmed_once or not state.ladder_done:
            return
        if not trade.entry_quantity:
            return
        stops = state.live_stops()
        if not stops or state.position() == ZERO:
            return
        state.announced = True
        self._facts.publish(
            PositionOpened(
                trade_id=trade.trade_id,
                symbol=trade.symbol,
                direction=trade.direction,
                quantity=trade.entry_quantity,
                entry_price=trade.entry_price,
                leverage=trade.leverage,
                stop_price=stops[-1].intent.trigger_price or ZERO,
                stop_elapsed_ms=state.stop_elapsed_ms,
                ladder=tuple(
                    (r.intent.trigger_price or ZERO, r.intent.quantity)
                    for r in state.of(Purpose.TAKE_PROFIT)
                ),
                risk=trade.risk,
                risk_pct=trade.risk_pct,
                why=trade.why,
                at_ms=self._clock.now_ms(),
            )
        )

    # --- shared ----------------------------------------------------------------------------------

    def _intent(
        self,
        state: SymbolState,
        purpose: Purpose,
        level: int,
        kind: OrderKind,
        quantity: Decimal,
        *,
        trigger: Decimal | None = None,
        price: Decimal | None = None,
        note: str = "",
    ) -> OrderIntent:
        """An exit intent: always reduce-only, on the side that closes the position."""
        generation = state.generation(purpose, level)
        side = Side.SELL if state.position() > ZERO else Side.BUY
        return OrderIntent(
            intent_id=child_intent_id(state.trade.trade_id, purpose, level, generation),
            trade_id=state.trade.trade_id,
            symbol=state.symbol,
            side=side,
            kind=kind,
            quantity=quantity,
            purpose=purpose,
            created_ms=self._clock.now_ms(),
            price=price,
            trigger_price=trigger,
            working_type=self._rules.working_type if kind.is_conditional else None,
            time_in_force=TimeInForce.GTC if kind is OrderKind.TAKE_PROFIT else None,
            reduce_only=True,
            strategy=state.trade.strategy,
            level=level,
            note=note,
        )

    def _seconds_to(self, until: float | None) -> float:
        if until is None:
            return _LOOK_AGAIN
        return min(max(until - self._clock.monotonic(), 0.0), _LOOK_AGAIN)
