"""The benchmark measures what it says: real effects behind its samples, and honest arithmetic."""

import json
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.enums import ExecutionType, OrderStatus, Side
from core.domain.facts import OrderUpdate
from core.exchange.codec import UserStreamCodec
from core.exchange.symbols import SymbolMap
from core.kernel.loops import live_loop_factory, run
from core.storage.audit_verify import verify
from tools import benchmark
from tools.benchmarks import (
    absorb,
    confirm,
    decide,
    evaluate,
    event,
    exchange,
    history,
    phone,
    protect,
    reconcile,
    remember,
    rest,
)
from tools.benchmarks.child import Child
from tools.benchmarks.episodes import PRICE, QUANTITY, Wiring, open_episodes
from tools.benchmarks.figures import (
    Effort,
    Row,
    Section,
    SectionFailed,
    each_us,
    quantile,
    rate,
    row,
)
from tools.benchmarks.frames import order_filled, order_new, order_part_filled
from tools.benchmarks.render import as_json, as_text, number
from tools.benchmarks.still_venue import never_answers

QUICK = Effort(quick=True)
MACHINE = {"date": "2026-01-01", "python": "CPython"}


# --- arithmetic ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0, 1))
def test_quantile_is_the_smallest_value_that_covers_the_share(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    below = [value for value in values if value < found]
    if below and share > 0:
        assert len(below) < share * len(values) + 1e-9


def test_row_tells_spread_of_rounds_and_only_the_quantiles_it_can() -> None:
    few = row("few", "us", [[1.0, 2.0, 9.0]])
    assert (few.median, few.p90, few.p99, few.rounds, few.samples) == (2.0, None, None, None, 3)
    many = row("many", "us", [[float(n) for n in range(60)], [100.0] * 60], goal=5.0)
    assert (many.samples, many.rounds, many.goal) == (120, (29.0, 100.0), 5.0)
    assert many.p90 == many.p99 == 100.0


def test_row_without_samples_is_a_failure_and_not_a_zero() -> None:
    with pytest.raises(SectionFailed, match="empty: nothing was measured"):
        row("empty", "us", [[], []])


def test_ratio_and_rate() -> None:
    fast, slow = row("fast", "us", [[2.0]]), row("slow", "us", [[8.0]])
    assert slow.against(fast, "fast").ratios == (("fast", 4.0),)
    assert rate("speed", [[250.0, 250.0], [500.0, 500.0]]).rounds == (2_000.0, 4_000.0)


def test_each_call_is_one_sample_in_order() -> None:
    seen: list[int] = []
    samples = each_us(seen.append, [3, 1, 2])
    assert seen == [3, 1, 2]
    assert len(samples) == 3
    assert all(sample >= 0 for sample in samples)


# --- output --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.034, "0.03"), (9.456, "9.46"), (12.34, "12.3"), (123_456.7, "123,457")],
)
def test_numbers_have_three_digits_that_matter(value: float | None, text: str) -> None:
    assert number(value) == text


def test_table_is_aligned_and_says_what_was_not_measured() -> None:
    rows = (
        Row("a", "us", 1.5, samples=10),
        Row("a longer name", "ms", 1_234.0, 2.0, 3.0, 4_000, (1.0, 2.0), 9.0, (("a", 0.5),)),
    )
    text = as_text(MACHINE, [Section("s", "title", rows), Section("t", "x", failure="no port")])
    head, first, second = text.split("s: title\n")[1].splitlines()[:3]
    assert head.index("median") + len("median") == first.index("1.50") + len("1.50")
    assert second.endswith("4,000  <= 9.00  0.50 x a")
    assert "NOT MEASURED: no port" in text
    assert text.startswith("date    2026-01-01\npython  CPython\n")


def test_json_keeps_every_number() -> None:
    section = Section("s", "title", (Row("a", "us", 1.23456, ratios=(("b", 2.0),)),), ("note",))
    report = json.loads(as_json(MACHINE, [section]))
    assert report["machine"] == MACHINE
    assert report["sections"][0]["rows"][0]["median"] == 1.23456
    assert report["sections"][0]["rows"][0]["ratios"] == [["b", 2.0]]
    assert report["sections"][0]["notes"] == ["note"]


