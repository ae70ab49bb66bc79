"""Fourteen mistakes of the first sketches; each has one test that keeps it from coming back."""

import asyncio
import importlib.util
import json
import re
import signal
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.world import SYMBOL, World, approved, in_world

import main as entry
from core.audit_logger import AuditLogger
from core.config import TradingConfig
from core.domain.account import AccountConfig
from core.domain.enums import Purpose, Severity
from core.domain.errors import AccountError
from core.domain.facts import Alert, FillBooked, PositionOpened, StopConfirmed
from core.exchange.endpoints import DEMO, PRODUCTION
from core.exchange.preflight import verify
from core.ids import make_client_id, order_client_id
from core.kernel.dispatcher import Dispatcher
from core.kernel.signals import StopSignals
from core.precision import round_to_step
from core.risk_guard import RiskGuard
from core.symbol_manager import filter_usdsm_contracts

ROOT = Path(__file__).resolve().parents[2]
ACCEPTED = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
"""What the exchange accepts as a client order id."""


def test_01_client_ids_fit_the_exchange_whatever_goes_into_them() -> None:
    odd = "a|name with | bars and blanks, much longer than thirty-six characters"
    for made in (
        make_client_id(odd, odd, "1000SHIB/USDC:USDC", "BUY", 1_750_000_000_000, odd),
        order_client_id(odd, odd, Purpose.TAKE_PROFIT, 9, odd, 1_295),
    ):
        assert ACCEPTED.fullmatch(made), made


