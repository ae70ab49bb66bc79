"""The smallest real trade, start to finish (floor 8; INV-01, INV-07).

Opens one micro-lot through the pre-trade check and the order manager, proves on the exchange that
stop and take-profit are there, closes it, proves that nothing is left. Whatever happens on the way,
the end closes and cancels what this tool opened.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from core.assembly.trading import Trading
from core.config import TradingConfig
from core.domain.account import ExchangePosition
from core.domain.enums import Direction, ExitReason
from core.domain.errors import BotError
from core.domain.instrument import Instrument
from core.domain.intent import ApprovedEntry
from core.domain.money import ceil_to_step
from core.domain.position import OrderSnapshot
from core.domain.strategy import Signal
from core.oms.by_hand import ByHand, coverage
from core.oms.plan import PlanSettings
from core.pre_trade_check import EntryLimits, PreTradeCheck
from core.sizing import SizingLimits
from core.symbol_utils import normalize_symbol, perp_symbol
from tools.common.cli import Output, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.session import approve, demand_real_venue, entry_words, trading_session

EXITS = (
    "0 every step passed and the account is clean, 1 a step failed, 2 usage, 3 account, "
    "4 a daemon holds the data folder, 5 exchange unreadable"
)
_STEP_S = 15.0
_STRATEGY = "smoke"
_ROOM = Decimal("1.1")
"""Above the exchange's minimum, so that a falling price does not fall below it."""


@dataclass
class Steps:
    """What was tried, in order; a failed step stays in the list."""

    done: list[tuple[str, bool, str]] = field(default_factory=list)

    def add(self, name: str, text: str, *, passed: bool) -> None:
        self.done.append((name, passed, text))

    @property
    def passed(self) -> bool:
        return all(passed for _, passed, _ in self.done)


def smoke_parser(name: str, description: str) -> argparse.ArgumentParser:
    made = parser(name, description, EXITS)
    made.add_argument("--symbol", metavar="SYMBOL", help="default: XRP in the quote coin")
    return made


async def smoke(args: argparse.Namespace, *, real_money: bool, **fixed: str) -> int:
    """Run the steps; the exit code. Raises what `trading_session` raises."""
    config = load_config(args, **fixed)
    demand_real_venue(config, real_money=real_money)
    output = Output(as_json=args.json, config=config)
    symbol = _symbol(args.symbol, config)
    config = config.with_settings(f"{_STRATEGY} test", SYMBOLS=symbol)
    steps = Steps()
    async with trading_session(config, output) as trading:
        steps.add("connect", f"{trading.access.endpoints.rest}, reconciled", passed=True)
        positions, _ = await _now(trading, symbol)
        if positions:
            steps.add("start clean", f"{symbol} has a position already: left alone", passed=False)
        else:
            await _run(trading, config, symbol, steps)
    return _show(output, config, symbol, steps)


def _symbol(text: str | None, config: TradingConfig) -> str:
    return normalize_symbol(text) if text else perp_symbol("XRP", config.resolved_quote_coin)


async def _run(trading: Trading, config: TradingConfig, symbol: str, steps: Steps) -> None:
    try:
        await _open(trading, config, symbol, steps)
        report = await trading.orders.close_position(symbol, ExitReason.MANUAL, _STEP_S)
        steps.add("close", report.detail, passed=report.closed)
    except BotError as error:
        steps.add("abandoned", str(error), passed=False)
    finally:
        await _clean(trading, config, symbol, steps)


async def _open(trading: Trading, config: TradingConfig, symbol: str, steps: Steps) -> None:
    approved = await _approved(trading, config, symbol)
    began = trading.clock.monotonic()
    client_id = await trading.orders.place_order(approved)
    took = (trading.clock.monotonic() - began) * 1_000
    words = f"{entry_words(approved)}, {took:.0f} ms"
    steps.add("open", words if client_id else "not sent", passed=bool(client_id))
    covered = await trading.orders.attach_brackets(symbol, _STEP_S)
    found, orders = await _now(trading, symbol)
    stopped = bool(found) and coverage(found[0], orders) >= abs(found[0].quantity)
    accepted = f"{_count(orders, 'STOP')} accepted by the exchange"
    steps.add("stop", accepted, passed=covered and stopped)
    while (
        not _count((await _now(trading, symbol))[1], "TAKE_PROFIT")
        and trading.clock.monotonic() - began < _STEP_S
    ):
        await trading.clock.sleep(0.1)
    targets = _count((await _now(trading, symbol))[1], "TAKE_PROFIT")
    steps.add("take-profit", f"{targets} accepted by the exchange", passed=targets > 0)


