"""From an exchange answer, or its absence, to the reaction it asks for (floor 2a).

Told apart by the exchange's numeric code, body text and HTTP status, never by a library's class
(ccxt's classes differ by host, and 503 comes in three kinds that only the text separates).
For a mutating call everything that is not provably a no is an unknown outcome (INV-04).
Texts carry the exchange's message and a hint for the operator, never a URL, header or signature.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum

import aiohttp

from core.domain.errors import (
    CredentialsDead,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RetryLater,
    VenueError,
)

TEXT_LIMIT = 240
CLOCK_CODES = frozenset({-1021, -5028})
UNKNOWN_ORDER = -2011
NO_SUCH_ORDER = -2013
NO_SUCH_LISTEN_KEY = -1125
MARGIN_TYPE_UNCHANGED = -4046

_BAN_PAUSE_MS = 120_000
_LIMIT_PAUSE_MS = 10_000
_WAF_PAUSE_MS = 60_000
_SECRETS = re.compile(r"(?i)(signature|listenKey|apiKey|timestamp)=[^&\s\"']+")
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")


class Reaction(StrEnum):
    """What a code asks for. UNKNOWN means RETRY on a call that changes nothing."""

    REFUSED = "refused"
    RETRY = "retry later"
    RATE = "rate limited"
    UNKNOWN = "outcome unknown"
    DEAD = "credentials dead"


@dataclass(frozen=True, slots=True)
class Row:
    """Reaction to one code and, where it helps, what the operator can do about it."""

    reaction: Reaction
    hint: str = ""


_NO, _LATER, _RATE, _UNKNOWN, _DEAD = (
    Reaction.REFUSED,
    Reaction.RETRY,
    Reaction.RATE,
    Reaction.UNKNOWN,
    Reaction.DEAD,
)

TABLE: dict[int, Row] = {
    # general and network
    -1000: Row(_UNKNOWN),
    -1001: Row(_LATER, "internal error of the exchange, not executed"),
    -1003: Row(_RATE, "too many requests from this address"),
    -1006: Row(_UNKNOWN),
    -1007: Row(_UNKNOWN, "the exchange's backend did not answer in time"),
    -1008: Row(_LATER, "the exchange is overloaded; reduce-only orders are exempt"),
    -1013: Row(_NO),
    -1015: Row(_RATE, "too many new orders"),
    -1016: Row(_LATER, "service not available, possibly maintenance"),
    -1021: Row(_LATER, "our clock differs from the exchange's; it is measured again"),
    -1022: Row(_DEAD, "the signature is not valid: check that the secret belongs to the key"),
    # request
    -1100: Row(_NO),
    -1101: Row(_NO),
    -1102: Row(_NO),
    -1103: Row(_NO),
    -1104: Row(_NO),
    -1105: Row(_NO),
    -1106: Row(_NO, "reduceOnly and positionSide differ between one-way and hedge mode"),
    -1109: Row(_NO),
    -1110: Row(_NO),
    -1111: Row(_NO, "price or quantity has more decimals than the contract allows"),
    -1114: Row(_NO),
    -1115: Row(_NO),
    -1116: Row(_NO),
    -1117: Row(_NO),
    -1118: Row(_NO),
    -1119: Row(_NO),
    -1120: Row(_NO),
    -1121: Row(_NO, "the contract is not listed on this venue"),
    -1122: Row(_NO, "the contract is not trading"),
    NO_SUCH_LISTEN_KEY: Row(_NO, "the user stream's key is gone; a new one is created"),
    -1127: Row(_NO),
    -1128: Row(_NO),
    -1130: Row(_NO),
    -1136: Row(_NO),
    # orders and key
    -2010: Row(_NO),
    UNKNOWN_ORDER: Row(_NO, "the order is not open any more"),
    -2012: Row(_NO),
    NO_SUCH_ORDER: Row(_NO),
    -2014: Row(_DEAD, "the API key is malformed: copy it again"),
    -2015: Row(
        _DEAD, "the key is wrong, lacks futures permission, or this address is not on its IP list"
    ),
    -2017: Row(_DEAD, "API keys are locked on this account"),
    -2018: Row(_NO, "balance is insufficient"),
    -2019: Row(_NO, "free margin does not cover the order: lower the size or add funds"),
    -2020: Row(_NO),
    -2021: Row(_NO, "the trigger is already passed"),
    -2022: Row(_NO, "there is no position left for this reduce-only order"),
    -2023: Row(_NO, "the account is being liquidated"),
    -2024: Row(_NO),
    -2025: Row(_NO, "too many open orders on this contract"),
    -2026: Row(_NO),
    -2027: Row(_NO, "the position would exceed the bracket of the current leverage"),
    -2028: Row(_NO),
    # filters and futures rules
    -4001: Row(_NO),
    -4002: Row(_NO),
    -4003: Row(_NO),
    -4004: Row(_NO),
    -4005: Row(_NO),
    -4006: Row(_NO),
    -4007: Row(_NO),
    -4013: Row(_NO),
    -4014: Row(_NO, "the price is not on the contract's tick"),
    -4015: Row(_NO, "client order id: 1-36 characters of A-Z a-z 0-9 . : / _ -"),
    -4016: Row(_NO, "the price is too far above the mark price"),
    -4021: Row(_NO),
    -4023: Row(_NO, "the quantity is not on the contract's step"),
    -4024: Row(_NO, "the price is too far below the mark price"),
    -4028: Row(_NO, "this leverage is not offered for the contract"),
    -4031: Row(_NO),
    -4045: Row(_NO, "200 conditional orders are open on the account, the exchange's limit"),
    MARGIN_TYPE_UNCHANGED: Row(_NO),
    -4047: Row(_NO, "cancel the contract's open orders first"),
    -4048: Row(_NO, "close the contract's position first"),
    -4050: Row(_NO),
    -4051: Row(_NO),
    -4054: Row(_NO),
    -4055: Row(_NO),
    -4059: Row(_NO),
    -4060: Row(_NO),
    -4061: Row(_NO, "the account is in hedge mode: switch to one-way mode in Preferences"),
    -4062: Row(_NO),
    -4067: Row(_NO, "cancel all open orders (USDⓈ-M and COIN-M) first"),
    -4068: Row(_NO, "close all positions (USDⓈ-M and COIN-M) first"),
    -4082: Row(_NO),
    -4083: Row(_NO),
    -4087: Row(_NO, "the account may only reduce positions"),
    -4088: Row(_NO, "the account may not place orders at the moment"),
    -4109: Row(_NO, "the futures account is inactive: transfer any asset to the futures wallet"),
    # An order with this id is open: it is ours, and asking for it tells its state (INV-02).
    -4116: Row(_UNKNOWN, "an order with this id is already open"),
    -4117: Row(_NO, "the stop is triggering at this moment"),
    -4118: Row(_NO),
    -4120: Row(_NO, "the exchange moved this order type to another endpoint: update the bot"),
    -4130: Row(_NO, "a close-position stop already exists in this direction"),
    -4131: Row(_NO, "the best opposite price is too far from the mark price"),
    -4135: Row(_NO),
    -4137: Row(_NO),
    -4138: Row(_NO),
    -4140: Row(_NO, "the contract does not accept new positions"),
    -4141: Row(_NO, "the contract is closed"),
    -4142: Row(_NO, "the trigger is already passed"),
    -4161: Row(_NO, "leverage cannot be lowered while an isolated position is open"),
    -4164: Row(_NO, "the order is below the contract's minimum notional"),
    -4165: Row(_NO),
    -4167: Row(_NO, "multi-assets mode conflicts with isolated margin: switch to single-asset"),
    -4168: Row(_NO, "multi-assets mode conflicts with isolated margin: switch to single-asset"),
    -4169: Row(_NO),
    -4170: Row(_NO),
    -4171: Row(_NO),
    -4172: Row(_NO),
    -4183: Row(_NO),
    -4184: Row(_NO),
    -4192: Row(_NO, "a cooling-off period is active on the account"),
    -4202: Row(_NO, "leverage is restricted for this account"),
    -4203: Row(_NO, "leverage is restricted for this account"),
    -4205: Row(_NO, "leverage is restricted for this account"),
    -4206: Row(_NO, "leverage is restricted for this account"),
    -4208: Row(_NO, "leverage is restricted for this account"),
    -4209: Row(_NO, "leverage is restricted for this account"),
    -4210: Row(_NO, "the trigger is too far above the mark price"),
    -4211: Row(_NO, "the trigger is too far below the mark price"),
    -4400: Row(_NO, "quantitative rules: only reduce-only orders are accepted for now"),
    -4401: Row(_NO, "only reduce-only orders are accepted for this position"),
    -4402: Row(_NO, "not available in the account's region"),
    -4403: Row(_NO, "the region's leverage cap is lower"),
    -4509: Row(_NO, "a close-position order needs an open position"),
    # execution and routing
    -5000: Row(_NO, "the exchange does not know this route: update the bot"),
    -5021: Row(_NO, "fill-or-kill could not be filled"),
    -5022: Row(_NO, "post-only would have taken"),
    -5024: Row(_NO),
    -5025: Row(_NO),
    -5026: Row(_NO),
    -5027: Row(_NO),
    -5028: Row(_LATER, "our clock differs from the exchange's; it is measured again"),
    -5029: Row(_NO),
    -5037: Row(_NO),
    -5038: Row(_NO),
    -5039: Row(_NO),
    -5040: Row(_NO),
    -5041: Row(_NO),
    -5043: Row(_LATER, "a modification of this order is still pending"),
    -5047: Row(_NO),
}

_DEFINITE = ((-1199, -1100), (-2999, -2000), (-4999, -4000), (-5999, -5000))
_STATUS_NO: dict[int, Row] = {
    404: Row(_NO, "the exchange does not know this route: update the bot"),
    405: Row(_NO),
    413: Row(_NO),
    414: Row(_NO),
    451: Row(_NO, "the exchange does not serve this location"),
}
_503_UNKNOWN = "please check your request or try again later"
_503_FAILED = "service unavailable."


def hint_for(code: int) -> str:
    """What the operator can do about a code; empty when the exchange's text says it all."""
    row = TABLE.get(code)
    return row.hint if row else ""


