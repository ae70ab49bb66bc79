"""Telegram fails in every way beside a trading daemon: what is said and what comes back; and every
request to the exchange is the same, byte by byte and instant by instant.

The table of `docs/reference/outages.md` is made here.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.simulation.memory_network import REST
from core.simulation.schedule import write_script
from core.simulation.telegram_server import Fault, Shown
from core.simulation.trace import bare
from tools.simulation.campaign import SeedRun, drive, plan_of
from tools.simulation.world import OPERATOR, World

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "outages.md"
SCRIPT = write_script(4, 0.3, ())
BEGIN_S, END_S, WHOLE_S = 200.0, 500.0, 800.0
WATCHED = (REST, "private")
"""The links on which orders leave and fills come. The two price streams beat at the same instants,
and which of the two beats first is nobody's business."""
_HEAD = """\
# When Telegram fails

Made by `tests/telegram_api` from a trading daemon in the simulation; do not edit. To renew it:

```sh
env RENEW_TRANSCRIPT=1 python -m pytest tests/telegram_api -k outage
```

Each line is the same {minutes:.0f} minutes of trading, a fault from {begin:.0f} s to {end:.0f} s.
*Trading* compares every message on the exchange's links for orders and account,
with its time, to a daemon without a phone.

| fault | the log said | the phone was told | answers again after | trading |
|---|---|---|---|---|
"""

Chunks = list[tuple[float, str, bool, bytes]]
Act = Callable[[World], None]


@dataclass(frozen=True, slots=True)
class Outage:
    """`begin` and `end` change the world; `words` is what the log must say."""

    name: str
    begin: Act
    end: Act
    words: str


def _errors(status: int, text: str, method: str = "*", retry_after: int = 0) -> tuple[Act, Act]:
    def begin(world: World) -> None:
        world.telegram.faults.append(Fault(method, status, text, retry_after, times=10**6))

    return begin, lambda world: world.telegram.faults.clear()


def _link(**conditions: object) -> tuple[Act, Act]:
    def begin(world: World) -> None:
        link = world.phone_network.link(REST)
        for name, value in conditions.items():
            setattr(link, name, value)
        world.phone_network.reset()

    def end(world: World) -> None:
        link = world.phone_network.link(REST)
        link.refuse = link.unanswered = False
        link.spike_chance = 0.0

    return begin, end


def _deaf(world: World) -> None:
    world.phone_network.half_open()
    world.phone_network.link(REST).unanswered = True


def _second_poller(world: World) -> None:
    """Another program polls whenever the daemon does."""
    conflict = "Conflict: terminated by other getUpdates request"
    world.telegram.faults.append(Fault("getUpdates", 409, conflict, times=10**6))


def _broken_updates(world: World) -> None:
    for number in range(50):
        world.telegram.deliver({"message": {"message_id": {}, "date": "x", "chat": number}})
        world.telegram.deliver({"callback_query": [number]})


def _strangers(world: World) -> None:
    for number in range(500):
        world.telegram.say(666 + number % 7, "/panic")


def _flood(world: World) -> None:
    for _ in range(500):
        world.telegram.say(OPERATOR, "/status")


def _nothing(_world: World) -> None:
    """It ends by itself."""


