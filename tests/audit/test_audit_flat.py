"""The fast way to encode a record gives the documented bytes, or is not taken."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.storage.audit_chain import encode, encode_flat, is_flat, timestamp

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False), st.binary()
)


@given(st.dictionaries(st.text(), SCALARS))
def test_flat_bytes_are_the_documented_bytes(payload: dict[str, object]) -> None:
    if is_flat(payload):  # type: ignore[arg-type]  # anything may be offered
        assert encode_flat(payload) == encode(payload)  # type: ignore[arg-type]  # as above


@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=127)),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**50), 2**50),
            st.text(st.characters(max_codepoint=127)),
        ),
    )
)
def test_ascii_scalars_take_the_fast_way(payload: dict[str, bool | int | str | None]) -> None:
    assert is_flat(payload)
    assert encode_flat(payload) == encode(payload)


def test_lists_floats_and_other_alphabets_do_not() -> None:
    for value in ([1], {"a": 1}, 0.5, "é", 2**60):
        assert not is_flat({"x": value})
    assert not is_flat({"é": 1})


@given(st.integers(0, 4_102_444_800_000_000))
def test_time_stamps_have_six_decimals(us: int) -> None:
    exact = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    assert timestamp(us) == exact.isoformat(timespec="microseconds")
