"""Messages: whole markup in every part, nothing lost, nothing too long."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.enums import Venue
from core.simulation.telegram_server import visible_text
from tgbot.render import Block, Card, badge, money, percent, price, signed, span, table

LINES = st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=120), max_size=30)


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(st.lists(st.tuples(LINES, st.booleans()), max_size=5), st.integers(80, 600))
def test_every_part_is_whole_and_short_enough(
    blocks: list[tuple[list[str], bool]], limit: int
) -> None:
    card = Card("<head> & co", tuple(Block(tuple(lines), mono) for lines, mono in blocks))
    parts = card.parts(limit)
    shown = [visible_text(part) for part in parts]  # raises when the markup is broken
    assert all(len(part.encode("utf-16-le")) // 2 <= limit for part in parts)
    whole = squeezed("".join(shown))
    if "more parts are not shown" not in shown[-1]:
        assert whole == squeezed(card.plain)


def test_a_table_keeps_its_columns() -> None:
    card = Card("x", (table([("a", "1"), ("long", "2")]),))
    assert card.parts() == ("<b>x</b>\n<pre>a     1\nlong  2</pre>",)


@pytest.mark.parametrize(
    ("venue", "feed", "words"),
    [
        (Venue.PAPER, "replay", "🧪 PAPER"),
        (Venue.PAPER, "synthetic", "🧪 PAPER · SYNTHETIC PRICES"),
        (Venue.TESTNET, "testnet", "🟡 TESTNET"),
        (Venue.PROD, "production", "🔴 LIVE"),
    ],
)
def test_the_first_words_say_where_orders_go(venue: Venue, feed: str, words: str) -> None:
    assert badge(venue, feed) == words


def test_numbers() -> None:
    assert money(Decimal("12345.675")) == "12,345.68"
    assert signed(Decimal("0.5")) == "+0.50"
    assert signed(Decimal("-0.5")) == "-0.50"
    assert percent(Decimal("0.0075")) == "0.75 %"
    assert price(Decimal("64231.4567")) == "64231.5"
    assert price(Decimal("0.00012345678")) == "0.000123457"
    assert [span(ms) for ms in (8_000, 750_000, 3_840_000, 183_600_000)] == [
        "8s",
        "12m 30s",
        "1h 04m",
        "2d 03h",
    ]