# --- command -------------------------------------------------------------------------------------


def test_a_section_that_fails_is_told_and_does_not_stop_the_others() -> None:
    def broken(_: Effort) -> Section:
        raise SectionFailed("the port is taken")

    found = benchmark.run_section("x", QUICK, {"x": ("title", broken)})
    assert (found.title, found.failure, found.rows) == ("title", "the port is taken", ())


def test_command_prints_json_of_the_chosen_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--json", "--quick", "--section", "evaluate"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [section["name"] for section in report["sections"]] == ["evaluate"]
    assert {"date", "machine", "python", "loop", "libraries", "build"} <= set(report["machine"])


def test_unknown_section_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(["--section", "nothing"])
    assert stopped.value.code == 2
    assert "start" in capsys.readouterr().err


# --- children ------------------------------------------------------------------------------------


def test_child_is_timed_to_its_ready_line_and_stopped() -> None:
    script = "import time; print('early', flush=True); print('x ready: 3', flush=True); input()"
    with Child(["-c", script.replace("input()", "time.sleep(60)")], "ready:") as child:
        took, line = child.ready(30.0)
        usage = child.usage()
    assert line == "x ready: 3"
    assert took > 0
    if sys.platform == "linux":
        assert usage is not None
        assert 1 < usage.rss_mb < 100
    assert child.stop() != 0


def test_child_that_dies_first_is_told_with_its_last_words() -> None:
    script = "import sys; print('no port left'); sys.exit(3)"
    with (
        Child(["-c", script], "ready:") as child,
        pytest.raises(SectionFailed, match="ended with code 3, last words: no port left"),
    ):
        child.ready(30.0)


def test_child_sees_no_settings_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", "operator")
    script = "import os; print('ready', os.environ.get('BINANCE_API_KEY'), os.environ['GIVEN'])"
    with Child(["-c", script], "ready", {"GIVEN": "yes"}) as child:
        assert child.ready(30.0)[1] == "ready None yes"


# --- what is behind the samples ------------------------------------------------------------------


def test_frames_are_read_as_what_they_say() -> None:
    codec = UserStreamCodec(SymbolMap())
    new = codec.decode(order_new("XRPUSDC", "c1", 5, QUANTITY, 1))
    fill = codec.decode(order_filled("XRPUSDC", "c1", 5, QUANTITY, PRICE, 77))
    part = codec.decode(
        order_part_filled("XRPUSDC", "c1", 5, QUANTITY, (Decimal(1), Decimal(3)), PRICE, 78)
    )
    assert isinstance(new, OrderUpdate)
    assert isinstance(fill, OrderUpdate)
    assert isinstance(part, OrderUpdate)
    assert (new.symbol, new.side, new.status) == ("XRP/USDC:USDC", Side.BUY, OrderStatus.LIVE)
    assert new.trade_id == 0
    assert (fill.status, fill.execution) == (OrderStatus.FILLED, ExecutionType.TRADE)
    assert (fill.trade_id, fill.last_quantity, fill.last_price) == (77, QUANTITY, PRICE)
    assert part.status is OrderStatus.PARTIALLY_FILLED
    assert (part.last_quantity, part.cumulative_quantity) == (Decimal(1), Decimal(3))