def from_answer(
    status: int, body: bytes, *, mutating: bool, retry_after_s: float | None, now_ms: int
) -> VenueError:
    """Error of an answer that is not a success. `now_ms` is the exchange's time (UTC ms)."""
    code, message = _parse(body)
    row = _row(status, code, message, mutating=mutating)
    text = _text(status, message, row.hint)
    match row.reaction:
        case Reaction.RATE:
            until = _until(status, message, retry_after_s, now_ms)
            return RateLimited(text, code=code, status=status, until_ms=until)
        case Reaction.DEAD:
            return CredentialsDead(text, code=code, status=status)
        case Reaction.RETRY:
            return RetryLater(text, code=code, status=status)
        case Reaction.UNKNOWN:
            family = OutcomeUnknown if mutating else RetryLater
            return family(text, code=code, status=status)
        case Reaction.REFUSED:
            return Refused(text, code=code, status=status)


def unreadable(status: int, detail: str, *, mutating: bool) -> VenueError:
    """A success status whose body cannot be read: an order may have been placed."""
    text = f"unreadable answer: {_clean(detail)}"
    return OutcomeUnknown(text, status=status) if mutating else RetryLater(text, status=status)


def from_transport(error: Exception, *, mutating: bool) -> VenueError:
    """Error of a request without an answer.

    Only a connection that was never established proves that nothing was sent.
    """
    name = type(error).__name__
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return RetryLater(f"no connection to the exchange: {name}")
    if mutating:
        return OutcomeUnknown(f"connection lost or timed out after sending: {name}")
    return RetryLater(f"no answer from the exchange: {name}")


