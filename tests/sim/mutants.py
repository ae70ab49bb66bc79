"""Deliberate breakages of the daemon: proof that the observer can fail.

Each replaces one small piece of the real program, names the invariants of which at least one must
be reported, the faults that make it visible, and within how many seeds.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal

import msgspec
import pytest

from core.assembly.settings import LiveSettings
from core.config import TradingConfig
from core.domain.enums import (
    AlgoStatus,
    DenyReason,
    ExitReason,
    ForeignPolicy,
    Lane,
    OrderStatus,
    Purpose,
)
from core.domain.errors import VenueError
from core.domain.facts import OrderChanged
from core.domain.intent import OrderIntent, OrderRequest
from core.domain.market import BookTop
from core.domain.order import OrderRecord
from core.domain.position import Fill, Trade
from core.exchange.market_data import MarketData
from core.exchange.rate_budget import RateBudget
from core.exchange.websocket import Feed
from core.observe.audit_trail import AuditTrail
from core.oms import evidence, keeper, outcomes
from core.oms.decisions import Finish, Idle, PlaceStop
from core.oms.inbox import Inbox
from core.oms.outcomes import OutcomeResolver
from core.oms.reconciler import Reconciler
from core.oms.risk_store import Halt, RiskStore
from core.oms.rules import OmsRules
from core.oms.sender import Sender
from core.oms.state import SymbolState
from core.oms.throttle import Denial, Throttle
from core.order_manager import OrderManager
from core.simulation.planted import API_KEY
from core.simulation.schedule import FaultKind as F
from core.sizing import SizingLimits
from core.storage import audit_file
from core.storage.audit_chain import EMPTY, Head
from core.storage.journal import Journal, LoadedState

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, slots=True)
class Mutant:
    """`intensity` multiplies the rates of `kinds` in runs of `hours`."""

    apply: Callable[[Patch], None]
    caught_by: tuple[str, ...]
    kinds: tuple[F, ...] = ()
    seeds: int = 1
    hours: float = 0.15
    intensity: float = 20.0


def send_before_journal(patch: Patch) -> None:
    write = Sender._make_durable
    send = Sender._send_once

    async def later(self: Sender, record: OrderRecord) -> bool:
        return True

    async def first(self: Sender, state: SymbolState, record: OrderRecord, lane: Lane) -> bool:
        done = await send(self, state, record, lane)
        await write(self, record)
        return done

    patch.setattr(Sender, "_make_durable", later)
    patch.setattr(Sender, "_send_once", first)


def resend_when_in_doubt(patch: Patch) -> None:
    send = Sender._send_once

    async def hasty(self: Sender, state: SymbolState, record: OrderRecord, lane: Lane) -> bool:
        done = await send(self, state, record, lane)
        return done and record.status is not OrderStatus.UNKNOWN

    patch.setattr(Sender, "_send_once", hasty)


def unknown_is_failed(patch: Patch) -> None:
    async def give_up(self: OutcomeResolver, state: SymbolState, record: OrderRecord) -> None:
        self._evidence.settle(state, record, OrderStatus.ABSENT, "guess", "no answer")

    patch.setattr(OutcomeResolver, "resolve", give_up)


def count_fills_twice(patch: Patch) -> None:
    book = SymbolState.book

    def forgetful(self: SymbolState, fill: Fill) -> bool:
        self.seen_trades.discard(fill.trade_id)
        return book(self, fill)

    patch.setattr(SymbolState, "book", forgetful)


def no_stop(patch: Patch) -> None:
    decide = keeper.decide_protect

    def careless(state: SymbolState, *about: float) -> object:
        step = decide(state, *about)  # type: ignore[arg-type]  # passed on as it came
        return Idle() if isinstance(step, PlaceStop) else step

    patch.setattr(keeper, "decide_protect", careless)


def stop_for_the_plan_only(patch: Patch) -> None:
    """A stop that is gone is never placed again."""
    decide = keeper.decide_protect

    def once(state: SymbolState, *about: float) -> object:
        step = decide(state, *about)  # type: ignore[arg-type]  # passed on as it came
        return Idle() if isinstance(step, PlaceStop) and state.confirmed_once else step

    patch.setattr(keeper, "decide_protect", once)


def leave_siblings(patch: Patch) -> None:
    """A flat position is done, whatever still waits at the exchange."""
    decide = keeper.decide_manage

    def done(state: SymbolState, now: float, now_ms: int) -> object:
        if state.position() == 0 and state.entry_finished and state.announced:
            return Finish()
        return decide(state, now, now_ms)

    async def blind(self: Reconciler, snapshot: object) -> None:
        return None

    patch.setattr(keeper, "decide_manage", done)
    patch.setattr(Reconciler, "_orphans", blind)

    async def no_sweep(self: OrderManager) -> int:
        return 0

    patch.setattr(OrderManager, "cleanup_orphaned_orders", no_sweep)


def never_reconcile(patch: Patch) -> None:
    async def nothing(self: Reconciler, trigger: str) -> list[SymbolState]:
        self._account.load(await self._exchange.get_balances())
        return []

    patch.setattr(Reconciler, "run", nothing)


def forget_at_restart(patch: Patch) -> None:
    async def empty(self: Journal) -> LoadedState:
        return LoadedState([], [], [])

    patch.setattr(Journal, "load", empty)


def fees_forgotten(patch: Patch) -> None:
    book = Trade.book

    def free(self: Trade, fill: Fill) -> None:
        book(self, msgspec.structs.replace(fill, commission=Decimal(0)))

    patch.setattr(Trade, "book", free)


def closes_unrecorded(patch: Patch) -> None:
    async def dropped(self: Journal, trade: Trade, reason: ExitReason) -> bool:
        return True

    patch.setattr(Journal, "record_close", dropped)


def chain_begins_anew(patch: Patch) -> None:
    """The audit log does not look at the record it goes on from."""
    checked = audit_file.AuditFile._checked

    def blank(self: audit_file.AuditFile, path: object, line: bytes, offset: int) -> Head:
        head = checked(self, path, line, offset)  # type: ignore[arg-type]  # passed on as it came
        return replace(EMPTY, seq=head.seq, day=head.day)

    patch.setattr(audit_file.AuditFile, "_checked", blank)


def outcomes_unaudited(patch: Patch) -> None:
    patch.setattr(AuditTrail, "_on_order", lambda self, fact: None)


def secret_in_a_record(patch: Patch) -> None:
    """A part of a key, which no redactor knows by its value, stands in the audit log."""
    told = AuditTrail._on_order

    def telling(self: AuditTrail, fact: OrderChanged) -> None:
        told(self, fact)
        self._audit.write({"action": "debug", "detail": f"sent with {API_KEY[:20]}"})

    patch.setattr(AuditTrail, "_on_order", telling)


def stream_gives_up(patch: Patch) -> None:
    serve = Feed._serve

    async def last(self: Feed) -> None:
        await serve(self)
        await asyncio.Event().wait()

    patch.setattr(Feed, "_serve", last)


def rejected_stop_counts(patch: Patch) -> None:
    """A stop that the exchange rejects at its trigger is taken for a living one."""
    table: Mapping[AlgoStatus, OrderStatus] = evidence._ALGO_TO_STATUS
    patch.setattr(
        evidence, "_ALGO_TO_STATUS", {**table, AlgoStatus.REJECTED: OrderStatus.TRIGGERED}
    )


def foreign_fills_ignored(patch: Patch) -> None:
    """What a hand on the phone does to the position is nobody's business."""
    receive = Inbox._on_order

    def ours_only(self: Inbox, event: object) -> None:
        if self._is_ours(event.client_id):  # type: ignore[attr-defined]  # an OrderUpdate
            receive(self, event)  # type: ignore[arg-type]  # passed on as it came

    async def blind(self: Reconciler, state: SymbolState, snapshot: object) -> None:
        return None

    patch.setattr(Inbox, "_on_order", ours_only)
    patch.setattr(Reconciler, "_position_of", blind)


