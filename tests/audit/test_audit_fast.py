"""The fast way to encode a record gives the documented bytes and hides as much, or is not taken."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from audit_builders import SetClock, records_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.audit_logger import AuditLogger
from core.kernel.redaction import Redactor
from core.storage import audit_chain
from core.storage.audit_chain import TimeText, are_flat, encode, encode_fast, texts_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FLAT = st.one_of(st.none(), st.booleans(), st.integers(), TEXT)
TREE = st.recursive(
    FLAT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)
ODD = st.recursive(
    FLAT | st.floats() | st.decimals() | st.binary() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.one_of(st.text(), st.integers(), st.booleans()), inner, max_size=3)
    ),
)
SECRET = "Kq7vRt2LmXz9BnHs4WcDyPf8GjQa3EuKq7vRt2LmXz9BnHs4WcDyPf8GjQa3Eu1"


def documented(record: Mapping[str, object]) -> bytes:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


@given(st.dictionaries(TEXT, TREE))
def test_what_the_fast_way_writes_are_the_documented_bytes(payload: dict[str, object]) -> None:
    fast = encode_fast(payload)  # type: ignore[arg-type]  # trees of JSON
    assert fast == documented(payload)
    assert encode(payload) == fast  # type: ignore[arg-type]  # as above


@given(st.dictionaries(st.text(), ODD, max_size=4))
def test_what_is_taken_for_plain_is_plain(payload: dict[str, object]) -> None:
    """Floats, Decimals, keys that are no text, lone surrogates: none of them slips through."""
    if texts_of(payload) is not None:  # type: ignore[arg-type]  # anything may be offered
        assert encode_fast(payload) == documented(payload)  # type: ignore[arg-type]  # as above


@given(st.dictionaries(st.from_regex("[a-z]+", fullmatch=True), TREE))
def test_plain_trees_take_the_fast_way_unless_text_is_escaped(payload: dict[str, object]) -> None:
    texts = texts_of(payload)  # type: ignore[arg-type]  # trees of JSON
    assert (texts is None) == (b"\\" in documented(payload))


def test_fractions_and_odd_names_are_not_plain() -> None:
    odd: list[object] = [0.5, float("nan"), 1e22, Decimal(1), {1: "x"}, (1,), {"x"}, b"x", "\ud800"]
    for value in odd:
        assert texts_of({"x": [value]}) is None  # type: ignore[list-item]  # anything may come
        assert not are_flat([value]) or value == "\ud800"


@given(st.integers(0, 4_102_444_800_000_000), st.integers(-2_000_000, 2_000_000))
def test_time_stamps_have_six_decimals(us: int, step: int) -> None:
    said = TimeText()
    for moment in (us, max(us + step, 0), us):
        exact = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
        assert said.of(moment) == exact.isoformat(timespec="microseconds")


@settings(deadline=None, max_examples=60)
@given(
    payloads=st.lists(st.dictionaries(TEXT, TREE, max_size=3), min_size=1, max_size=4),
    data=st.data(),
)
def test_no_depth_hides_a_secret(
    payloads: list[dict[str, object]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """By value anywhere, by name at any depth; also right after harmless records of that shape."""
    folder = tmp_path_factory.mktemp("audit")
    log = AuditLogger(folder / "audit.jsonl", redactor=Redactor([SecretStr(SECRET)]))
    for payload in payloads:
        log.write({"action": "x", **payload})  # type: ignore[dict-item]  # trees of JSON
        where = data.draw(st.sampled_from(["value", "name", "under a name", "inside text"]))
        planted: object = {
            "value": SECRET,
            "name": {SECRET: 1},
            "under a name": {"apiSecret": "hunter2-hunter2"},
            "inside text": f"before {SECRET} after",
        }[where]
        for _ in range(data.draw(st.integers(0, 3))):
            planted = data.draw(st.sampled_from([[planted], {"inner": planted}]))
        log.write({"action": "x", **payload, "planted": planted})  # type: ignore[dict-item]  # as above
    log.close()
    raw = (folder / "audit.jsonl").read_bytes()
    assert SECRET.encode() not in raw
    assert b"hunter2" not in raw
    assert raw.count(b"[redacted") >= len(payloads)


def test_a_secret_that_is_learnt_later_is_hidden_from_then_on(tmp_path: Path) -> None:
    redactor = Redactor()
    log = AuditLogger(tmp_path / "audit.jsonl", redactor=redactor, clock=SetClock())
    log.write({"action": "x", "word": "a-harmless-word"})
    redactor.register(SecretStr("a-harmless-word"))
    log.write({"action": "x", "word": "a-harmless-word"})
    log.close()
    assert [r["word"] for r in records_of(tmp_path / "audit.jsonl")] == [
        "a-harmless-word",
        "[redacted]",
    ]


def test_ordinary_records_take_the_fast_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow way is right for everything; that the common records need it not is the point."""
    monkeypatch.setattr("core.audit_logger.encode", audit_chain.encode_fast)
    monkeypatch.setattr(AuditLogger, "_fields", None)
    log = AuditLogger(tmp_path / "audit.jsonl", redactor=Redactor([SecretStr(SECRET)]))
    log.write({"action": "order.live", "client_id": "ucb-bot1-1", "n": 1, "why": "EMA über 50"})
    log.write({"action": "decision", "checks": [{"name": "spread", "numbers": {"limit": "0.1"}}]})
    log.close()
    assert len(records_of(tmp_path / "audit.jsonl")) == 2