def _parse(body: bytes) -> tuple[int, str]:
    """Code (0 when there is none) and message of an error body."""
    try:
        data = json.loads(body)
        return int(data["code"]), str(data.get("msg", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, body[:TEXT_LIMIT].decode(errors="replace")


def _row(status: int, code: int, message: str, *, mutating: bool) -> Row:
    lowered = message.lower()
    # The texts of the two codeless kinds of 503 decide before any code does.
    if status >= 500 and _503_UNKNOWN in lowered:
        return Row(_UNKNOWN)
    if status in (418, 429):
        return Row(_RATE, hint_for(code))
    if code in TABLE:
        return TABLE[code]
    if code:
        definite = 400 <= status < 500 and any(low <= code <= high for low, high in _DEFINITE)
        return Row(_NO if definite else _UNKNOWN)
    if status == 503 and lowered.strip() == _503_FAILED:
        return Row(_LATER)
    if status == 401:
        return Row(_DEAD, "the exchange did not accept the key")
    if status == 403:
        return Row(_RATE, "blocked by the exchange's firewall")
    if status in _STATUS_NO:
        return _STATUS_NO[status]
    return Row(_UNKNOWN if mutating else _LATER)


def _until(status: int, message: str, retry_after_s: float | None, now_ms: int) -> int:
    banned = _BANNED_UNTIL.search(message)
    if banned:
        return int(banned[1])
    if retry_after_s is not None:
        return now_ms + int(retry_after_s * 1_000)
    pause = {418: _BAN_PAUSE_MS, 403: _WAF_PAUSE_MS}.get(status, _LIMIT_PAUSE_MS)
    return now_ms + pause


def _text(status: int, message: str, hint: str) -> str:
    said = _clean(message) or f"HTTP {status}"
    return f"{said} - {hint}" if hint else said


def _clean(text: str) -> str:
    """One line without markup and without anything that looks like a credential."""
    flat = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    return _SECRETS.sub(r"\1=***", flat)[:TEXT_LIMIT]
