"""Section phone: what the operator's bot takes and what it gives (floor 8).

A real daemon in a process of its own trades 35 symbols with a strategy that enters on most candles.
Its Bot API server is in this process, over loopback; a person asks, and the time runs until the
answer is there. Memory is compared with the same daemon without a token. The burst is counted in
the simulation: every alert goes through the daemon's own facts, and the service allows one message
a second.
"""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from core.domain.enums import Severity
from core.domain.facts import Alert
from core.kernel.clock import LiveClock, stopwatch
from core.kernel.loops import live_loop_factory, run
from core.simulation.schedule import write_script
from core.simulation.telegram_server import TOKEN, BotApi
from tools.benchmarks.child import Child
from tools.benchmarks.figures import (
    MICROSECONDS,
    MILLISECONDS,
    Effort,
    Row,
    Section,
    SectionFailed,
    row,
)
from tools.simulation.campaign import SeedRun, drive, plan_of
from tools.simulation.world import CHURN

NAME = "phone"
TITLE = "a command to its answer while the daemon trades; a burst of alerts; memory of the bot"
_PERSON = 7_001
_READY_S, _ANSWER_S = 60.0, 20.0
_PACE_S = 2.1
"""The bot hears thirty commands a minute and tells one message a second; faster questions would
measure that."""
_LOAD_S = 75.0
"""A candle of one minute closes and its orders have left before the first question."""
_ALERTS, _CRITICAL_EVERY, _KEYS = 10_000, 100, 700
_TELLING_S = 300.0
_COMMANDS = ("/ping", "/status", "/positions", "/why", "/report")
_WORDS = ("pong", "streams", " open", "· why", "report today")
_BASES = (
    "BTC ETH BNB SOL XRP DOGE ADA AVAX LINK DOT LTC BCH UNI ATOM ETC FIL NEAR APT ARB OP SUI INJ"
    " AAVE MKR RUNE GRT ALGO SAND MANA AXS EOS XLM TRX TON HBAR"
)
_MAIN = (
    "import sys; import tools.simulation.world; from main import main; sys.exit(main(sys.argv[1:]))"
)
"""The daemon with the simulation's strategy on its path."""


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when a question was not answered or a critical alert not told."""
    with_bot, answers = run(_ask(effort), loop_factory=live_loop_factory())
    without = _alone(effort)
    rows = [
        row(f"{name} to its answer, whole daemon trading", "ms", [times])
        for name, times in answers.items()
    ]
    if with_bot and without:
        rows.append(row("memory that the bot adds", "MiB", [[with_bot - without]]))
    rows += _burst(effort)
    note = f"{len(_BASES.split())} symbols, entries on most candles of a minute"
    return Section(NAME, TITLE, tuple(rows), (note,))


def _daemon(folder: Path, settings: Mapping[str, str]) -> Child:
    empty = folder / "empty.env"
    empty.touch()
    arguments = ["-c", _MAIN, "--dry-run", "--env-file", os.fspath(empty)]
    arguments += [
        "--data-dir",
        os.fspath(folder / "data"),
        "--logs-dir",
        os.fspath(folder / "logs"),
    ]
    symbols = ",".join(f"{base}USDC" for base in _BASES.split())
    load = {**CHURN, "SYMBOLS": symbols, "PAPER_FEED": "synthetic", "PAPER_SPEED": "1"}
    return Child(arguments, "ready:", {**load, **settings})


async def _ask(effort: Effort) -> tuple[float, dict[str, list[float]]]:
    """Memory of the daemon with its bot, and milliseconds to each answer by command."""
    api = BotApi(LiveClock(), people={_PERSON})
    settings = {
        "TELEGRAM_TOKEN": TOKEN,
        "TELEGRAM_CHAT_ID": str(_PERSON),
        "TELEGRAM_API_URL": await api.start(),
    }
    answers: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        child = await asyncio.to_thread(_daemon, Path(folder), settings)
        try:
            await asyncio.to_thread(child.ready, _READY_S)
            await asyncio.to_thread(child.watch, float(effort.pick(round(_LOAD_S), 3)))
            for _ in range(effort.pick(10, 1)):
                for name, word in zip(_COMMANDS, _WORDS, strict=True):
                    answers[name].append(await _answer(api, name, word))
                    await asyncio.to_thread(child.watch, _PACE_S)
            usage = child.usage()
        finally:
            await asyncio.to_thread(child.stop)
    await api.stop()
    return (usage.rss_mb if usage is not None else 0.0), answers


async def _answer(api: BotApi, command: str, word: str) -> float:
    known = len(api.shown)
    began = stopwatch()
    api.say(_PERSON, command)
    try:
        async with asyncio.timeout(_ANSWER_S):
            while not any(word in shown.text for shown in api.shown[known:]):
                api.heard.clear()
                await api.heard.wait()
    except TimeoutError:
        raise SectionFailed(f"{command} was not answered within {_ANSWER_S:g} s") from None
    return (stopwatch() - began) * MILLISECONDS


def _alone(effort: Effort) -> float:
    """Memory of the same daemon without a token, as long after its start."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        _daemon(Path(folder), {}) as child,
    ):
        child.ready(_READY_S)
        asked_s = effort.pick(10, 1) * len(_COMMANDS) * _PACE_S
        child.watch(float(effort.pick(round(_LOAD_S), 3)) + asked_s)
        usage = child.usage()
    return usage.rss_mb if usage is not None else 0.0


def _burst(effort: Effort) -> list[Row]:
    """Ten thousand alerts at once, one in a hundred critical, in a simulated daemon."""
    count = effort.pick(_ALERTS, 1_000)
    script = write_script(1, 0.1, ())
    costs: list[float] = []
    told: list[str] = []

    async def play(ran: SeedRun) -> None:
        world = ran.world
        await ran.begin()
        await world.clock.sleep(60.0)
        world.telegram.per_second = 1
        known = len(world.telegram.shown)
        costs.extend(_raise(ran, number) for number in range(count))
        await world.clock.sleep(_TELLING_S)
        told.extend(shown.text for shown in world.telegram.shown[known:])
        if world.telegram.limited:
            raise SectionFailed(f"the service refused {world.telegram.limited} messages")
        await ran.end()

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        drive(script, Path(folder) / "run", play, replace(plan_of(script), phone=True))
    whole = "\n".join(told)
    criticals = range(0, count, _CRITICAL_EVERY)
    lost = [number for number in criticals if f"critical {number} happened" not in whole]
    if lost:
        raise SectionFailed(f"{len(lost)} critical alerts were not told")
    return [
        row(f"messages of {count:,} alerts", "1", [[float(len(told))]]),
        row(f"critical alerts told of {len(criticals)}", "1", [[float(len(criticals))]]),
        row("raising an alert, log and audit included", "us", [costs]),
    ]


def _raise(ran: SeedRun, number: int) -> float:
    """Publish one alert as a part of the daemon would; microseconds."""
    life = ran.world.life
    if life is None or life.app is None or life.app.operator is None:
        raise SectionFailed("the simulated daemon is not there")
    critical = number % _CRITICAL_EVERY == 0
    fact = Alert(
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        key=f"c{number}" if critical else f"k{number % _KEYS}",
        text=f"critical {number} happened" if critical else f"warning {number}",
        at_ms=ran.world.machine.now_ms(),
    )
    began = stopwatch()
    life.app._dispatcher.publish(fact)
    return (stopwatch() - began) * MICROSECONDS