async def _approved(trading: Trading, config: TradingConfig, symbol: str) -> ApprovedEntry:
    """Smallest tradable size. The market's quality is not judged, everything else is."""
    now = trading.client.exchange_now_ms()
    limits = replace(
        EntryLimits.from_config(config),
        instance=f"{config.instance_id}/{_STRATEGY}-{now}",  # every run is a decision of its own
        max_spread=Decimal("0.05"),
        min_volume=None,
        volume_multiple=Decimal(0),
        min_atr=0.0,
        cooldown_ms=0,
        stop_cooldown_ms=0,
    )
    instrument = trading.client.instrument(symbol)
    book = (await trading.client.get_book_tops()).get(symbol)
    if instrument is None or book is None:
        raise BotError(f"{symbol} is not traded on this venue")
    sizing = replace(
        SizingLimits.from_config(config),
        max_notional=_micro(instrument, book.bid, book.ask),
        min_position_size=Decimal(1),
    )
    checks = PreTradeCheck(limits, sizing, PlanSettings.from_config(config), trading.risk)
    signal = Signal(
        symbol=symbol,
        strategy=_STRATEGY,
        direction=Direction.LONG,
        strength=1.0,
        atr_ratio=0.001,
        close=float(book.ask),
        candle_open_ms=now,
        candle_close_ms=now,
        why="micro-lot test by hand",
    )
    return await approve(trading, checks, signal)


def _micro(instrument: Instrument, bid: Decimal, ask: Decimal) -> Decimal:
    """Notional that lets exactly the least tradable quantity through."""
    step = max(instrument.step, instrument.market_step)
    least = max(instrument.min_qty, instrument.market_min_qty, instrument.min_notional / bid)
    return (ceil_to_step(least * _ROOM, step) + step / 2) * ask


async def _clean(trading: Trading, config: TradingConfig, symbol: str, steps: Steps) -> None:
    """Close and cancel what is left, then prove it by a fresh reading."""
    hand = ByHand(
        exchange=trading.client,
        instruments=trading.client,
        audit=trading.memory.audit,
        instance=config.instance_id,
        clock=trading.clock,
        symbols=(symbol,),
    )
    try:
        report = await hand.close(symbol, ExitReason.MANUAL, _STEP_S)
        if report.closed:
            await trading.orders.settle(_STEP_S)
            await hand.cancel_rest(symbol)
        positions, orders = await _now(trading, symbol)
    except BotError as error:
        unproven = f"CANNOT BE PROVEN, look at the exchange: {error}"
        steps.add("clean", unproven, passed=False)
        return
    left = f"{len(positions)} positions, {len(orders)} orders of {symbol}"
    steps.add("clean", left, passed=not positions and not orders)


async def _now(
    trading: Trading, symbol: str
) -> tuple[list[ExchangePosition], tuple[OrderSnapshot, ...]]:
    positions = [row for row in await trading.client.get_positions() if row.symbol == symbol]
    return positions, await trading.client.get_open_orders(symbol)


def _count(orders: Sequence[OrderSnapshot], kind: str) -> int:
    return sum(order.kind.startswith(kind) for order in orders)


def _show(output: Output, config: TradingConfig, symbol: str, steps: Steps) -> int:
    rows = [(name, "ok" if passed else "FAILED", text) for name, passed, text in steps.done]
    verdict = "PASSED" if steps.passed else "FAILED"
    head = f"{config.venue.value}, {symbol}"
    output.result(
        {
            "venue": config.venue.value,
            "symbol": symbol,
            "passed": steps.passed,
            "steps": [{"step": n, "passed": p, "detail": t} for n, p, t in steps.done],
        },
        f"{head}\n\n{table(('step', 'result', 'detail'), rows)}\n\n{verdict}",
    )
    return ToolExit.OK if steps.passed else ToolExit.FINDING