def a_task_that_dies(patch: Patch) -> None:
    send = keeper.Keeper._send_stop

    async def fall_over(
        self: keeper.Keeper, state: SymbolState, record: OrderRecord, urgent: bool
    ) -> None:
        await send(self, state, record, urgent)
        raise KeyError(state.symbol)

    patch.setattr(keeper.Keeper, "_send_stop", fall_over)


def halt_in_memory_only(patch: Patch) -> None:
    """A halt dies with its process."""

    def kept(self: RiskStore, halt: Halt) -> None:
        self._halt_in_memory = halt

    patch.setattr(RiskStore, "set_halt", kept)


def pause_ignored(patch: Patch) -> None:
    patch.setattr(LiveSettings, "trading_enabled", lambda self: True)


def first_denial_is_proof(patch: Patch) -> None:
    """An order that the exchange does not know at once is believed never to come."""
    patch.setattr(outcomes, "_DENIALS", 1)
    patch.setattr(OutcomeResolver, "window_closed", lambda self, record: True)


def failed_cancel_is_a_cancel(patch: Patch) -> None:
    async def believe(self: Sender, state: SymbolState, record: OrderRecord, lane: Lane) -> None:
        with suppress(VenueError):
            await self._exchange.cancel(
                record.intent.symbol,
                record.client_id,
                conditional=record.rests_as_conditional,
                lane=lane,
            )
        self._evidence.settle(state, record, OrderStatus.CANCELED, "cancel answer", "")

    patch.setattr(Sender, "cancel", believe)


