"""What the operator hears without asking, and what he cannot miss."""

import struct
import zlib
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from telegram_api.scene import ANN, CANARY, EPOCH_MS, SYMBOL, Scene, on_stage

from core.domain.enums import Direction, ExitReason, Severity, StreamState
from core.domain.facts import (
    Alert,
    PositionOpened,
    ReconcileDone,
    RiskChanged,
    StreamChanged,
    TradeClosed,
)
from core.simulation.telegram_server import TOKEN
from tgbot.picture import HEIGHT, WIDTH, _values, equity_picture

OPENED = PositionOpened(
    trade_id="t1",
    symbol=SYMBOL,
    direction=Direction.LONG,
    quantity=Decimal("100"),
    entry_price=Decimal("2.0004"),
    leverage=5,
    stop_price=Decimal("1.9844"),
    stop_elapsed_ms=312.4,
    ladder=((Decimal("2.0124"), Decimal("50")), (Decimal("2.0244"), Decimal("30"))),
    risk=Decimal("1.6"),
    risk_pct=Decimal("0.4"),
    why="EMA 9 > 21 & ADX 27 > 20",
    at_ms=EPOCH_MS,
)
CLOSED = TradeClosed(
    trade_id="t1",
    symbol=SYMBOL,
    strategy="scalping_v1",
    direction=Direction.LONG,
    quantity=Decimal("100"),
    entry_price=Decimal("2.0004"),
    exit_price=Decimal("2.0160"),
    gross=Decimal("1.56"),
    fees=Decimal("0.08"),
    funding=Decimal("-0.01"),
    net=Decimal("1.47"),
    reason=ExitReason.TAKE_PROFIT,
    opened_ms=EPOCH_MS - 754_000,
    closed_ms=EPOCH_MS,
    unprotected_ms=312.0,
)


def critical(scene: Scene, key: str, text: str) -> Alert:
    return Alert(Severity.CRITICAL, key, text, scene.clock.now_ms())


