"""Every documented code, row by row, and everything that has no code."""

import json

import aiohttp
import pytest

from core.domain.errors import (
    CredentialsDead,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RetryLater,
    VenueError,
)
from core.exchange import error_map

NOW_MS = 1_800_000_000_000

UNKNOWN = {-1000, -1006, -1007, -4116}
RETRY = {-1001, -1008, -1016, -1021, -5028, -5043}
RATE = {-1003, -1015}
DEAD = {-1022, -2014, -2015, -2017}
REFUSED = {
    *(-1013, -1100, -1101, -1102, -1103, -1104, -1105, -1106, -1109, -1110, -1111),
    *(-1114, -1115, -1116, -1117, -1118, -1119, -1120, -1121, -1122, -1125, -1127),
    *(-1128, -1130, -1136),
    *(-2010, -2011, -2012, -2013, -2018, -2019, -2020, -2021, -2022, -2023, -2024),
    *(-2025, -2026, -2027, -2028),
    *(-4001, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014, -4015, -4016),
    *(-4021, -4023, -4024, -4028, -4031, -4045, -4046, -4047, -4048, -4050, -4051),
    *(-4054, -4055, -4059, -4060, -4061, -4062, -4067, -4068, -4082, -4083, -4087),
    *(-4088, -4109, -4117, -4118, -4120, -4130, -4131, -4135, -4137, -4138, -4140),
    *(-4141, -4142, -4161, -4164, -4165, -4167, -4168, -4169, -4170, -4171, -4172),
    *(-4183, -4184, -4192, -4202, -4203, -4205, -4206, -4208, -4209, -4210, -4211),
    *(-4400, -4401, -4402, -4403, -4509),
    *(-5000, -5021, -5022, -5024, -5025, -5026, -5027, -5029, -5037, -5038, -5039),
    *(-5040, -5041, -5047),
}
STATUS = {-1003: 429, -1007: 408, -1008: 503, -1015: 429, -2014: 401, -2015: 401, -5000: 404}


def judge(
    body: object, status: int = 400, *, mutating: bool = True, retry_after: float | None = None
) -> VenueError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_map.from_answer(
        status, data, mutating=mutating, retry_after_s=retry_after, now_ms=NOW_MS
    )


def rows(codes: set[int]) -> list[int]:
    return sorted(codes, reverse=True)


def test_the_table_and_this_list_name_the_same_codes() -> None:
    assert set(error_map.TABLE) == UNKNOWN | RETRY | RATE | DEAD | REFUSED


@pytest.mark.parametrize(
    ("code", "family"),
    [(code, OutcomeUnknown) for code in rows(UNKNOWN)]
    + [(code, RetryLater) for code in rows(RETRY)]
    + [(code, RateLimited) for code in rows(RATE)]
    + [(code, CredentialsDead) for code in rows(DEAD)]
    + [(code, Refused) for code in rows(REFUSED)],
)
def test_code_of_a_mutating_call(code: int, family: type[VenueError]) -> None:
    error = judge({"code": code, "msg": "said the exchange"}, STATUS.get(code, 400))
    assert type(error) is family
    assert error.code == code
    assert "said the exchange" in error.text
    assert error_map.hint_for(code) in error.text


@pytest.mark.parametrize("code", rows(UNKNOWN))
def test_a_read_has_no_unknown_outcome(code: int) -> None:
    assert type(judge({"code": code, "msg": ""}, mutating=False)) is RetryLater


@pytest.mark.parametrize(
    ("code", "status", "family"),
    [
        (-1199, 400, Refused),
        (-2099, 400, Refused),
        (-4999, 400, Refused),
        (-5099, 400, Refused),
        (-4999, 500, OutcomeUnknown),
        (-1099, 400, OutcomeUnknown),
        (-3000, 400, OutcomeUnknown),
        (-9000, 400, OutcomeUnknown),
        (7, 400, OutcomeUnknown),
    ],
)
def test_a_code_nobody_documented(code: int, status: int, family: type[VenueError]) -> None:
    assert type(judge({"code": code, "msg": "new"}, status)) is family


