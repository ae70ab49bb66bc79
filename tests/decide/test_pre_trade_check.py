"""An approval says everything is within limits; a refusal says which limit and by how much."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from decide_builders import Watch, instrument

from core import ids
from core.config import TradingConfig
from core.domain.account import ExchangePosition
from core.domain.enums import ContractStatus, Direction, ExitReason, Venue
from core.domain.intent import ApprovedEntry, Refusal
from core.domain.market import BookTop, CandleArrays, MarkPrice, Ticker24h
from core.domain.position import PositionView
from core.domain.strategy import Signal
from core.kernel.config_values import HoursWindow
from core.oms.plan import PlanSettings
from core.pre_trade_check import (
    DecisionContext,
    EntryLimits,
    PendingEntry,
    PreTradeCheck,
    correlation,
)
from core.risk_guard import RiskGuard, RiskLimits
from core.sizing import SizingLimits

D = Decimal
MINUTE = 60_000
OPEN_MS = 1_700_000_100_000
CLOSE_MS = OPEN_MS + 15 * MINUTE - 1
NOW = CLOSE_MS + 500
XRP, ADA, DOGE = "XRP/USDC:USDC", "ADA/USDC:USDC", "DOGE/USDC:USDC"
LIMITS = EntryLimits(
    "bot1", "15m", cooldown_ms=15 * MINUTE, stop_cooldown_ms=45 * MINUTE, correlation_least=30
)
SIZING = SizingLimits(
    risk_pct=D("0.0075"), stop_ratio=D("0.008"), leverage=5, taker_fee=D(0), stop_slippage=D(0)
)
PLAN = PlanSettings.from_config(TradingConfig())
SIGNAL = Signal(
    symbol=XRP,
    strategy="scalping_v1",
    direction=Direction.LONG,
    strength=0.75,
    atr_ratio=0.004,
    close=0.5,
    candle_open_ms=OPEN_MS,
    candle_close_ms=CLOSE_MS,
    why="trend: ema9>ema21; confirm: rsi 34 rising; atr 0.40 %",
)


def walk(seed: int, *, like: CandleArrays | None = None, noise: float = 1.0) -> CandleArrays:
    """A random walk; with `like` its returns plus some of our own."""
    returns = np.random.default_rng(seed).normal(0, 0.003, 150) * noise
    if like is not None:
        returns[1:] += np.diff(np.log(like.close))
    close = np.exp(np.cumsum(returns))
    open_ms = OPEN_MS - np.arange(149, -1, -1, dtype=np.int64) * 15 * MINUTE
    return CandleArrays(open_ms, close, close, close, close, np.ones(150))


OWN = walk(1)
CONTEXT = DecisionContext(
    now_ms=NOW,
    trading_enabled=True,
    entries_blocked="",
    reconciled=True,
    clock_error_ms=20,
    equity=D(400),
    available=D(400),
    unrealized=D(0),
    instrument=instrument(),
    mark=MarkPrice(XRP, D("0.5"), D("0.0001"), NOW + 60 * MINUTE, NOW - 900),
    book=BookTop(XRP, D("0.4999"), D(900), D("0.5000"), D(800), NOW - 100),
    ticker=Ticker24h(XRP, D("0.5"), D(90_000_000), NOW - 1_000),
    candles={XRP: OWN},
)


def view(
    symbol: str = ADA, direction: Direction = Direction.LONG, quantity: str = "100"
) -> PositionView:
    return PositionView(
        trade_id="e1",
        symbol=symbol,
        strategy="scalping_v1",
        direction=direction,
        quantity=D(quantity),
        entry_price=D("0.5"),
        leverage=5,
        stop_price=D("0.496"),
        stop_quantity=D(quantity),
        opened_ms=NOW - 60 * MINUTE,
        realized=D(0),
        fees=D(0),
    )


def guard(limits: RiskLimits | None = None) -> RiskGuard:
    return RiskGuard(limits or RiskLimits(max_positions=2), clock=Watch(NOW))


def decide(
    context: DecisionContext = CONTEXT,
    signal: Signal = SIGNAL,
    limits: EntryLimits = LIMITS,
    sizing: SizingLimits = SIZING,
    risk: RiskGuard | None = None,
) -> ApprovedEntry | Refusal:
    return PreTradeCheck(limits, sizing, PLAN, risk or guard()).decide(signal, context)


def approved(result: ApprovedEntry | Refusal) -> ApprovedEntry:
    assert isinstance(result, ApprovedEntry), result
    return result


def refused(result: ApprovedEntry | Refusal) -> Refusal:
    assert isinstance(result, Refusal), result
    return result


def numbers(result: ApprovedEntry | Refusal, name: str) -> dict[str, str]:
    (verdict,) = [check for check in result.checks if check.name == name]
    return verdict.numbers


def test_a_good_signal_is_approved_with_everything_on_record() -> None:
    entry = approved(decide())
    assert (entry.quantity, entry.leverage, entry.reference_price) == (D(750), 5, D("0.5000"))
    assert (entry.sizing.risk, entry.sizing.margin) == (D(3), D(75))
    assert entry.plan.stop_ratio == D("0.008")
    assert sum(leg.share for leg in entry.plan.legs) == 1
    assert (entry.why, entry.strategy, entry.decided_ms) == (SIGNAL.why, "scalping_v1", NOW)
    assert all(check.passed for check in entry.checks)
    assert {
        "trading_enabled",
        "halted",
        "reconciled",
        "data_fresh",
        "hours",
        "positions",
        "strategy_positions",
        "one_per_symbol",
        "cooldown",
        "margin",
        "volume_24h",
        "spread",
        "funding",
        "correlation",
        "risk_guard",
        "precision",
        "max_notional",
        "leverage_bracket",
    } <= {check.name for check in entry.checks}
    names = [check.name for check in entry.checks]
    assert len(names) == len(set(names))


def test_the_same_decision_is_the_same_intent() -> None:
    first = approved(decide())
    later = replace(
        CONTEXT,
        now_ms=NOW + 5_000,
        book=BookTop(XRP, D("0.5001"), D(1), D("0.5002"), D(1), NOW + 5_000),
    )
    assert approved(decide(later)).intent_id == first.intent_id
    assert first.intent_id == ids.entry_intent_id(
        "bot1", "scalping_v1", XRP, "15m", OPEN_MS, "LONG"
    )
    short = replace(SIGNAL, direction=Direction.SHORT)
    assert approved(decide(signal=short)).intent_id != first.intent_id


@pytest.mark.parametrize(
    ("direction", "price"), [(Direction.LONG, "0.5000"), (Direction.SHORT, "0.4999")]
)
def test_the_price_is_the_side_of_the_book_we_would_take(direction: Direction, price: str) -> None:
    entry = approved(decide(signal=replace(SIGNAL, direction=direction)))
    assert entry.reference_price == D(price)


def stale_mark(age_ms: int) -> MarkPrice:
    return MarkPrice(XRP, D("0.5"), D(0), 0, NOW - age_ms)


def wide_book() -> BookTop:
    return BookTop(XRP, D("0.4990"), D(1), D("0.5000"), D(1), NOW)


def foreign(symbol: str = XRP) -> ExchangePosition:
    return ExchangePosition(symbol, D(-5), D(1), D(1), D(0), D(2), isolated=True, update_ms=NOW)


def alter(**change: object) -> DecisionContext:
    return replace(CONTEXT, **change)  # type: ignore[arg-type]  # one field per case


@pytest.mark.parametrize(
    ("context", "gate"),
    [
        (alter(trading_enabled=False), "trading_enabled"),
        (alter(entries_blocked="paused by operator"), "halted"),
        (alter(reconciled=False), "reconciled"),
        (alter(equity=None), "account"),
        (alter(available=None), "account"),
        (alter(equity=D(0)), "account"),
        (alter(instrument=None), "contract"),
        (alter(instrument=instrument(status=ContractStatus.OTHER)), "contract"),
        (alter(mark=None), "data_fresh"),
        (alter(mark=stale_mark(30_001)), "data_fresh"),
        (alter(clock_error_ms=1_001), "data_fresh"),
        (alter(now_ms=CLOSE_MS + 15 * MINUTE + 1), "data_fresh"),
        (alter(now_ms=CLOSE_MS - 1_001), "data_fresh"),
        (alter(positions=(view(ADA), view(DOGE))), "positions"),
        (
            alter(
                positions=(view(ADA),),
                pending=(PendingEntry(DOGE, Direction.SHORT, "scalping_v1", D(1), 5),),
            ),
            "positions",
        ),
        (alter(positions=(view(XRP),)), "one_per_symbol"),
        (
            alter(pending=(PendingEntry(XRP, Direction.LONG, "scalping_v1", D(100), 5),)),
            "one_per_symbol",
        ),
        (alter(foreign=(foreign(),)), "one_per_symbol"),
        (alter(book=None), "spread"),
        (alter(book=wide_book()), "spread"),
        (alter(book=BookTop(XRP, D(0), D(0), D(0), D(0), NOW)), "spread"),
        (alter(ticker=None), "volume_24h"),
        (alter(ticker=Ticker24h(XRP, D(1), D("37499.99"), NOW)), "volume_24h"),
        (alter(equity=D(5), available=D(5)), "min_notional"),
        (alter(equity=D("6.1"), available=D("6.1")), "min_position_size"),
        (alter(available=D(0)), "max_margin_usage"),
        (alter(positions=(view(ADA, Direction.SHORT, "1500"),)), "margin_share"),
    ],
)
def test_each_gate_refuses_by_name(context: DecisionContext, gate: str) -> None:
    refusal = refused(decide(context))
    assert refusal.gate == gate
    failed = next(check for check in refusal.checks if not check.passed)
    assert failed.name == gate
    assert (refusal.symbol, refusal.why) == (XRP, SIGNAL.why)


def test_boundaries_belong_to_the_allowed_side() -> None:
    exact_volume = replace(CONTEXT, ticker=Ticker24h(XRP, D(1), D(37_500), NOW))
    approved(decide(exact_volume))
    approved(decide(alter(mark=stale_mark(30_000))))
    late = CLOSE_MS + 15 * MINUTE
    approved(decide(alter(now_ms=late, mark=MarkPrice(XRP, D("0.5"), D(0), 0, late))))
    just_under = BookTop(XRP, D("0.4996"), D(1), D("0.5000"), D(1), NOW)
    approved(decide(alter(book=just_under)))
    at_limit = BookTop(XRP, D(1999), D(1), D(2001), D(1), NOW)
    assert at_limit.spread_ratio == LIMITS.max_spread
    assert refused(decide(alter(book=at_limit))).gate == "spread"


def test_all_cheap_checks_are_on_record_even_after_the_first_no() -> None:
    refusal = refused(decide(alter(trading_enabled=False, reconciled=False, book=wide_book())))
    assert refusal.gate == "trading_enabled"
    failed = {check.name for check in refusal.checks if not check.passed}
    assert failed == {"trading_enabled", "reconciled", "spread"}
    assert "margin" not in {check.name for check in refusal.checks}, "dear checks were spared"
    assert numbers(refusal, "spread")["limit"] == "0.001"
    assert numbers(refusal, "halted") == {"reason": "none"}


def test_a_refusal_after_sizing_carries_the_size() -> None:
    refusal = refused(decide(replace(CONTEXT, ticker=Ticker24h(XRP, D(1), D(1_000), NOW))))
    assert refusal.sizing is not None
    assert refusal.sizing.notional == D(375)
    assert numbers(refusal, "volume_24h") == {"volume": "1000", "minimum": "37500"}


def test_configured_minimum_volume_counts_beside_the_multiple() -> None:
    limits = replace(LIMITS, min_volume=D(100_000_000))
    assert refused(decide(limits=limits)).gate == "volume_24h"


@pytest.mark.parametrize(
    ("active", "quiet", "hour", "allowed"),
    [
        ((8, 20), None, 8, True),
        ((8, 20), None, 20, False),
        ((8, 20), None, 7, False),
        ((22, 4), None, 23, True),
        ((22, 4), None, 3, True),
        ((22, 4), None, 12, False),
        ((8, 20), (12, 13), 12, False),
        (None, (2, 6), 5, False),
        (None, (2, 6), 6, True),
    ],
)
def test_hours_stop_entries_only_inside_their_windows(
    active: tuple[int, int] | None, quiet: tuple[int, int] | None, hour: int, allowed: bool
) -> None:
    limits = LIMITS
    if active is not None:
        limits = replace(limits, active_hours=HoursWindow(active[0] * 60, active[1] * 60))
    if quiet is not None:
        limits = replace(limits, quiet_hours=HoursWindow(quiet[0] * 60, quiet[1] * 60))
    now = NOW // (24 * 60 * MINUTE) * 24 * 60 * MINUTE + hour * 60 * MINUTE
    signal = replace(SIGNAL, candle_open_ms=now - 15 * MINUTE, candle_close_ms=now - 1)
    context = alter(now_ms=now, mark=MarkPrice(XRP, D("0.5"), D(0), 0, now))
    result = decide(context, signal, limits)
    assert isinstance(result, ApprovedEntry) is allowed
    if not allowed:
        assert refused(result).gate == "hours"


@pytest.mark.parametrize(
    ("reason", "minutes", "allowed"),
    [
        (ExitReason.TAKE_PROFIT, 14, False),
        (ExitReason.TAKE_PROFIT, 15, True),
        (ExitReason.STOP_LOSS, 44, False),
        (ExitReason.STOP_LOSS, 45, True),
    ],
)
def test_a_symbol_rests_after_an_exit_and_longer_after_a_stop(
    reason: ExitReason, minutes: int, allowed: bool
) -> None:
    risk = guard()
    net = D(-1) if reason is ExitReason.STOP_LOSS else D(1)
    risk.trade_closed("t", XRP, net, reason, NOW - minutes * MINUTE)
    result = decide(risk=risk)
    assert isinstance(result, ApprovedEntry) is allowed
    if not allowed:
        assert refused(result).gate == "cooldown"
    approved(decide(signal=replace(SIGNAL, symbol=DOGE), context=for_symbol(DOGE), risk=risk))


def for_symbol(symbol: str) -> DecisionContext:
    base = symbol.partition("/")[0]
    return alter(instrument=instrument(base), candles={symbol: OWN})


def test_the_risk_guard_has_its_say() -> None:
    risk = guard(RiskLimits(max_sl_streak=1, max_positions=2))
    risk.record_sl(1)
    refusal = refused(decide(risk=risk))
    assert refusal.gate == "risk_guard"
    assert "SL streak 1 of 1" in numbers(refusal, "risk_guard")["reason"]


def test_the_guard_learns_the_account_from_the_decision() -> None:
    risk = guard(RiskLimits(max_positions=2))
    risk.record_sl(5)
    approved(decide(risk=risk))
    refusal = refused(decide(alter(equity=D(397), unrealized=D(-4)), risk=risk))
    assert "open loss included" in numbers(refusal, "risk_guard")["reason"]


def test_the_funding_window_comes_from_the_configuration() -> None:
    assert EntryLimits.from_config(TradingConfig()).funding_window_ms == 0
    config = TradingConfig(FUNDING_WINDOW_MINUTES=10)
    assert EntryLimits.from_config(config).funding_window_ms == 10 * MINUTE


def test_funding_window_is_optional() -> None:
    soon = MarkPrice(XRP, D("0.5"), D("0.001"), NOW + 4 * MINUTE, NOW)
    approved(decide(alter(mark=soon)))
    limits = replace(LIMITS, funding_window_ms=5 * MINUTE)
    assert refused(decide(alter(mark=soon), limits=limits)).gate == "funding"
    past = MarkPrice(XRP, D("0.5"), D("0.001"), NOW - 1, NOW)
    approved(decide(alter(mark=past), limits=limits))


def test_quiet_markets_can_be_left_out() -> None:
    assert refused(decide(limits=replace(LIMITS, min_atr=0.0041))).gate == "atr"
    approved(decide(limits=replace(LIMITS, min_atr=0.004)))


# --- correlation ---------------------------------------------------------------------------------

ALIKE, OTHER = walk(2, like=OWN, noise=0.2), walk(3)


@pytest.mark.parametrize(
    ("peer", "direction", "allowed"),
    [
        (ALIKE, Direction.LONG, False),
        (ALIKE, Direction.SHORT, True),
        (OTHER, Direction.LONG, True),
        (None, Direction.LONG, False),
        (None, Direction.SHORT, True),
    ],
)
def test_too_alike_to_an_open_position_in_the_same_direction(
    peer: CandleArrays | None, direction: Direction, allowed: bool
) -> None:
    candles = {XRP: OWN} if peer is None else {XRP: OWN, ADA: peer}
    result = decide(alter(positions=(view(ADA, direction),), candles=candles))
    assert isinstance(result, ApprovedEntry) is allowed
    if not allowed:
        assert refused(result).gate == "correlation"
        assert numbers(result, "correlation")["to"] == ADA


def test_an_entry_on_its_way_counts_like_a_position() -> None:
    pending = (PendingEntry(ADA, Direction.LONG, "scalping_v1", D(100), 5),)
    context = alter(pending=pending, candles={XRP: OWN, ADA: ALIKE})
    assert refused(decide(context)).gate == "correlation"


@pytest.mark.parametrize(
    ("limit", "strategy", "gate"),
    [(1, "scalping_v1", "strategy_positions"), (2, "scalping_v1", ""), (1, "other", "")],
)
def test_a_strategy_has_a_limit_of_its_own(limit: int, strategy: str, gate: str) -> None:
    risk = guard(RiskLimits(max_positions=5))
    context = alter(pending=(PendingEntry(ADA, Direction.SHORT, strategy, D(1), 5),))
    result = decide(context, risk=risk, limits=replace(LIMITS, strategy_positions=limit))
    assert gate == ("" if isinstance(result, ApprovedEntry) else result.gate)
    counted = numbers(result, "strategy_positions")
    assert counted["open"] == str(int(strategy == "scalping_v1"))


@pytest.mark.parametrize("order", [(DOGE, ADA), (ADA, DOGE)])
def test_the_most_alike_peer_is_the_one_reported(order: tuple[str, str]) -> None:
    risk = guard(RiskLimits(max_positions=5))
    context = alter(
        positions=(view(order[0]), view(order[1])), candles={XRP: OWN, ADA: ALIKE, DOGE: OTHER}
    )
    assert numbers(decide(context, risk=risk), "correlation")["to"] == ADA


def test_correlation_of_known_series() -> None:
    assert correlation(OWN, OWN, 100) == (pytest.approx(1.0), 100)
    mirrored = CandleArrays(OWN.open_ms, OWN.open, OWN.high, OWN.low, 1 / OWN.close, OWN.volume)
    assert correlation(OWN, mirrored, 100) == (pytest.approx(-1.0), 100)
    expected = np.corrcoef(np.diff(np.log(OWN.close[-50:])), np.diff(np.log(OTHER.close[-50:])))
    assert correlation(OWN, OTHER, 50) == (pytest.approx(expected[0, 1]), 50)


def shifted(candles: CandleArrays, steps: int) -> CandleArrays:
    return replace(candles, open_ms=candles.open_ms - steps * 15 * MINUTE)


@pytest.mark.parametrize(
    ("other", "value", "common"),
    [
        (shifted(OWN, 98), None, 2),
        (shifted(OWN, 500), None, 0),
        (replace(OWN, close=np.ones(150)), 0.0, 100),
        (replace(OWN, close=np.full(150, np.nan)), None, 100),
        (replace(OWN, close=np.zeros(150)), None, 100),
    ],
)
def test_correlation_that_cannot_be_known(
    other: CandleArrays, value: float | None, common: int
) -> None:
    assert correlation(OWN, other, 100) == (value, common)


# --- sizing seen from here -----------------------------------------------------------------------


def test_margin_in_flight_counts() -> None:
    pending = (PendingEntry(DOGE, Direction.SHORT, "scalping_v1", D(700), 5),)
    entry = approved(decide(alter(pending=pending, available=D(260))))
    assert (entry.sizing.margin, entry.sizing.limited_by) == (D(10), "margin_share")
    assert numbers(entry, "margin")["managed"] == "150"


def test_production_ramp_lowers_the_risk() -> None:
    risk = RiskGuard(RiskLimits(max_positions=5, ramp=True), clock=Watch(NOW), venue=Venue.PROD)
    entry = approved(decide(risk=risk))
    assert entry.sizing.risk == D(2)
    context = alter(positions=(view(ADA),), candles={XRP: OWN, ADA: OTHER})
    assert refused(decide(context, risk=risk)).gate == "positions"


def test_configuration_feeds_every_part() -> None:
    config = TradingConfig(
        MAX_SPREAD_PCT="0.0005",
        MIN_ATR_PCT="0.002",
        ACTIVE_HOURS_UTC="08-20",
        MAX_CORRELATION=0.7,
        INSTANCE_ID="bot7",
        TIMEFRAME="5m",
    )
    limits = EntryLimits.from_config(config)
    assert (limits.instance, limits.timeframe) == ("bot7", "5m")
    assert (limits.max_spread, limits.min_atr) == (D("0.0005"), 0.002)
    assert (limits.cooldown_ms, limits.stop_cooldown_ms) == (5 * MINUTE, 15 * MINUTE)
    assert limits.active_hours == HoursWindow(480, 1200)
    check = PreTradeCheck.from_config(TradingConfig(), guard())
    approved(check.decide(SIGNAL, CONTEXT))
    check.reconfigure(TradingConfig(MAX_SPREAD_PCT="0.0001"))
    assert refused(check.decide(SIGNAL, CONTEXT)).gate == "spread"


@pytest.mark.parametrize("stage", [lambda c: c, lambda c: replace(c, trading_enabled=False)])
def test_deciding_twice_gives_the_same_answer(
    stage: Callable[[DecisionContext], DecisionContext],
) -> None:
    context, risk = stage(CONTEXT), guard()
    assert decide(context, risk=risk) == decide(context, risk=risk)