def more_leverage(patch: Patch) -> None:
    configured = SizingLimits.from_config.__func__  # type: ignore[attr-defined]  # of the class

    def daring(kind: type[SizingLimits], config: TradingConfig) -> SizingLimits:
        limits: SizingLimits = configured(kind, config)
        return replace(limits, leverage=limits.leverage + 6)

    patch.setattr(SizingLimits, "from_config", classmethod(daring))


def forty_times_the_risk(patch: Patch) -> None:
    """Sized for forty times the risk, and the last look before the wire is away."""
    configured = SizingLimits.from_config.__func__  # type: ignore[attr-defined]  # of the class

    def greedy(kind: type[SizingLimits], config: TradingConfig) -> SizingLimits:
        limits: SizingLimits = configured(kind, config)
        everything = {"margin_share": Decimal(1), "max_margin_usage": Decimal(1)}
        return replace(limits, risk_pct=limits.risk_pct * 40, **everything)

    patch.setattr(SizingLimits, "from_config", classmethod(greedy))
    patch.setattr(Throttle, "_judge_value", lambda self, intent, approved: None)


def size_changed_on_the_way(patch: Patch) -> None:
    make = OrderRequest.of

    def larger(intent: OrderIntent, client_id: str) -> OrderRequest:
        request = make(intent, client_id)
        return request if request.reduce_only else replace(request, quantity=intent.quantity * 2)

    patch.setattr(OrderRequest, "of", staticmethod(larger))


def approvals_unrecorded(patch: Patch) -> None:
    patch.setattr(AuditTrail, "_on_approved", lambda self, fact: None)


def halt_stops_exits_too(patch: Patch) -> None:
    admit = Throttle.admit

    def all_or_nothing(self: Throttle, state: SymbolState, record: OrderRecord) -> Denial | None:
        if self._risk.halted is not None:  # type: ignore[attr-defined]  # the guard itself
            return Denial(DenyReason.NOT_APPROVED)
        return admit(self, state, record)

    patch.setattr(Throttle, "admit", all_or_nothing)


def protection_waits_with_the_data(patch: Patch) -> None:
    wait_ms = RateBudget._wait_ms

    def last(self: RateBudget, lane: Lane, weight: int, orders: int, now_ms: int) -> int:
        return wait_ms(self, Lane.DATA, weight, orders, now_ms)

    patch.setattr(RateBudget, "_wait_ms", last)


def one_try_to_leave(patch: Patch) -> None:
    leave = keeper.Keeper._flatten

    def once(
        self: keeper.Keeper, state: SymbolState, quantity: Decimal, reason: ExitReason
    ) -> None:
        if state.generation(Purpose.FLATTEN, 0):
            state.flatten_not_before = state.flatten_again_at = float("inf")
        else:
            leave(self, state, quantity, reason)

    patch.setattr(keeper.Keeper, "_flatten", once)


def prices_of_long_ago(patch: Patch) -> None:
    """The first book that was ever seen is the one entries are reckoned with."""
    newest = MarketData.book
    seen: dict[tuple[int, str], BookTop] = {}

    def first(self: MarketData, symbol: str) -> BookTop | None:
        book = newest(self, symbol)
        return book if book is None else seen.setdefault((id(self), symbol), book)

    patch.setattr(MarketData, "book", first)


def entries_without_a_user_stream(patch: Patch) -> None:
    patch.setattr(OrderManager, "entries_blocked", lambda self: "")
    patch.setattr(OrderManager, "reconciled", True)


def strangers_untold(patch: Patch) -> None:
    patch.setattr(Reconciler, "_report_foreign_orders", lambda self, snapshot: None)


def strangers_swept_away(patch: Patch) -> None:
    patch.setattr(Reconciler, "ours", lambda self, client_id: True)


def adopts_what_it_finds(patch: Patch) -> None:
    begin = Reconciler.__init__

    def greedy(self: Reconciler, *, rules: OmsRules, **parts: object) -> None:
        begin(self, rules=replace(rules, foreign=ForeignPolicy.ADOPT), **parts)  # type: ignore[arg-type]  # passed on

    patch.setattr(Reconciler, "__init__", greedy)


def positions_unwritten(patch: Patch) -> None:
    """What a fill does to a trade stays in memory until the trade ends."""
    patch.setattr(Journal, "note_trade", lambda self, trade: None)