OUTAGES = (
    Outage("the network refuses connections", *_link(refuse=True), "does not answer"),
    Outage("connections get no answer", *_link(unanswered=True), "does not answer"),
    Outage("open connections fall silent", _deaf, _link()[1], "does not answer"),
    Outage("answers take up to 40 s", *_link(spike_chance=1.0, spike_s=40.0), "does not answer"),
    Outage("every connection is reset once", *_link(), "does not answer"),
    Outage("500 to everything", *_errors(500, "Internal Server Error"), "does not answer"),
    Outage("502 to everything", *_errors(502, "Bad Gateway"), "does not answer"),
    Outage("429, wait 30 s", *_errors(429, "Too Many Requests", retry_after=30), "slows us down"),
    Outage("401, the token was revoked", *_errors(401, "Unauthorized"), "refuses the token"),
    Outage("409, another program polls", _second_poller, _errors(0, "")[1], "another program"),
    Outage("answers that are not JSON", *_errors(200, "<html>oops</html>"), "does not answer"),
    Outage(
        "the operator blocked the bot",
        *_errors(403, "Forbidden: bot was blocked by the user", "sendMessage"),
        "refuses a message",
    ),
    Outage("updates nobody can read", _broken_updates, _nothing, ""),
    Outage("500 messages of strangers", _strangers, _nothing, ""),
    Outage("500 commands at once", _flood, _nothing, ""),
)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one run. `back_s` is None when the phone was never answered again."""

    chunks: Chunks
    fills: int
    log: list[str]
    told: list[Shown]
    back_s: float | None


def play(folder: Path, outage: Outage | None, *, phone: bool) -> Played:
    chunks: Chunks = []
    told: list[Shown] = []
    back: list[float] = []

    async def story(run: SeedRun) -> None:
        world = run.world
        run.chat = None  # nobody speaks but this test

        def on_chunk(link: str, sent: bool, data: bytes) -> None:
            if link in WATCHED and world.loop.time() < WHOLE_S - 1:
                chunks.append((round(world.loop.time(), 6), link, sent, bare(link, sent, data)))

        world.network.on_chunk = on_chunk
        await run.begin()
        await world.clock.sleep(BEGIN_S)
        if outage is not None:
            before = len(world.telegram.shown)
            outage.begin(world)
            await world.clock.sleep(END_S - BEGIN_S)
            outage.end(world)
            if await _answered(world):
                back.append(world.loop.time() - END_S)
        await world.clock.sleep(WHOLE_S - world.loop.time())
        if outage is not None:
            told.extend(world.telegram.shown[before:])
        await run.end()

    plan = replace(plan_of(SCRIPT), phone=float(phone))
    ran = drive(SCRIPT, folder, story, plan)
    assert ran.observer.violations == []
    files = sorted((folder / "life-1" / "logs").glob("bot_*.log"))
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    return Played(
        chunks,
        len(ran.world.paper.ledger.trades),
        [line for line in lines if " telegram " in line],
        told,
        back[0] if back else None,
    )


async def _answered(world: World) -> bool:
    """Ask every five seconds until there is an answer."""
    known = len(world.telegram.shown)
    for _ in range(24):
        world.telegram.say(OPERATOR, "/ping")
        if await world.wait(
            lambda: any("pong" in each.text for each in world.telegram.shown[known:]), 5.0
        ):
            return True
    return False


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A daemon without a phone."""
    return play(tmp_path_factory.mktemp("alone"), None, phone=False)


ROWS: dict[str, str] = {}


def test_a_phone_changes_nothing_for_the_exchange(tmp_path: Path, alone: Played) -> None:
    healthy = play(tmp_path, None, phone=True)
    assert alone.fills > 10
    assert healthy.fills == alone.fills
    assert healthy.chunks == alone.chunks


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name.replace(" ", "-"))
def test_an_outage_changes_nothing_for_the_exchange(
    tmp_path: Path, alone: Played, outage: Outage
) -> None:
    played = play(tmp_path, outage, phone=True)
    assert played.chunks == alone.chunks
    assert played.back_s is not None
    troubles = [line for line in played.log if " WARN " in line]
    assert bool(troubles) == bool(outage.words)
    assert any(outage.words in line for line in troubles) or not outage.words
    assert len(troubles) <= 3  # once when it begins, for either direction
    ROWS[outage.name] = _row(outage, played)


def _row(outage: Outage, played: Played) -> str:
    said = [line.split(" telegram ", 1)[1].strip() for line in played.log if " WARN " in line]
    words = [line.removesuffix("; trading is unaffected") for line in said]
    told = [line for each in played.told for line in _about_telegram(each.text)]
    cells = (
        outage.name,
        "; ".join(words) or "nothing",
        "; ".join(dict.fromkeys(told)) or "nothing",
        f"{played.back_s:.0f} s" if played.back_s is not None else "never",
        "the same to the byte",
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _about_telegram(text: str) -> list[str]:
    """Title and words of a message about the bot itself."""
    title, *words = text.splitlines()
    if any(mark in title for mark in ("⚠️", "🔌")):
        return [": ".join([title.partition(" · ")[2], *filter(None, words)])]
    return []


def test_the_outage_table_in_the_documents_is_this_one() -> None:
    if len(ROWS) != len(OUTAGES):
        pytest.skip("made from all outages, and only some were played")
    head = _HEAD.format(minutes=WHOLE_S / 60, begin=BEGIN_S, end=END_S)
    text = head + "\n".join(ROWS[outage.name] for outage in OUTAGES) + "\n"
    if os.environ.get("RENEW_TRANSCRIPT"):
        REFERENCE.write_text(text, encoding="utf-8")
    assert REFERENCE.read_text(encoding="utf-8") == text