@pytest.mark.parametrize(
    ("status", "body", "family"),
    [
        (503, b"Unknown error, please check your request or try again later.", OutcomeUnknown),
        (
            503,
            {"code": -1001, "msg": "Unknown error, please check your request or try again later."},
            OutcomeUnknown,
        ),
        (503, b"Service Unavailable.", RetryLater),
        (503, {"code": -1008, "msg": "Request throttled by system-level protection."}, RetryLater),
        (503, {"code": -1001, "msg": "Internal error; unable to process."}, RetryLater),
        (503, b"<html><h1>503 Service Temporarily Unavailable</h1></html>", OutcomeUnknown),
        (500, b"", OutcomeUnknown),
        (502, b"<html>bad gateway</html>", OutcomeUnknown),
        (504, b"<html>gateway timeout</html>", OutcomeUnknown),
        (408, b"", OutcomeUnknown),
        (400, b"<html>bad request</html>", OutcomeUnknown),
        (400, b'{"code":-2019,"ms', OutcomeUnknown),
        (400, b'{"code":null}', OutcomeUnknown),
        (302, b"", OutcomeUnknown),
        (401, b"", CredentialsDead),
        (403, b"<html>WAF</html>", RateLimited),
        (404, b"<html>no</html>", Refused),
        (451, b"", Refused),
        (429, b"", RateLimited),
        (418, b"", RateLimited),
        (200, {"code": -2011, "msg": "Unknown order sent."}, Refused),
    ],
)
def test_status_and_text_without_a_telling_code(
    status: int, body: object, family: type[VenueError]
) -> None:
    error = judge(body, status)
    assert type(error) is family
    assert error.status == status


def test_a_read_with_a_strange_body_may_be_repeated() -> None:
    assert type(judge(b"<html>", 502, mutating=False)) is RetryLater


@pytest.mark.parametrize(
    ("status", "message", "retry_after", "until"),
    [
        (418, "Way too many requests; IP banned until 1800000123456.", None, 1_800_000_123_456),
        (418, "banned", 300.0, NOW_MS + 300_000),
        (418, "banned", None, NOW_MS + 120_000),
        (429, "Too many requests", 7.0, NOW_MS + 7_000),
        (429, "Too many requests", None, NOW_MS + 10_000),
        (403, "blocked", None, NOW_MS + 60_000),
    ],
)
def test_when_sending_may_resume(
    status: int, message: str, retry_after: float | None, until: int
) -> None:
    error = judge({"code": -1003, "msg": message}, status, retry_after=retry_after)
    assert isinstance(error, RateLimited)
    assert error.until_ms == until


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (aiohttp.ConnectionTimeoutError(), RetryLater),
        (aiohttp.ServerDisconnectedError(), OutcomeUnknown),
        (aiohttp.ClientOSError(104, "reset"), OutcomeUnknown),
        (aiohttp.ClientPayloadError(), OutcomeUnknown),
        (TimeoutError(), OutcomeUnknown),
        (ConnectionResetError(), OutcomeUnknown),
    ],
)
def test_only_a_connection_never_made_proves_nothing_was_sent(
    error: Exception, family: type[VenueError]
) -> None:
    assert type(error_map.from_transport(error, mutating=True)) is family
    assert type(error_map.from_transport(error, mutating=False)) is RetryLater


@pytest.mark.parametrize(
    "text",
    [
        "https://x/y?symbol=A&signature=0a1b2c&timestamp=1",
        "listenKey=pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1",
        '<a href="?apiKey=vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A">',
    ],
)
def test_nothing_that_looks_like_a_secret_is_repeated(text: str) -> None:
    said = str(judge(text.encode(), 500)) + str(error_map.unreadable(200, text, mutating=True))
    for secret in ("0a1b2c", "pqia91ma", "vmPUZE6mv9"):
        assert secret not in said


def test_a_long_page_becomes_one_short_line() -> None:
    text = judge(b"<html>\n" + b"<p>word</p>\n" * 2_000, 502).text
    assert "\n" not in text
    assert "<" not in text
    assert len(text) <= error_map.TEXT_LIMIT
