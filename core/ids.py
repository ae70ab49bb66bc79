"""Deterministic identifiers (floor 0).

A client order id is a pure function of the intent and the attempt (INV-02). It has at most 36
characters of the exchange's alphabet `^[\\.A-Z\\:/a-z0-9_-]{1,36}$` and carries instance, strategy
and purpose, so that an order of ours is recognised with an empty database.

Layout: `ucb-<instance>-<strategy>-<purpose><level>-<digest>-<attempt>`, for example
`ucb-bot1-scv1-sl0-k3jq0p5m2x8d-0`.
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from core.domain.enums import Purpose

PREFIX = "ucb"
MAX_LENGTH = 36
PATTERN = re.compile(r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
_PARTS = re.compile(
    r"^ucb-(?P<instance>[a-z0-9]{1,4})-(?P<strategy>[a-z0-9]{1,4})-(?P<purpose>en|sl|tp|fl)"
    r"(?P<level>\d)-(?P<digest>[a-z2-7]{12})-(?P<attempt>[0-9a-z]{1,2})$"
)
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class ClientIdParts:
    """What an order of ours tells about itself."""

    instance: str
    strategy: str
    purpose: Purpose
    level: int
    digest: str
    attempt: int


def _digest(text: str, length: int) -> str:
    raw = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(raw).decode().lower()[:length]


def tag(text: str, fallback: str = "x") -> str:
    """Up to four lower-case letters or digits that stand for `text` in an id."""
    clean = re.sub(r"[^a-z0-9]", "", text.lower())
    return clean[:4] or fallback


def instance_tag(instance: str) -> str:
    """Tag of an instance id; a long or odd id is hashed so that two instances do not share one."""
    clean = instance.lower()
    if re.fullmatch(r"[a-z0-9]{1,4}", clean):
        return clean
    return _digest(clean, 4)


def entry_intent_id(
    instance: str, strategy: str, symbol: str, timeframe: str, candle_open_ms: int, direction: str
) -> str:
    """Identity of a decision: the same candle asked twice is the same intent."""
    text = f"{instance}|{strategy}|{symbol}|{timeframe}|{candle_open_ms}|{direction}"
    return "e" + _digest(text, 20)


def child_intent_id(trade_id: str, purpose: Purpose, level: int, generation: int) -> str:
    """Identity of the n-th stop, take-profit leg or flatten of one episode."""
    return purpose.value + _digest(f"{trade_id}|{purpose}|{level}|{generation}", 20)


def order_client_id(
    instance: str, strategy_tag: str, purpose: Purpose, level: int, intent_id: str, attempt: int
) -> str:
    """Client id of one attempt. Raises ValueError for a level or attempt outside its range."""
    if not 0 <= level <= 9:
        raise ValueError(f"level {level} is outside 0..9")
    if not 0 <= attempt < 36 * 36:
        raise ValueError(f"attempt {attempt} is outside 0..1295")
    count = (
        _BASE36[attempt % 36] if attempt < 36 else _BASE36[attempt // 36] + _BASE36[attempt % 36]
    )
    return (
        f"{PREFIX}-{instance_tag(instance)}-{tag(strategy_tag)}-{purpose.value}{level}"
        f"-{_digest(intent_id, 12)}-{count}"
    )


def parse_client_id(client_id: str) -> ClientIdParts | None:
    """Parts of an id we made, or None when it is not ours."""
    match = _PARTS.match(client_id)
    if match is None:
        return None
    return ClientIdParts(
        instance=match["instance"],
        strategy=match["strategy"],
        purpose=Purpose(match["purpose"]),
        level=int(match["level"]),
        digest=match["digest"],
        attempt=int(match["attempt"], 36),
    )


def make_client_id(
    env: str, strat: str, symbol: str, side: str, ts_ms: int | None = None, nonce: str = "0"
) -> str:
    """Call form kept for operators' scripts: deterministic in its arguments, valid on the exchange.

    `ts_ms` belongs to the decision, not to the moment of sending; without it the id depends on the
    other arguments only, so a retry never changes it.
    """
    text = f"{env}|{strat}|{symbol}|{side}|{ts_ms if ts_ms is not None else ''}|{nonce}"
    return f"{tag(env)}-{tag(strat)}-{tag(side)}-{_digest(text, 16)}"
