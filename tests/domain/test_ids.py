"""Client ids: deterministic, valid on the exchange, recognisable without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.enums import Purpose
from core.ids import (
    MAX_LENGTH,
    PATTERN,
    child_intent_id,
    entry_intent_id,
    make_client_id,
    order_client_id,
    parse_client_id,
)

TEXT = st.text(min_size=1, max_size=40)


@given(
    TEXT,
    TEXT,
    st.sampled_from([p for p in Purpose if p is not Purpose.FOREIGN]),
    st.integers(0, 9),
    TEXT,
    st.integers(0, 1295),
)
def test_every_order_id_fits_the_exchange_and_tells_its_parts(
    instance: str, strategy: str, purpose: Purpose, level: int, intent: str, attempt: int
) -> None:
    made = order_client_id(instance, strategy, purpose, level, intent, attempt)
    assert PATTERN.match(made)
    assert len(made) <= MAX_LENGTH
    assert made == order_client_id(instance, strategy, purpose, level, intent, attempt)
    parts = parse_client_id(made)
    assert parts is not None
    assert (parts.purpose, parts.level, parts.attempt) == (purpose, level, attempt)


@given(st.integers(0, 1294))
def test_each_attempt_has_its_own_id(attempt: int) -> None:
    first, second = (
        order_client_id("bot1", "scal", Purpose.STOP, 0, "x", n) for n in (attempt, attempt + 1)
    )
    assert first != second


@pytest.mark.parametrize("foreign", ["web_abc", "x-cvBPrNm9abc", "", "ucb-", "ucb-a-b-zz0-x-0"])
def test_foreign_ids_are_not_ours(foreign: str) -> None:
    assert parse_client_id(foreign) is None


def test_a_decision_has_one_identity_and_its_neighbours_others() -> None:
    args = ("bot1", "scalping_v1", "XRP/USDC:USDC", "15m", 1_700_000_000_000, "LONG")
    assert entry_intent_id(*args) == entry_intent_id(*args)
    later = (*args[:4], args[4] + 900_000, args[5])
    assert entry_intent_id(*args) != entry_intent_id(*later)
    assert child_intent_id("t", Purpose.STOP, 0, 0) != child_intent_id("t", Purpose.STOP, 0, 1)


def test_the_kept_call_form_never_makes_an_id_the_exchange_refuses() -> None:
    # The early sketch joined its parts with "|", which the exchange refuses, and passed 36 signs.
    made = make_client_id("prod", "scalping_v1", "1000SHIB/USDC:USDC", "BUY", 1_700_000_000_000)
    assert PATTERN.match(made)
    assert "|" not in made


def test_a_retry_in_a_later_second_keeps_its_id() -> None:
    # The early sketch put the second of sending into the id, so that a retry made a second order.
    assert make_client_id("prod", "s", "XRPUSDC", "BUY") == make_client_id(
        "prod", "s", "XRPUSDC", "BUY"
    )


def test_level_and_attempt_are_bounded() -> None:
    with pytest.raises(ValueError, match="level"):
        order_client_id("b", "s", Purpose.TAKE_PROFIT, 10, "x", 0)
    with pytest.raises(ValueError, match="attempt"):
        order_client_id("b", "s", Purpose.TAKE_PROFIT, 1, "x", 1296)