def test_a_measured_fill_is_a_position_a_row_and_two_audit_lines(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_episodes(tmp_path, Wiring(3, False, True, never_answers)) as episodes:
            episodes.say_sent()
            for number, entry in enumerate(episodes.entries, start=1):
                client_id = entry.record.client_id
                episodes.receive(order_new(entry.wire, client_id, number, QUANTITY, number))
                assert entry.record.status is OrderStatus.LIVE
                episodes.receive(
                    order_filled(entry.wire, client_id, number, QUANTITY, PRICE, number)
                )
                assert entry.record.status is OrderStatus.FILLED
            episodes.check(QUANTITY)
            with pytest.raises(SectionFailed, match="0 of 3 entries became"):
                episodes.check(QUANTITY + 1)

    run(story(), loop_factory=live_loop_factory())
    log = tmp_path / "audit.jsonl"
    actions = [json.loads(line)["action"] for line in log.read_text().splitlines()]
    assert actions.count("order.fill") == 3
    assert actions.count("order.filled") == 3
    assert verify([log]).bad is None


def test_a_fill_that_changes_nothing_is_not_accepted_as_a_measurement(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_episodes(tmp_path, Wiring(2, False, False, never_answers)) as episodes:
            episodes.check(QUANTITY)

    with pytest.raises(SectionFailed, match="0 of 2 entries became"):
        run(story(), loop_factory=live_loop_factory())


def _names(section: Section) -> list[str]:
    assert section.failure == ""
    assert all(each.median > 0 for each in section.rows)
    return [each.name for each in section.rows]


def test_event_section() -> None:
    names = _names(event.measure(QUICK))
    assert "fill, whole path" in names
    assert "order accepted (NEW), whole path" in names
    assert "last tenth of 4,000 partial fills" in names


def test_evaluate_section() -> None:
    section = evaluate.measure(QUICK)
    assert "evaluate 200 symbols, all of them" in _names(section)
    assert not section.notes[0].startswith("0 of")


def test_protect_section() -> None:
    section = protect.measure(QUICK)
    assert len(_names(section)) == 2
    assert [each.samples for each in section.rows] == [20, 20]


def test_confirm_section_ends_with_an_accepted_stop() -> None:
    whole, known = confirm.measure(QUICK).rows
    assert (whole.samples, known.samples) == (5, 5)
    assert 0 < known.median < whole.median


def test_reconcile_section_counts_what_the_exchange_saw() -> None:
    times, requests, weight = reconcile.measure(QUICK).rows
    assert times.median > 0
    assert requests.median == 6
    assert weight.median == 100


def test_rest_section_reaches_the_exchange_with_all_three_clients() -> None:
    section = rest.measure(QUICK)
    assert len(_names(section)) == 6
    assert {each.samples for each in section.rows} == {20}


def test_the_exchange_is_measured_with_effects() -> None:
    section = exchange.measure(QUICK)
    assert [(each.name, each.unit) for each in section.rows] == [
        ("orders by aiohttp and HMAC", "1/s"),
        ("orders by ccxt create_order", "1/s"),
        ("messages to 10 sockets", "1/s"),
        ("memory of an open order", "B"),
        ("a simulated minute of 35 symbols", "ms"),
    ]
    assert all(each.median > 0 for each in section.rows)


def test_decide_section_sends_real_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "_MINUTES", 2)
    section = decide.measure(QUICK)
    verdicts, approved, requests = section.rows
    assert verdicts.name.startswith("first candle of a close to the last of ")
    assert 0 < requests.samples <= approved.samples
    assert approved.median < requests.median


def test_absorb_section_counts_what_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absorb, "_TIMES", 1)
    section = absorb.measure(QUICK)
    absorbed, first, last, evaluated, memory = section.rows
    assert absorbed.median > 500
    assert first.samples == last.samples > 5
    assert evaluated.samples > 1
    assert 4 < memory.median < 12


def test_history_section_trades() -> None:
    section = history.measure(QUICK)
    assert len(section.rows) == len(section.notes) == 3
    assert all(" 0 trades" not in note for note in section.notes)


def test_remember_section_reads_back_what_it_wrote() -> None:
    names = _names(remember.measure(QUICK))
    assert "100 durable records at once, each" in names
    assert "report over 200 trades" in names


def test_phone_counts_what_a_burst_becomes() -> None:
    messages, criticals, cost = phone._burst(QUICK)
    assert messages.median < 20
    assert criticals.median == 10
    assert cost.samples == 1_000