def test_entry_and_exit_say_everything_in_one_message(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.dispatcher.publish(OPENED)
        await scene.wait(lambda: len(scene.api.shown) == 2)
        entry = scene.api.shown[1]
        for words in (
            "🧪 PAPER · 📈 LONG XRP",
            "size   100 XRP ×5",
            "worth  200.04 USDC",
            "stop   1.9844 (-0.80 %)\n       confirmed in 312 ms",
            "tp 2   2.0244 for 30",
            "risk   1.60 USDC (0.40 %)",
            "why: EMA 9 > 21 & ADX 27 > 20",
        ):
            assert words in entry.text
        assert entry.silent
        scene.dispatcher.publish(CLOSED)
        await scene.wait(lambda: len(scene.api.shown) == 3)
        for words in (
            "✅ XRP +1.47 USDC",
            "exit     take profit @ 2.016",
            "fees     -0.0800",
            "funding  -0.0100",
            "net      +1.4700 USDC",
            "held     12m 34s",
            "streak   1 win",
        ):
            assert words in scene.api.shown[2].text
        for number in range(2):
            loss = {"trade_id": f"l{number}", "net": Decimal(-1)}
            scene.dispatcher.publish(_changed(CLOSED, loss))
            await scene.clock.sleep(3)
        assert "streak   2 losses" in scene.api.shown[-1].text

    on_stage(tmp_path, story)


def _changed(fact: TradeClosed, changes: dict[str, object]) -> TradeClosed:
    fields = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return TradeClosed(**{**fields, **changes})


def test_alerts_link_to_their_playbooks(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        now = scene.clock.now_ms()
        scene.dispatcher.publish(StreamChanged("user-stream", StreamState.LIVE, "connected", now))
        scene.dispatcher.publish(
            StreamChanged("user-stream", StreamState.DEGRADED, "silent for 65 s", now)
        )
        await scene.wait(lambda: len(scene.api.shown) == 2)
        assert "📡 user-stream degraded" in scene.api.shown[1].text
        await scene.press(scene.api.shown[1], "📖 what to do")
        await scene.wait(lambda: len(scene.api.shown) == 3)
        assert "📖 Stream down" in scene.api.shown[2].text
        scene.dispatcher.publish(RiskChanged(True, "day_stop", "2 % lost today", now))
        scene.dispatcher.publish(ReconcileDone("timer", 2, 1, ("XRP stop placed again",), 40, now))
        await scene.wait(lambda: len(scene.api.shown) == 5)
        assert scene.api.shown[3].labels == ["📖 what to do"]
        assert "XRP stop placed again" in scene.api.shown[4].text

    on_stage(tmp_path, story)


def test_a_critical_alert_is_repeated_until_somebody_has_seen_it(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.dispatcher.publish(critical(scene, f"flatten:{SYMBOL}", "XRP has no stop"))
        told: list[int] = []
        for _ in range(3_600):
            await scene.clock.sleep(1)
            told = [s.at_ms for s in scene.api.shown if "XRP has no stop" in s.text]
        pauses = [round((b - a) / 60_000) for a, b in pairwise(told)]
        assert pauses == [5, 10, 20]
        last = scene.api.shown[-1]
        assert "nobody has acknowledged this for 35m" in last.text
        assert not last.silent
        assert "1 critical alerts" in (await scene.ask("/status"))[0].text
        assert await scene.press(last, "✅ seen") == "1 acknowledged"
        before = len(scene.api.shown)
        await scene.clock.sleep(7_200)
        assert len(scene.api.shown) == before

    on_stage(tmp_path, story)


def test_critical_alerts_survive_the_process(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.api.stop()  # it cannot be delivered
        scene.dispatcher.publish(critical(scene, "storage", "intent could not be written"))
        await scene.clock.sleep(2)
        await scene.phone.stop()
        await scene.clock.sleep(60)
        await scene.api.start()
        scene.phone = scene.build()
        await scene.phone.start()
        await scene.wait(lambda: any("could not be written" in s.text for s in scene.api.shown))
        shown = next(s for s in scene.api.shown if "could not be written" in s.text)
        await scene.press(shown, "✅ seen")
        await scene.clock.sleep(1)
        await scene.phone.stop()
        scene.phone = scene.build()
        assert scene.phone.desk.unacknowledged == ()
        await scene.phone.start()

    on_stage(tmp_path, story)


def test_ten_thousand_alerts_become_a_few_messages_and_no_critical_one_is_lost(
    tmp_path: Path,
) -> None:
    async def story(scene: Scene) -> None:
        scene.api.per_second = 1
        before = len(scene.api.shown)
        for number in range(10_000):
            if number % 100 == 0:
                fact = critical(scene, f"c{number}", f"critical {number} happened")
            else:
                severity = Severity.WARNING if number % 3 else Severity.INFO
                key, now = f"k{number % 700}", scene.clock.now_ms()
                fact = Alert(severity, key, f"text {number}", now)
            scene.dispatcher.publish(fact)
            if number % 1_000 == 0:
                await scene.clock.sleep(0.5)
        await scene.clock.sleep(200)
        shown = scene.api.shown[before:]
        everything = "\n".join(message.text for message in shown)
        assert all(f"critical {n} happened" in everything for n in range(0, 10_000, 100))
        assert len(shown) < 60
        assert scene.api.limited == 0
        assert scene.bot.outbox.counts.dropped == 0

    on_stage(tmp_path, story)


def test_repetitions_of_one_key_are_counted_not_repeated(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        for number in range(100):
            now = scene.clock.now_ms()
            scene.dispatcher.publish(Alert(Severity.WARNING, "key", f"text {number}", now))
            await scene.clock.sleep(1)
        await scene.clock.sleep(120)
        texts = [shown.text for shown in scene.api.shown[1:]]
        assert len(texts) == 3
        assert sum(int(text.partition("(×")[2].partition(")")[0] or 1) for text in texts) == 100

    on_stage(tmp_path, story)


def test_the_day_is_reported_at_midnight_with_the_equity_picture(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        for step in range(200):
            await scene.clock.sleep(300)
            if any("report of the day" in s.text for s in scene.api.shown):
                break
            assert step < 199
        picture, report = scene.api.shown[-2:]
        assert picture.photo.startswith(b"\x89PNG")
        assert "head 9f9f9f9f9f9f9f9f" in report.text
        assert report.at_ms % 86_400_000 < 360_000

    on_stage(tmp_path, story)


def test_no_secret_reaches_the_phone(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.desk.lines = (
            f"signed with {CANARY}",
            f"https://api/bot{TOKEN}/getMe",
            "TOKEN=abcdef1",
        )
        scene.desk.settings = lambda: f"SECRET {CANARY}"  # type: ignore[method-assign]  # a leak
        await scene.ask("/logs")
        await scene.ask("/config")
        scene.dispatcher.publish(critical(scene, "leak", f"refused: {CANARY} & token={TOKEN}"))
        scene.dispatcher.publish(replace_why(f"because {CANARY}"))
        await scene.clock.sleep(10)
        for shown in scene.api.shown:
            for secret in (CANARY, "canary", TOKEN, TOKEN[7:], "abcdef1"):
                assert secret not in shown.text
                assert secret not in shown.html
        assert sum("[redacted" in shown.text for shown in scene.api.shown) == 4
        assert [line for line in scene.log if TOKEN in line] == []

    on_stage(tmp_path, story)


def replace_why(why: str) -> PositionOpened:
    fields = {name: getattr(OPENED, name) for name in OPENED.__struct_fields__}
    return PositionOpened(**{**fields, "why": why})


def test_a_damaged_memory_is_said_and_a_full_disk_too(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        path = tmp_path / "telegram.json"
        path.write_text('{"version": 1, "paired": "everybody"}')
        await scene.open()
        assert "is damaged" in scene.log[0]
        await scene.started()
        path.unlink(missing_ok=True)
        path.mkdir()  # nothing can be written there now
        for number in range(3):
            scene.dispatcher.publish(critical(scene, f"k{number}", f"text {number}"))
            await scene.clock.sleep(5)
        assert sum("text" in shown.text for shown in scene.api.shown) == 3
        assert len([line for line in scene.log if "cannot be written" in line]) == 1
        await scene.close()

    on_stage(tmp_path, story, opened=False)


def test_the_picture_is_a_whole_png() -> None:
    points = [(EPOCH_MS + 60_000 * n, Decimal(400) + Decimal(n % 7) / 10) for n in range(500)]
    content = equity_picture(points)
    at, chunks = 8, {}
    while at < len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        data = content[at + 8 : at + 8 + size]
        (sum_,) = struct.unpack(">I", content[at + 8 + size : at + 12 + size])
        assert sum_ == zlib.crc32(name + data)
        chunks[name] = data
        at += 12 + size
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (WIDTH, HEIGHT)
    assert len(zlib.decompress(chunks[b"IDAT"])) == HEIGHT * (1 + WIDTH)
    flat = equity_picture([(EPOCH_MS, Decimal(0)), (EPOCH_MS, Decimal(0))])
    assert flat.startswith(b"\x89PNG")


@given(st.lists(st.decimals(-(10**9), 10**9, places=4), min_size=2, max_size=30))
def test_the_values_at_the_left_are_round_and_enclose_the_curve(values: list[Decimal]) -> None:
    ticks = _values(values)
    assert ticks[0] <= min(values) <= max(values) <= ticks[-1]
    assert 2 <= len(ticks) <= 7
    step = ticks[1] - ticks[0]
    assert step.normalize().as_tuple().digits in ((1,), (2,), (5,))
    assert all(b - a == step for a, b in pairwise(ticks))


def test_a_group_hears_and_does_not_command(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.api.people.add(-100)
        scene.dispatcher.publish(critical(scene, "storage", "disk is full"))
        await scene.wait(lambda: sum("disk is full" in s.text for s in scene.api.shown) == 2)
        group = next(s for s in scene.api.shown if s.chat_id == -100)
        person = next(s for s in scene.api.shown if s.chat_id == ANN and "disk" in s.text)
        assert group.labels == []
        assert person.labels == ["✅ seen", "📖 what to do"]
        scene.api.say(ANN, "/pause", chat={"id": -100, "type": "group", "title": "all"})
        scene.api.press(ANN, replace(person, chat_id=-100), "✅ seen")
        await scene.ask("/ping")
        assert scene.desk.done == []

    on_stage(tmp_path, story, TELEGRAM_CHAT_ID=f"{ANN}, -100")
