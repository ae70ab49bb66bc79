"""The report as text, JSON and one page that stands alone."""

import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from report_builders import HOUR_MS, START_MS, closed, many

from core.domain.position import Trade
from core.observe.analytics import DAY_MS, analyse
from core.observe.charts import Column, Dot, bars, columns, histogram, line_chart
from core.observe.report import Report

_VOID = {"meta", "rect", "line", "path", "br"}


class Balanced(HTMLParser):
    """Fails on a tag that is closed by another one; collects what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in _VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.stack.pop() == tag


def report(trades: list[Trade], days: int = 1, **more: str) -> Report:
    return Report(
        title=more.get("title", "Daily report"),
        venue="paper",
        quote="USDC",
        start_ms=START_MS,
        end_ms=START_MS + days * DAY_MS,
        performance=analyse(trades, Decimal(400)),
        trades=trades,
        build="1.0 (abc)",
        audit_head="f" * 64 + "/12",
    )


def check_page(page: str) -> None:
    parser = Balanced()
    parser.feed(page)
    assert parser.stack == []
    assert parser.loads == []
    assert "<script" not in page
    assert "nan" not in re.sub("<style>.*?</style>", "", page).lower().replace("financial", "")


def test_text_has_the_days_figures() -> None:
    trades = [closed("4.5", fees="0.2"), closed("-3", number=2, symbol="ADA/USDC:USDC")]
    text = report(trades).text()
    assert "2025-06-16" in text
    assert "net +1.50 USDC (+0.38 %)" in text
    assert "trades 2, won 1 (50.00 %); profit factor 1.50" in text
    assert "best XRP +4.50" in text
    assert "worst ADA -3.00" in text
    assert "audit head ffff" in text


def test_json_is_exact() -> None:
    record = report([closed("0.1", fees="0.02")]).record()
    assert json.loads(json.dumps(record))["net"] == "0.1"
    assert record["gross"] == "0.12"


def test_page_stands_alone_and_hides_nothing_hostile() -> None:
    trades = [closed("1", symbol="<script>alert(1)</script>/USDC:USDC")]
    page = report(trades, title="A <b>day</b>").html()
    check_page(page)
    assert "&lt;b&gt;day" in page


def test_a_day_without_trades_is_a_page_too() -> None:
    empty = report([])
    check_page(empty.html())
    assert "trades 0" in empty.text()


def test_ten_thousand_trades() -> None:
    trades = many(10_000, step_ms=60_000)
    page = report(trades, 8).html()
    check_page(page)
    assert len(page) < 400_000, "pictures are reduced to what a screen can show"


@settings(max_examples=60, deadline=None)
@example(values=[2.225073858507203e-309])
@given(st.lists(st.floats(-1e9, 1e9), max_size=40))
def test_pictures_take_any_numbers(values: list[float]) -> None:
    dots = [Dot(START_MS + number * 60_000, value) for number, value in enumerate(values)]
    for picture in (
        line_chart(dots, title="a", unit=""),
        line_chart([Dot(d.at_ms, -abs(d.value)) for d in dots], title="a", unit="", falling=True),
        histogram(values, title="b", unit=" R"),
        columns([Column("", value, "t", value > 0) for value in values], title="d"),
        bars([("x", value, "y") for value in values], title="c"),
    ):
        check_page(picture)


def test_a_day_without_trades_is_one_quiet_panel() -> None:
    page = report([]).html()
    assert "No trade was closed in this period." in page
    assert "no trades to draw" not in page
    assert "+0.00" not in page


def test_equity_goes_in_steps_to_the_end_of_the_period_at_round_hours() -> None:
    page = report(many(3, step_ms=4 * HOUR_MS)).html()
    line = page.split('class="stroke line" d="M')[1].split('"')[0]
    points = [tuple(map(float, point.split(","))) for point in line.split("L")]
    moves = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points)]
    assert all(not dx or not dy for dx, dy in moves)
    assert moves[-2][0] > 0
    assert ">04:00<" in page


def test_counts_of_trades_are_whole_numbers() -> None:
    picture = histogram([-0.6, -0.6, 0.6], title="R", unit=" R")
    assert ">1.5<" not in picture
    assert ">2<" in picture
