"""An operator port with real values for the bot, and a whole bot beside the Bot API server."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from core.config import TradingConfig
from core.domain.commands import (
    CloseReport,
    DayView,
    PanicReport,
    ProofRow,
    StatusView,
    WhyLine,
)
from core.domain.enums import Direction, StreamState, Tier, Venue
from core.domain.errors import ConfigError
from core.domain.facts import Alert, DaemonFact, OperatorCommand
from core.domain.position import PositionView
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.dispatcher import Dispatcher
from core.kernel.loops import run
from core.kernel.redaction import Redactor
from core.kernel.supervisor import Supervisor
from core.oms.risk_store import Halt
from core.oms.throttle import ThrottleView
from core.risk_guard import RiskView
from core.simulation.telegram_server import TOKEN, BotApi, Shown
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory
from tgbot.app import TelegramBot
from tgbot.build import Ground, Views, build_notifier
from tgbot.notifier import Notifier
from tgbot.wire import Wire

EPOCH_MS = 1_750_000_020_000
ANN = 777
SYMBOL = "XRP/USDC:USDC"
HEAD = "9f" * 32
CANARY = "k3y<&>canary-9184-of-the-exchange"


def position(symbol: str = SYMBOL, quantity: str = "100") -> PositionView:
    return PositionView(
        trade_id=f"e-{symbol}",
        symbol=symbol,
        strategy="scalping_v1",
        direction=Direction.LONG,
        quantity=Decimal(quantity),
        entry_price=Decimal("2.0004"),
        leverage=5,
        stop_price=Decimal("1.9844"),
        stop_quantity=Decimal(quantity),
        opened_ms=EPOCH_MS - 754_000,
        realized=Decimal("0.60"),
        fees=Decimal("0.08"),
    )


class Desk:
    """The operator port: remembers what it was asked and behaves like a trading daemon."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.held: list[PositionView] = [position()]
        self.done: list[str] = []
        self.paused = False
        self.halt: Halt | None = None
        self.tier = Tier.CONSERVATIVE
        self.feed = "replay"
        self.lines: tuple[str, ...] = (
            "12:00:00 INFO engine XRP close 2.0004 <no signal> & nothing else",
            "12:00:01 INFO oms reconciled",
        )
        self.slow_s = 0.0

    def status(self) -> StatusView:
        blocked = "paused by the operator" if self.paused else ""
        return StatusView(
            venue=Venue.PAPER,
            feed=self.feed,
            uptime_s=self._clock.monotonic() + 7_440,
            equity=Decimal("402.37"),
            quote_coin="USDC",
            balance=Decimal("401.11"),
            marks=((SYMBOL, Decimal("2.0130")),),
            positions=tuple(self.held),
            user_stream=StreamState.LIVE,
            market_stream=StreamState.LIVE,
            entries_blocked=f"halted by {self.halt.who}" if self.halt else blocked,
        )

    def risk(self) -> RiskView:
        return RiskView(
            allowed=self.halt is None,
            reason="ok" if self.halt is None else f"Halted by {self.halt.who}",
            blocked_by="" if self.halt is None else "halted",
            sl_streak=1,
            max_sl_streak=3,
            cooldown_until_ms=0,
            realized_today=Decimal("2.37"),
            open_loss=Decimal(0),
            daily_limit=Decimal(8),
            trades_today=3,
            profit_factor_today=Decimal("1.91"),
            equity=Decimal("402.37"),
            peak_equity=Decimal("403.10"),
            drawdown=Decimal("0.0018"),
            positions=len(self.held),
            max_positions=2,
            halt=self.halt,
            wire=ThrottleView(
                entries_last_minute=1,
                entries_per_minute=6,
                most_repeated=2,
                same_entries=5,
                order_value=Decimal(10_000),
                price_deviation=Decimal("0.02"),
                denied={"price_collar": 1},
            ),
        )

    def settings(self) -> str:
        return "TESTNET        true\nTELEGRAM_TOKEN *** (sha256 12ab34)"

    def log_tail(self, lines: int) -> tuple[str, ...]:
        return self.lines[-lines:]

    async def day(self, start_ms: int, end_ms: int) -> DayView:
        assert start_ms < end_ms
        days = max((end_ms - start_ms) // 86_400_000, 1)
        return DayView(
            trades=3 * days,
            wins=2 * days,
            gross=Decimal("2.97") * days,
            fees=Decimal("0.58") * days,
            funding=Decimal("-0.02") * days,
            net=Decimal("2.37") * days,
            profit_factor=Decimal("1.91"),
            best=((SYMBOL, Decimal("2.61")),),
            worst=(("ADA/USDC:USDC", Decimal("-0.24")),),
        )

    async def why(self, symbol: str | None, limit: int) -> tuple[WhyLine, ...]:
        line = WhyLine(
            EPOCH_MS - 900_000, symbol or SYMBOL, "refused", "spread", "spread 0.031 % > 0.020 %"
        )
        return (line, replace(line, verdict="no signal", gate="no_signal", text="ADX 14 < 20"))[
            :limit
        ]

    async def pause(self, who: str) -> str:
        self._done(f"pause by {who}")
        self.paused = True
        return "entries stopped, exits active; kept across restarts"

    async def resume(self, who: str) -> str:
        self._done(f"resume by {who}")
        self.paused = False
        return "entries enabled"

    async def close(self, symbol: str, who: str) -> CloseReport:
        self._done(f"close {symbol} by {who}")
        await self._clock.sleep(self.slow_s)
        self.held = [view for view in self.held if view.symbol != symbol]
        return CloseReport(symbol, closed=True, quantity=Decimal(0), detail="flat, verified")

    async def panic(self, who: str, reason: str) -> PanicReport:
        self._done(f"panic {reason} by {who}")
        await self._clock.sleep(self.slow_s)
        closed = tuple(
            CloseReport(view.symbol, closed=True, quantity=Decimal(0), detail="flat, verified")
            for view in self.held
        )
        self.held = []
        self.halt = Halt(f"panic: {reason}", who, self._clock.now_ms())
        proof = (ProofRow("open orders", 0), ProofRow("positions", 0))
        return PanicReport(closed, proof, Decimal("0.44"), "")

    async def clear_halt(self, who: str, reason: str) -> str:
        self._done(f"clear halt {reason} by {who}")
        self.halt = None
        return "halt cleared"

    async def set_tier(self, tier: Tier, who: str) -> str:
        self._done(f"tier {tier} by {who}")
        if tier is Tier.AGGRESSIVE:
            raise ConfigError(["TIER: fixed by the command line"])
        self.tier = tier
        return f"tier {tier.value}"

    def _done(self, what: str) -> None:
        self.done.append(what)


class Scene:
    """One bot, one server, one person named Ann."""

    def __init__(self, folder: Path, clock: Any) -> None:
        self.folder = folder
        self.clock = clock
        self.api = BotApi(clock, people={ANN})
        self.desk = Desk(clock)
        self.log: list[str] = []
        self.failures: list[str] = []
        self.facts: list[DaemonFact] = []
        self.supervisor = Supervisor(clock, self._task_failed)
        self.dispatcher = Dispatcher(self._observer_failed)
        self.dispatcher.subscribe_all(self.facts.append)
        self.settings: dict[str, Any] = {"TELEGRAM_CHAT_ID": str(ANN), "QUOTE_COIN": "USDC"}
        self.phone: Notifier
        self.base = ""
        self.token = TOKEN

    def _task_failed(self, name: str, error: BaseException, again: bool) -> None:
        self.failures.append(f"{name}: {error!r} (again: {again})")

    def _observer_failed(self, name: str, error: BaseException) -> None:
        self.failures.append(f"{name}: {error!r}")

    def _say(self, component: str, level: str, message: str) -> None:
        self.log.append(f"{component} {level} {message}")

    @property
    def bot(self) -> TelegramBot:
        bot = self.phone.bot
        assert bot is not None
        return bot

    def build(self, seed: int = 5) -> Notifier:
        """What `core.assembly.phone` does; without Telegram when `token` is empty."""
        if self.token:
            self.settings.update(TELEGRAM_TOKEN=self.token, TELEGRAM_API_URL=self.base)
        config = TradingConfig(**self.settings)
        ground = Ground(
            self.clock,
            self.supervisor,
            self.dispatcher,
            Chance(seed),
            self._say,
            Redactor([SecretStr(TOKEN), SecretStr(CANARY)]).redact_text,
            self.folder / "telegram.json",
            "here",
        )
        views = Views(self.desk, self.desk.risk, lambda: self.desk.tier, lambda: (1_204, HEAD))
        return build_notifier(
            config, ground, views, Wire(self.token, self.base, self.clock) if self.token else None
        )

    async def open(self) -> None:
        self.base = await self.api.start()
        self.phone = self.build()
        await self.phone.start()

    async def close(self) -> None:
        await self.phone.stop()
        await self.supervisor.close(5.0)
        await self.api.stop()

    async def wait(self, until: Callable[[], object], timeout: float = 60.0) -> None:
        deadline = self.clock.monotonic() + timeout
        while not until():
            assert self.clock.monotonic() < deadline, f"it did not happen in time: {self.log}"
            await self.clock.sleep(0.01)

    async def ask(self, text: str, user: int = ANN, messages: int = 1) -> list[Shown]:
        """Say something and wait for the answer's messages."""
        before = len(self.api.shown)
        self.api.say(user, text)
        await self.wait(lambda: len(self.api.shown) >= before + messages)
        return self.api.shown[before:]

    async def press(self, shown: Shown, label: str, user: int = ANN) -> str:
        """Press a button and wait until the spinner stops; returns the notice."""
        query = self.api.press(user, shown, label)
        await self.wait(lambda: self.api.answers[query] != "…")
        return self.api.answers[query]

    async def started(self) -> None:
        """Until the bot listens and has said hello."""
        await self.wait(lambda: self.api.shown and "getUpdates" in self.api.calls)

    def commands(self) -> list[str]:
        return [
            f"{fact.who} {fact.command}" for fact in self.facts if isinstance(fact, OperatorCommand)
        ]

    def alerts(self) -> list[str]:
        return [fact.text for fact in self.facts if isinstance(fact, Alert)]


def on_stage(
    folder: Path,
    story: Callable[[Scene], Awaitable[None]],
    *,
    opened: bool = True,
    **settings: str,
) -> Scene:
    """Play `story` on a virtual loop; no task may have failed at the end."""

    async def main() -> Scene:
        loop = asyncio.get_running_loop()
        with aiohttp_on_virtual_time(loop):
            scene = Scene(folder, SimulatedClock(EPOCH_MS, loop))
            scene.settings.update(settings)
            if opened:
                await scene.open()
                await scene.started()
            await story(scene)
            if opened:
                await scene.close()
        assert scene.failures == []
        return scene

    return run(main(), loop_factory=virtual_loop_factory())