def test_02_a_retry_later_has_the_same_id() -> None:
    ids = {make_client_id("prod", "scalping", SYMBOL, "BUY", nonce="intent-1") for _ in range(3)}
    assert len(ids) == 1
    assert "ts_ms" in make_client_id.__annotations__, "time is an argument, never the clock's"
    same = [order_client_id("bot1", "scal", Purpose.ENTRY, 0, "intent-1", 0) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != order_client_id("bot1", "scal", Purpose.ENTRY, 0, "intent-2", 0)


def test_03_no_step_is_lost_to_binary_fractions() -> None:
    assert int(0.3 / 0.1) * 0.1 < 0.3, "what floats do"
    assert round_to_step(0.3, 0.1) == Decimal("0.3")
    assert round_to_step("1.1", "0.1") == Decimal("1.1")


def test_04_conditional_orders_live_in_the_algo_service(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        assert world.paper.open_orders() == []
        kinds = [algo.spec.order.kind for algo in world.paper.open_algo_orders()]
        assert sorted(kinds) == ["STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT", "TAKE_PROFIT"]
        await daemon.stop()

    in_world(tmp_path, story)


def test_05_the_demo_network_has_its_own_hosts_and_the_stream_no_strange_port() -> None:
    assert DEMO.rest == "https://demo-fapi.binance.com"
    for endpoints in (DEMO, PRODUCTION):
        stream = endpoints.private_stream("key")
        assert ":9443" not in stream
        assert "/private/ws?listenKey=key" in stream


async def test_06_permission_is_asked_of_the_futures_account_itself() -> None:
    async def config() -> AccountConfig:
        return AccountConfig(can_trade=False, hedge_mode=False, multi_assets=False)

    account: Any = SimpleNamespace(config=config)
    with pytest.raises(AccountError, match="trad"):
        await verify(
            account,
            None,  # type: ignore[arg-type]  # not reached
            None,  # type: ignore[arg-type]  # not reached
            quote_coin="USDC",
            production=False,
            clock_error_ms=0,
        )


def test_07_events_are_applied_in_order_by_one_consumer(tmp_path: Path) -> None:
    failures: list[str] = []
    dispatcher = Dispatcher(lambda name, error: failures.append(f"{name}: {error}"))
    heard: list[str] = []

    def answer(alert: Alert) -> None:
        heard.append(f"first hears {alert.text}")
        if alert.text == "a":
            dispatcher.publish(Alert(Severity.INFO, "k", "b", 0))
            raise RuntimeError("observer broke")

    dispatcher.subscribe(Alert, answer)
    dispatcher.subscribe(Alert, lambda alert: heard.append(f"second hears {alert.text}"))
    dispatcher.publish(Alert(Severity.INFO, "k", "a", 0))
    assert heard == ["first hears a", "second hears a", "first hears b", "second hears b"]
    assert len(failures) == 1

    async def story(world: World) -> None:
        daemon = await world.daemon()
        before = len(asyncio.all_tasks())
        arrived: list[int] = []
        apply = daemon.stream._sink.on_venue_fact

        def on_fact(fact: Any) -> None:
            apply(fact)
            arrived.append(len(asyncio.all_tasks()))

        daemon.stream._sink = SimpleNamespace(on_venue_fact=on_fact)
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        kinds = [type(f) for f in daemon.facts if isinstance(f, FillBooked | StopConfirmed)]
        assert kinds == [FillBooked, StopConfirmed]
        assert arrived
        assert max(arrived) - before < 10, "a task per event would grow with the events"
        await daemon.stop()

    in_world(tmp_path, story)


def test_08_opening_the_audit_log_reads_its_end_only(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLogger(path)
    log.write({"action": "note"})
    log.close()
    path.write_bytes(b"nobody can read this\n" * 50_000 + path.read_bytes())
    again = AuditLogger(path)
    again.write({"action": "note"})
    again.close()
    last = json.loads(path.read_bytes().splitlines()[-1])
    assert last["seq"] == 2


def test_09_settle_and_quote_must_both_match() -> None:
    def row(symbol: str, quote: str, settle: str) -> dict[str, object]:
        return {
            "symbol": symbol,
            "contract": True,
            "active": True,
            "quote": quote,
            "settle": settle,
        }

    markets = [
        row("XRP/USDC:USDC", "USDC", "USDC"),
        row("BTC/USDC:BTC", "USDC", "BTC"),
        row("ETH/USDT:USDC", "USDT", "USDC"),
    ]
    assert filter_usdsm_contracts(markets, "USDC", "USDC") == ["XRP/USDC:USDC"]


def test_10_risk_counts_money_as_money_and_remembers_it(tmp_path: Path) -> None:
    config, store = TradingConfig(MAX_DAILY_LOSS="8", MAX_SL_STREAK="9"), tmp_path / "state.json"
    guard = RiskGuard(config, None, store_path=store)
    guard.record_sl(9)
    guard.record_tp(1.5)
    assert guard.can_open_position()[0] is False, "9 lost of at most 8, whatever follows"
    again = RiskGuard(config, None, store_path=store)
    allowed, reason = again.can_open_position()
    assert not allowed
    assert "Daily drawdown" in reason
    by_share = RiskGuard(TradingConfig(DAILY_DRAWDOWN_PCT="0.02", MAX_SL_STREAK="9"), None)
    by_share.observe(Decimal(400), Decimal(0), 0)
    by_share.record_sl("7.9")
    assert by_share.can_open_position()[0], "2 % of 400 are 8"
    by_share.record_sl("0.2")
    assert not by_share.can_open_position()[0]
    earned = RiskGuard(config, None)
    earned.record_tp(5)
    earned.record_sl(9)
    assert earned.can_open_position() == (True, "ok"), "4 lost on balance"


def test_11_flags_are_known_before_anything_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINANCE_API_KEY", "k")
    monkeypatch.setenv("BINANCE_API_SECRET", "s")
    begun: list[TradingConfig] = []

    def begin(config: TradingConfig, _options: object) -> int:
        begun.append(config)
        return 0

    monkeypatch.setattr(entry, "run_daemon", begin)
    assert entry.main(["--dry-run", "--once"]) == 0
    assert begun[0].dry_run
    assert entry.main(["--once"]) == 0
    assert not begun[1].dry_run
    assert list(tmp_path.iterdir()) == []


async def test_12_a_signal_handler_only_wakes_the_loop() -> None:
    signals = StopSignals(asyncio.get_running_loop(), lambda name: None)
    signals.install()
    try:
        before = asyncio.all_tasks()
        signal.raise_signal(signal.SIGTERM)
        assert not signals.stop.is_set(), "nothing happens inside the handler"
        assert asyncio.all_tasks() == before
        await asyncio.wait_for(signals.stop.wait(), 5)
    finally:
        signals.uninstall()


def test_13_the_folder_called_telegram_does_not_hide_the_library() -> None:
    spec = importlib.util.find_spec("telegram")
    assert spec is not None
    assert spec.origin is not None, "a bare folder instead of the library"
    assert not Path(spec.origin).resolve().is_relative_to(ROOT / "telegram")
    assert not (ROOT / "telegram" / "__init__.py").exists()


def test_14_the_quote_coin_follows_the_network() -> None:
    assert TradingConfig(TESTNET=True).resolved_quote_coin == "USDT"
    assert TradingConfig(TESTNET=True).settle_coin in (None, "USDT")
    assert TradingConfig(TESTNET=False).resolved_quote_coin == "USDC"
    assert TradingConfig(TESTNET=True, DRY_RUN=True).resolved_quote_coin == "USDC"
    assert TradingConfig(TESTNET=False, QUOTE_COIN="USDT").resolved_quote_coin == "USDT"
