"""The world of one simulation (floor 8): an exchange that outlives the daemon, and lives of it.

The daemon is the real `Application` on virtual ground; what it has of the world is an address, a
folder and a clock. The exchange, its prices and the network go on while it is dead. Every life has
a folder of its own, copied from the one before it at the instant of the kill: whatever the dead
life's code may still write, nobody reads.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

import strategies
from core.app import Application, RunOptions
from core.assembly.exit_codes import ExitCode
from core.assembly.operator import OperatorDesk
from core.assembly.surroundings import Surroundings
from core.config import TradingConfig
from core.domain.errors import BotError
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.disk import DISK
from core.kernel.supervisor import Supervisor
from core.paper.contracts import build_contracts
from core.paper.feed_synthetic import SyntheticFeed
from core.paper.model import Contract, Feed
from core.paper.server import PaperEndpoints, PaperServer
from core.simulation.crash import LIFE, Lives, SteppedLoop
from core.simulation.disk import SimulatedDisk
from core.simulation.memory_network import MemoryNetwork
from core.simulation.planted import API_KEY, API_SECRET, HMAC_KEY
from core.simulation.telegram_server import TOKEN, BotApi
from core.simulation.trace import Trace

EPOCH_MS = 1_750_000_000_000
_COMMAND_S = 60.0
_NO_SUCH_ROUTE = 404
AT = PaperEndpoints("http://127.0.0.1:9", "ws://127.0.0.1:9", 9)
_STRATEGIES = str(Path(__file__).parent / "strategies")
if _STRATEGIES not in strategies.__path__:
    strategies.__path__.append(_STRATEGIES)

GROUND: Mapping[str, str] = {
    "DRY_RUN": "false",
    "TESTNET": "true",
    "BINANCE_API_KEY": API_KEY,
    "AUDIT_HMAC_KEY": HMAC_KEY,
    "BINANCE_API_SECRET": API_SECRET,
    "BINANCE_REST_URL": AT.rest,
    "BINANCE_WS_URL": AT.ws,
    "CLOSE_POSITIONS_ON_SHUTDOWN": "true",
    "LOG_LEVEL": "INFO",
}
"""Where the daemon is, and that it leaves nothing open behind."""

OPERATOR = 7_001
PHONE = {
    "TELEGRAM_TOKEN": TOKEN,
    "TELEGRAM_CHAT_ID": str(OPERATOR),
    "TELEGRAM_API_URL": "http://127.0.0.1:8",
}
"""Settings of a daemon whose operator has a phone."""

CHURN: Mapping[str, str] = {
    "STRATEGY": "churn",
    "TIMEFRAME": "1m",
    "CANDLES": "60",
    "TIER": "aggressive",
    "RISK_PER_TRADE_PCT": "0.0005",
    "DAILY_DRAWDOWN_PCT": "0.05",
    "MAX_SL_STREAK": "20",
    "SL_COOLDOWN_MINUTES": "1",
    "STOP_LOSS_PCT": "0.004",
    "TP_LEVELS": "0.002:0.5,0.004:0.3,0.006:0.2",
    "MAX_HOLD_MINUTES": "15",
    "MAX_SPREAD_PCT": "0.01",
    "MIN_24H_VOLUME": "0",
    "MAX_CORRELATION": "1",
}
"""A daemon that trades often: short candles, near targets, wide gates."""


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """What a world is made of; `settings` are the daemon's, over `GROUND`. `balance` in `quote`."""

    seed: int
    symbols: tuple[str, ...]
    quote: str = "USDC"
    tick_ms: int = 5_000
    balance: Decimal = Decimal(4_000)
    settings: Mapping[str, str] = field(default_factory=lambda: CHURN)
    elsewhere: str = ""
    """One more contract that the exchange lists and the daemon does not trade."""
    prices: Callable[[Sequence[Contract]], Feed] | None = None
    """Where prices come from; None is the synthetic market of the seed."""
    phone: float = 0.0
    """How busy the operator's phone is, Telegram on a network of its own; 0 is no phone."""


@dataclass(slots=True)
class Life:
    """One process of the daemon; `app` is let go once the process has ended."""

    name: str
    folder: Path
    began: float
    disk: SimulatedDisk
    context: Context
    """Of everything that belongs to it."""
    config: TradingConfig
    app: Application | None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    exit_code: ExitCode | None = None
    error: BaseException | None = None