MUTANTS: dict[str, Mutant] = {
    "send before journal": Mutant(send_before_journal, ("INV-03",)),
    "resend when in doubt": Mutant(
        resend_when_in_doubt, ("INV-02",), (F.ANSWER_LOST,), seeds=4, intensity=400
    ),
    "unknown is failed": Mutant(
        unknown_is_failed,
        ("INV-04",),
        (F.ANSWER_LOST, F.GAP),
        seeds=3,
        intensity=300,
    ),
    "fills counted twice": Mutant(count_fills_twice, ("INV-10",), (F.DUPLICATES,)),
    "no stop": Mutant(no_stop, ("INV-01",)),
    "stop never placed again": Mutant(stop_for_the_plan_only, ("INV-01",), (F.PHONE_CANCEL,)),
    "siblings left": Mutant(leave_siblings, ("INV-05",)),
    "never reconciles": Mutant(
        never_reconcile, ("INV-01", "INV-05", "INV-10", "INV-16"), (F.GAP, F.KILL), seeds=4
    ),
    "forgets at restart": Mutant(forget_at_restart, ("INV-10", "INV-05"), (F.KILL,)),
    "fees forgotten": Mutant(fees_forgotten, ("INV-10",)),
    "closes unrecorded": Mutant(closes_unrecorded, ("INV-05",)),
    "chain begins anew": Mutant(chain_begins_anew, ("INV-11",), (F.KILL,)),
    "outcomes unaudited": Mutant(outcomes_unaudited, ("INV-12",)),
    "secret in a record": Mutant(secret_in_a_record, ("INV-12",)),
    "stream gives up": Mutant(stream_gives_up, ("INV-16",), (F.STREAMS_CUT,)),
    "rejected stop counts": Mutant(
        rejected_stop_counts, ("INV-01", "INV-05"), (F.TRIGGER_REJECTED, F.PRICE_GAP), seeds=2
    ),
    "foreign fills ignored": Mutant(
        foreign_fills_ignored, ("INV-01", "INV-05", "INV-10"), (F.PHONE_CLOSE,)
    ),
    "a task that dies": Mutant(a_task_that_dies, ("INV-16",)),
    "halt in memory only": Mutant(
        halt_in_memory_only, ("INV-13",), (F.PANIC, F.KILL), seeds=3, hours=0.3, intensity=80
    ),
    "pause ignored": Mutant(
        pause_ignored, ("INV-13",), (F.PAUSE,), seeds=4, hours=0.2, intensity=60
    ),
    "first denial is proof": Mutant(
        first_denial_is_proof, ("INV-04",), (F.ANSWER_LOST, F.REQUEST_LOST), intensity=100
    ),
    "a failed cancel is a cancel": Mutant(
        failed_cancel_is_a_cancel, ("INV-04",), (F.REQUEST_LOST, F.OVERLOADED), intensity=100
    ),
    "more leverage": Mutant(more_leverage, ("INV-06",)),
    "forty times the risk": Mutant(forty_times_the_risk, ("INV-06",)),
    "size changed on the way": Mutant(size_changed_on_the_way, ("INV-07",)),
    "approvals unrecorded": Mutant(approvals_unrecorded, ("INV-07",)),
    "a halt stops exits too": Mutant(
        halt_stops_exits_too, ("INV-08",), (F.PANIC,), seeds=2, hours=0.3, intensity=30
    ),
    "protection waits with the data": Mutant(
        protection_waits_with_the_data,
        ("INV-01", "INV-08"),
        (F.TOO_MANY, F.PHONE_CANCEL),
        seeds=2,
        intensity=60,
    ),
    "one try to leave": Mutant(
        one_try_to_leave,
        ("INV-01", "INV-08"),
        (F.TRIGGER_REJECTED, F.STOP_REFUSED, F.REDUCE_REFUSED, F.PRICE_GAP),
        seeds=2,
        intensity=60,
    ),
    "prices of long ago": Mutant(
        prices_of_long_ago, ("INV-14",), (F.PRICE_GAP,), seeds=2, intensity=40
    ),
    "entries without a user stream": Mutant(
        entries_without_a_user_stream,
        ("INV-14",),
        (F.USER_DOWN,),
        seeds=3,
        hours=0.5,
        intensity=15,
    ),
    "strangers untold": Mutant(strangers_untold, ("INV-15",), (F.FOREIGN_ORDER,)),
    "strangers swept away": Mutant(strangers_swept_away, ("INV-15",), (F.FOREIGN_ORDER,)),
    "adopts what it finds": Mutant(adopts_what_it_finds, ("INV-15",), (F.ELSEWHERE,)),
    "positions unwritten": Mutant(positions_unwritten, ("INV-05",)),
}