class _Listener:
    """Puts the paper exchange on the memory network."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network

    async def listen(self, server: web.Server) -> PaperEndpoints:
        self._network.serve(server)
        return AT


class World:
    """Open it on a running virtual loop; `birth` and `kill` make and end lives."""

    def __init__(self, plan: WorldPlan, folder: Path, loop: SteppedLoop) -> None:
        self.plan = plan
        self.folder = folder
        self.loop = loop
        self.chance = Chance(plan.seed)
        self.clock = SimulatedClock(EPOCH_MS, loop)
        self.machine = SimulatedClock(EPOCH_MS, loop)
        self.timeline: list[tuple[float, str, str]] = []
        self.clock_steps: list[tuple[float, float]] = []
        """(virtual second, seconds) by which the daemon's wall clock was moved."""
        self.lives = Lives(loop)
        self.network = MemoryNetwork(loop, self.chance.stream("network"))
        self.trace = Trace(loop.time)
        self.network.on_chunk = self.trace.chunk
        self.telegram = BotApi(self.clock, people={OPERATOR})
        self.phone_network = MemoryNetwork(loop, self.chance.stream("phone network"))
        self.phone_network.on_chunk = self._phone_chunk
        self.kills: list[int] = []
        """When processes were killed, by the machine's clock (UTC ms)."""
        self.troubles: list[str] = []
        """What failed outside the daemon; a bug of the simulation or of the paper exchange."""
        self.supervisor = Supervisor(self.clock, self._failed)
        names = (*plan.symbols, plan.elsewhere) if plan.elsewhere else plan.symbols
        contracts = build_contracts(plan.quote, names)
        listed = [contracts[symbol] for symbol in names]
        feed = (
            plan.prices(listed)
            if plan.prices is not None
            else SyntheticFeed(listed, plan.seed, EPOCH_MS, 1_500, plan.tick_ms)
        )
        self.paper = PaperServer(
            feed,
            contracts,
            self.clock,
            self.supervisor,
            seed=plan.seed,
            balance=plan.balance,
            quote=plan.quote,
            api_key=API_KEY,
            api_secret=API_SECRET,
            faults_enabled=True,
            listener=_Listener(self.network),
        )
        self._hands = 0
        self._current = folder / "life-1"
        self.life: Life | None = None
        self.past: list[Life] = []

    def move(self, folder: Path) -> None:
        """Let the lives, of which there was none yet, have their files in `folder`."""
        self.folder = folder
        self._current = folder / "life-1"

    async def open(self) -> None:
        await self.paper.start()
        await self.telegram.serve(self.phone_network.serve)

    async def close(self) -> None:
        await self.paper.stop()
        await self.telegram.stop()
        await self.supervisor.close(5.0)

    def tell(self, who: str, text: str) -> None:
        """One line of the timeline; part of the fingerprint."""
        self.timeline.append((self.loop.time(), who, text))
        self.trace.note(f"{who} {text}")

    def _phone_chunk(self, _link: str, from_client: bool, data: bytes) -> None:  # noqa: FBT001 - OnChunk
        """Lengths only: the server's answers carry the real date."""
        self.trace.chunk("phone", from_client, b"%d" % len(data))

    def by_hand(self, route: str, body: object) -> None:
        """One request of the exchange's operator or of the account's owner, in the background."""
        self._hands += 1
        self.supervisor.spawn(f"hand-{self._hands}", lambda: self._by_hand(route, body))

    async def _by_hand(self, route: str, body: object) -> None:
        async with (
            aiohttp.ClientSession(connector=self.network.connector("hand")) as session,
            session.post(f"{AT.rest}/paper/{route}", data=msgspec.json.encode(body)) as answer,
        ):
            text = await answer.text()
            if answer.status == _NO_SUCH_ROUTE:
                raise RuntimeError(f"the exchange has no hand for {route}: {text}")
            if answer.status != 200:
                self.tell("hand", text)

    def _failed(self, name: str, error: BaseException, again: bool) -> None:  # noqa: FBT001 - the supervisor's call form
        self.troubles.append(f"{name}: {error!r} (again: {again})")

    # --- lives -----------------------------------------------------------------------------------

    def config_in(self, folder: Path) -> TradingConfig:
        """The daemon's configuration with its files in `folder`."""
        return TradingConfig.from_env(
            environ={},
            overrides={
                **GROUND,
                "QUOTE_COIN": self.plan.quote,
                "SYMBOLS": ",".join(self.plan.symbols),
                **(PHONE if self.plan.phone else {}),
                **self.plan.settings,
                "DATA_DIR": str(folder / "data"),
                "LOGS_DIR": str(folder / "logs"),
            },
        )

    def birth(self) -> Life:
        """Start the daemon on the files the last life left."""
        number = len(self.past) + 1
        name, folder = f"life-{number}", self._current
        folder.mkdir(parents=True, exist_ok=True)
        config = self.config_in(folder)
        disk = SimulatedDisk(folder)
        context = copy_context()
        context.run(LIFE.set, name)
        context.run(DISK.set, disk)
        surroundings = Surroundings(
            inline=True,
            connector=lambda: self.network.connector(name),
            phone=lambda: self.phone_network.connector(name),
            seed=self.plan.seed * 1_000 + number,
            signals=False,
        )
        app = context.run(Application, config, RunOptions(), None, self.machine, surroundings)
        self.tell("life", f"{name} begins")
        born = Life(name, folder, self.loop.time(), disk, context, config, app)
        context.run(self.supervisor.spawn, name, lambda: self._live(born, app))
        self.life = born
        return born

    async def _live(self, life: Life, app: Application) -> None:
        try:
            life.exit_code = await app.run()
        except Exception as error:  # noqa: BLE001 - the end of a process; judged by the observer
            life.error = error
        finally:
            life.app = None
            life.ended.set()

    async def kill(self) -> Life:
        """kill -9: network first, then files, then the tasks. Returns the life that ended."""
        life = self.strike_dead()
        await self.lives.kill(life.name)
        return life

    def strike_dead(self, image: Path | None = None) -> Life:
        """The part of a kill that happens at once; the tasks are still to be cancelled.

        `image` is the folder of the next life, where its files are already.
        """
        life = self._end()
        self.kills.append(self.machine.now_ms())
        self.tell("life", f"{life.name} killed")
        self._leave(life, image)
        return life

    async def stop(self, timeout: float = 60.0) -> Life:
        """Ask the daemon to stop, as a service manager does, and wait for its end."""
        life = self._end()
        if life.app is not None:
            life.app.request_stop("simulation")
        async with asyncio.timeout(timeout):
            await life.ended.wait()
        self.tell("life", f"{life.name} stopped")
        self._leave(life)
        return life

    def replace(self) -> Life:
        """The daemon ended by itself: start the next one, as a service manager does."""
        life = self._end()
        self.tell("life", f"{life.name} ended by itself")
        self._leave(life)
        return self.birth()

    def _leave(self, life: Life, image: Path | None = None) -> None:
        """From here on nothing the dead life does reaches anybody."""
        self.network.detach(life.name)
        self.phone_network.detach(life.name)
        self._current = image or self.folder / f"life-{len(self.past) + 1}"
        if image is None:
            life.disk.image(self._current)

    async def command(self, order: Callable[[OperatorDesk], Coroutine[None, None, object]]) -> bool:
        """Give the living daemon a command, as its own task. False when it was not carried out."""
        life = self.life
        desk = None if life is None or life.app is None else life.app.operator
        if life is None or desk is None:
            return False
        done: list[object] = []

        async def give() -> None:
            try:
                done.append(await order(desk))
            except BotError as error:
                self.tell("operator", f"refused: {error}")

        task = life.context.run(self.supervisor.spawn, f"command to {life.name}", give)
        await self.wait(task.done, _COMMAND_S)
        return bool(done)

    def _end(self) -> Life:
        life = self.life
        if life is None:
            raise RuntimeError("nobody is alive")
        self.life = None
        self.past.append(life)
        return life

    @property
    def audit_path(self) -> Path:
        """The audit log that is being written, or that the next life will go on with."""
        return self._current / "logs" / "audit.jsonl"

    async def wait(self, until: Callable[[], object], timeout: float) -> bool:
        """Let time pass until `until()` holds; False when `timeout` seconds were not enough."""
        deadline = self.loop.time() + timeout
        while not until():
            if self.loop.time() >= deadline:
                return False
            await self.clock.sleep(0.05)
        return True
