"""Each setting read from text or keyword, written back, and refused where it must be."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from core.config import TradingConfig
from core.domain.enums import (
    ForeignPolicy,
    PaperFeed,
    TakeProfitMode,
    TakeProfitStyle,
    Tier,
    Venue,
    WorkingType,
)
from core.domain.errors import ConfigError
from core.domain.intent import TakeProfitRatio
from core.kernel.config_model import CATALOGUE
from core.kernel.config_tiers import TIERS
from core.kernel.config_values import ALL_HOURS, NO_HOURS, HoursWindow, instant_text

HOUR_MS = 3_600_000


def refusal(**values: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        TradingConfig(**values)
    return caught.value.problems


def test_defaults() -> None:
    cfg = TradingConfig()
    assert cfg.venue is Venue.TESTNET
    assert cfg.tier is Tier.CONSERVATIVE
    assert (cfg.leverage_default, cfg.max_concurrent_positions, cfg.max_sl_streak) == (5, 2, 2)
    assert (cfg.risk_per_trade_pct, cfg.daily_drawdown_pct) == (Decimal("0.0075"), Decimal("0.02"))
    assert cfg.stop_loss_pct == Decimal("0.008")
    assert cfg.tp_levels == (
        TakeProfitRatio(Decimal("0.006"), Decimal("0.5")),
        TakeProfitRatio(Decimal("0.012"), Decimal("0.3")),
        TakeProfitRatio(Decimal("0.018"), Decimal("0.2")),
    )
    assert cfg.working_type is WorkingType.MARK_PRICE
    assert cfg.tp_order_style is TakeProfitStyle.LIMIT
    assert cfg.tp_mode is TakeProfitMode.FIXED
    assert cfg.foreign_positions is ForeignPolicy.IGNORE
    assert cfg.paper_feed is PaperFeed.AUTO
    assert (cfg.data_dir, cfg.logs_dir) == (Path("data"), Path("logs"))
    assert cfg.instance_id == "bot1"
    assert not cfg.has_keys
    assert not cfg.dry_run


def test_keywords_in_either_case_and_by_alias() -> None:
    upper = TradingConfig(TESTNET=True, QUOTE_COIN="USDT")
    lower = TradingConfig(testnet="true", quote_coin="usdt")
    assert upper.settings_public() == lower.settings_public()
    assert TradingConfig(MAX_POSITIONS=1).max_concurrent_positions == 1
    assert TradingConfig(sl_streak_limit="4").max_sl_streak == 4
    assert TradingConfig(AGGRESSION="Balanced").tier is Tier.BALANCED
    assert TradingConfig(BINANCE_TESTNET="0").venue is Venue.PROD


def test_one_setting_named_twice() -> None:
    assert refusal(MAX_POSITIONS=1, MAX_CONCURRENT_POSITIONS=1) == [
        "MAX_CONCURRENT_POSITIONS: given twice"
    ]


def test_unknown_keyword_names_the_nearest() -> None:
    assert refusal(RISK_PER_TRADE="0.01") == [
        "RISK_PER_TRADE is not a setting; did you mean RISK_PER_TRADE_PCT?"
    ]


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TradingConfig().dry_run = True  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("values", "quote", "venue"),
    [
        ({}, "USDT", Venue.TESTNET),
        ({"TESTNET": False}, "USDC", Venue.PROD),
        ({"DRY_RUN": True}, "USDC", Venue.PAPER),
        ({"DRY_RUN": True, "TESTNET": False}, "USDC", Venue.PAPER),
        ({"QUOTE_COIN": "USDC"}, "USDC", Venue.TESTNET),
        ({"DRY_RUN": True, "QUOTE_COIN": "USDT"}, "USDT", Venue.PAPER),
    ],
)
def test_quote_coin_and_venue(values: dict[str, object], quote: str, venue: Venue) -> None:
    cfg = TradingConfig(**values)
    assert cfg.resolved_quote_coin == quote
    assert cfg.resolved_settle_coin == quote
    assert cfg.venue is venue


def test_settle_coin_only_follows_when_unset() -> None:
    assert TradingConfig(SETTLE_COIN="USDC").resolved_settle_coin == "USDC"


# --- money and fractions -------------------------------------------------------------------------


def test_percent_written_as_percent_is_explained() -> None:
    (line,) = refusal(RISK_PER_TRADE_PCT="0.75")
    assert line.startswith("RISK_PER_TRADE_PCT=0.75: 0.75 means 75 %, for 0.75 % write 0.0075")
    assert "at most 0.0075 conservative" in line


@pytest.mark.parametrize(
    "text", ["0.75%", "abc", "nan", "inf", "0,5", "-1", "0", "1e400000000000", "1e-99"]
)
def test_no_fraction(text: str) -> None:
    (line,) = refusal(MAX_MARGIN_USAGE_PCT=text)
    assert line.startswith("MAX_MARGIN_USAGE_PCT=")


def test_a_float_keyword_counts_as_the_text_it_prints() -> None:
    assert TradingConfig(RISK_PER_TRADE_PCT=0.0051).risk_per_trade_pct == Decimal("0.0051")


def test_a_truth_value_is_no_amount() -> None:
    assert refusal(PAPER_BALANCE=True) == ["PAPER_BALANCE=true: must be a number"]


@given(st.decimals("0.0001", "0.0075", places=6))
def test_fractions_are_exact(value: Decimal) -> None:
    assert TradingConfig(RISK_PER_TRADE_PCT=str(value)).risk_per_trade_pct == value


# --- tiers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", list(Tier))
def test_a_tier_gives_defaults_and_ceilings(tier: Tier) -> None:
    limits, cfg = TIERS[tier], TradingConfig(TIER=tier)
    assert cfg.tier_limits == limits
    assert cfg.risk_per_trade_pct == limits.risk_pct
    assert cfg.daily_drawdown_pct == limits.daily_pct
    assert cfg.max_concurrent_positions == limits.positions
    assert cfg.leverage_default == limits.leverage
    assert cfg.max_sl_streak == limits.sl_streak
    for key, above in (
        ("RISK_PER_TRADE_PCT", limits.risk_pct + Decimal("0.0001")),
        ("DAILY_DRAWDOWN_PCT", limits.daily_pct + Decimal("0.0001")),
        ("MAX_CONCURRENT_POSITIONS", limits.positions + 1),
        ("LEVERAGE_DEFAULT", limits.leverage + 1),
    ):
        (line,) = refusal(TIER=tier, **{key: above})
        assert line.startswith(f"{key}=")
        assert ("ceiling" in line) or (tier is Tier.AGGRESSIVE and "≤" in line)


def test_a_ceiling_names_the_tier_that_allows_more() -> None:
    assert refusal(LEVERAGE_DEFAULT="7") == [
        "LEVERAGE_DEFAULT=7: above the conservative tier's ceiling of 5 (TIER=balanced allows 7)"
    ]


def test_a_wrong_tier_is_one_line_and_no_chain_of_errors() -> None:
    assert refusal(TIER="reckless") == [
        "TIER=reckless: must be conservative, balanced or aggressive"
    ]


@pytest.mark.parametrize("value", ["0", "21", "2.5", "x"])
def test_leverage_outside_its_bounds(value: str) -> None:
    (line,) = refusal(TIER="aggressive", LEVERAGE_DEFAULT=value)
    assert line.startswith(f"LEVERAGE_DEFAULT={value}: must be a whole number ≥ 1 and ≤ 20")


# --- ladder, styles, symbols, strategy -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.006", "distance:share"),
        ("0.006:0.5,0.012:0.4", "sum to 1, they sum to 0.9"),
        ("0.012:0.5,0.006:0.5", "must grow"),
        ("0.006:0.5,0.006:0.5", "must grow"),
        ("0.006:1.5,0.012:-0.5", "above 0"),
        ("1.2:1", "0.6 % is 0.006"),
        (",", "1 to 9 levels"),
        (",".join(f"0.0{i}:0.1" for i in range(10, 20)), "1 to 9 levels"),
        ("a:b", "number"),
    ],
)
def test_ladder_refused(text: str, reason: str) -> None:
    (line,) = refusal(TP_LEVELS=text)
    assert line.startswith(f"TP_LEVELS={text}"[:60])
    assert reason in line


def test_ladder_with_blanks() -> None:
    assert TradingConfig(TP_LEVELS=" 0.01 : 0.4 , 0.02:0.6 ").tp_levels == (
        TakeProfitRatio(Decimal("0.01"), Decimal("0.4")),
        TakeProfitRatio(Decimal("0.02"), Decimal("0.6")),
    )


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("limit", TakeProfitStyle.LIMIT),
        ("MARKET", TakeProfitStyle.MARKET),
        ("TAKE_PROFIT", TakeProfitStyle.LIMIT),
        ("take_profit_market", TakeProfitStyle.MARKET),
        (TakeProfitStyle.MARKET, TakeProfitStyle.MARKET),
    ],
)
def test_take_profit_style(text: object, style: TakeProfitStyle) -> None:
    assert TradingConfig(TP_ORDER_STYLE=text).tp_order_style is style


def test_take_profit_style_refused() -> None:
    assert refusal(TP_ORDER_STYLE="stop") == [
        "TP_ORDER_STYLE=stop: must be limit (TAKE_PROFIT) or market (TAKE_PROFIT_MARKET)"
    ]


def test_symbols_take_any_form_once() -> None:
    cfg = TradingConfig(SYMBOLS="xrpusdt, XRP/USDT ,1000SHIB/USDT:USDT,,")
    assert cfg.symbols == ("XRP/USDT:USDT", "1000SHIB/USDT:USDT")
    assert TradingConfig(SYMBOLS=["ADAUSDC"]).symbols == ("ADA/USDC:USDC",)


def test_symbols_refused() -> None:
    (line,) = refusal(SYMBOLS="XRPUSDC,WHAT")
    assert line.startswith("SYMBOLS=XRPUSDC,WHAT: ")
    assert "WHAT" in line.partition(": ")[2]


def test_symbol_wanted_and_banned() -> None:
    assert refusal(SYMBOLS="XRPUSDC", SYMBOL_BLACKLIST="XRP/USDC") == [
        "SYMBOLS=XRPUSDC: XRP/USDC:USDC also in SYMBOL_BLACKLIST"
    ]


def test_strategies() -> None:
    assert TradingConfig(STRATEGY="scalping_v1, trend").strategies == ("scalping_v1", "trend")
    assert "modules in strategies/" in refusal(STRATEGY="../evil")[0]


def test_timeframe() -> None:
    assert TradingConfig(TIMEFRAME="1h").timeframe_ms == HOUR_MS
    assert "1m, 3m, 5m" in refusal(TIMEFRAME="10m")[0]


# --- hours ---------------------------------------------------------------------------------------


def test_hours() -> None:
    cfg = TradingConfig(ACTIVE_HOURS_UTC="08-20", QUIET_HOURS_UTC="22:30 - 04")
    day = 20_000 * 24 * HOUR_MS
    assert [cfg.active_hours_utc.contains(day + h * HOUR_MS) for h in (7, 8, 19, 20)] == [
        False,
        True,
        True,
        False,
    ]
    assert not cfg.quiet_hours_utc.contains(day + 22 * HOUR_MS)
    assert cfg.quiet_hours_utc.contains(day + 22 * HOUR_MS + HOUR_MS // 2)
    assert cfg.quiet_hours_utc.contains(day)
    assert not cfg.quiet_hours_utc.contains(day + 4 * HOUR_MS)


@pytest.mark.parametrize("text", ["", "00-24", None])
def test_no_restriction_means_all_hours_and_no_quiet(text: str | None) -> None:
    cfg = TradingConfig(ACTIVE_HOURS_UTC=text, QUIET_HOURS_UTC=text)
    assert cfg.active_hours_utc == ALL_HOURS
    assert cfg.quiet_hours_utc == NO_HOURS


@pytest.mark.parametrize(
    "text", ["8", "25-03", "08-08", "08-20,22-23", "08:60-09", "24-04", "8-24:30"]
)
def test_hours_refused(text: str) -> None:
    assert refusal(ACTIVE_HOURS_UTC=text)[0].startswith(f"ACTIVE_HOURS_UTC={text}: ")


@given(st.integers(0, 1439), st.integers(0, 1440), st.integers(0, 10**13))
def test_a_window_and_its_text_agree_for_every_minute(start: int, end: int, at_ms: int) -> None:
    window = HoursWindow(start, end)
    if start == end or end - start == 1440:
        return
    again = TradingConfig(ACTIVE_HOURS_UTC=str(window)).active_hours_utc
    assert again == window
    assert again.contains(at_ms) == ((at_ms // 60_000 - start) % 1440 < (end - start) % 1440)


# --- paper ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speed", "feed", "factor"),
    [
        (None, PaperFeed.LIVE, 1.0),
        (None, PaperFeed.SYNTHETIC, 60.0),
        (None, PaperFeed.REPLAY, 60.0),
        ("max", PaperFeed.REPLAY, None),
        ("max", PaperFeed.LIVE, 1.0),
        ("250", PaperFeed.SYNTHETIC, 250.0),
        (0.5, PaperFeed.SYNTHETIC, 0.5),
    ],
)
def test_paper_speed(speed: object, feed: PaperFeed, factor: float | None) -> None:
    assert TradingConfig(PAPER_SPEED=speed).resolved_paper_speed(feed) == factor


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "1e9"])
def test_paper_speed_refused(speed: str) -> None:
    assert refusal(PAPER_SPEED=speed) == [
        f"PAPER_SPEED={speed}: must be a factor from 0.01 to 100000, or max"
    ]


def test_live_prices_cannot_be_sped_up() -> None:
    assert "live prices run at 1" in refusal(PAPER_FEED="live", PAPER_SPEED="60")[0]


def test_replay_bounds_are_utc() -> None:
    cfg = TradingConfig(PAPER_REPLAY_FROM="2026-09-01", PAPER_REPLAY_TO="2026-09-01T14:00+02:00")
    assert cfg.paper_replay_from is not None
    assert cfg.paper_replay_to == cfg.paper_replay_from + 12 * HOUR_MS
    assert instant_text(cfg.paper_replay_from) == "2026-09-01 00:00:00Z"


def test_replay_needs_a_recording_and_a_span() -> None:
    assert refusal(
        PAPER_FEED="replay", PAPER_REPLAY_FROM="2026-09-02", PAPER_REPLAY_TO="2026-09-02"
    ) == [
        "PAPER_REPLAY_PATH: missing, and PAPER_FEED=replay needs it",
        "PAPER_REPLAY_TO=2026-09-02: must be after PAPER_REPLAY_FROM (2026-09-02 00:00:00Z)",
    ]
    assert refusal(PAPER_REPLAY_FROM="yesterday")[0].startswith("PAPER_REPLAY_FROM=yesterday: ")


# --- addresses, dashboard, alerts ----------------------------------------------------------------


def test_endpoints() -> None:
    cfg = TradingConfig(BINANCE_REST_URL="http://127.0.0.1:8080/", BINANCE_WS_URL="ws://[::1]:9/x")
    assert (cfg.binance_rest_url, cfg.binance_ws_url) == ("http://127.0.0.1:8080", "ws://[::1]:9/x")
    assert cfg.custom_endpoint
    assert not TradingConfig().custom_endpoint


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("BINANCE_REST_URL", "ws://127.0.0.1:1"),
        ("BINANCE_REST_URL", "127.0.0.1:8080"),
        ("BINANCE_REST_URL", "http://"),
        ("BINANCE_REST_URL", "http://host:99999"),
        ("BINANCE_WS_URL", "http://127.0.0.1:1"),
        ("BINANCE_WS_URL", "wss://a b"),
        ("TELEGRAM_API_URL", "ftp://x"),
    ],
)
def test_endpoint_refused(key: str, url: str) -> None:
    (line,) = refusal(**{key: url})
    assert line.startswith(f"{key}={url}: must be a URL beginning with ")


@pytest.mark.parametrize(
    ("host", "token", "allowed"),
    [
        ("127.0.0.1", None, True),
        ("localhost", None, True),
        ("::1", None, True),
        ("0.0.0.0", None, False),  # noqa: S104 - the address under test
        ("0.0.0.0", "short", False),  # noqa: S104 - the address under test
        ("192.168.1.5", "t" * 32, True),
        ("vps.example", None, False),
    ],
)
def test_dashboard_beyond_loopback_needs_a_token(
    host: str, token: str | None, allowed: bool
) -> None:
    if allowed:
        assert TradingConfig(DASHBOARD_HOST=host, DASHBOARD_TOKEN=token).dashboard_host == host
    else:
        (line,) = refusal(DASHBOARD_HOST=host, DASHBOARD_TOKEN=token)
        assert line.startswith(
            f"DASHBOARD_HOST={host}: not loopback, so DASHBOARD_TOKEN must be 32"
        )


def test_alerts() -> None:
    cfg = TradingConfig(
        TELEGRAM_BOT_TOKEN="1:abc",
        TELEGRAM_CHAT_ID="12, -1003,12",
        SMTP_URL="smtp://u:p@mail.example:587",
        ALERT_EMAIL_TO="a@b.example",
    )
    assert cfg.telegram_chat_id == (12, -1003)
    assert cfg.telegram_token is not None
    assert cfg.alert_email_to == ("a@b.example",)
    assert refusal(ALERT_EMAIL_TO="a@b.example") == ["ALERT_EMAIL_TO=a@b.example: needs SMTP_URL"]
    assert refusal(TELEGRAM_CHAT_ID="me") == [
        "TELEGRAM_CHAT_ID=me: must be chat numbers separated by commas"
    ]


# --- shutdown and keys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "closes"),
    [
        ({}, True),
        ({"DRY_RUN": True, "TESTNET": False}, True),
        ({"TESTNET": False}, False),
        ({"TESTNET": False, "CLOSE_POSITIONS_ON_SHUTDOWN": "yes"}, True),
        ({"CLOSE_POSITIONS_ON_SHUTDOWN": "false"}, False),
    ],
)
def test_close_on_shutdown(values: dict[str, object], closes: bool) -> None:
    assert TradingConfig(**values).close_positions_on_shutdown is closes


def test_has_keys() -> None:
    assert TradingConfig(BINANCE_API_KEY="k", BINANCE_API_SECRET="s").has_keys
    assert TradingConfig(BINANCE_API_KEY="k", BINANCE_PRIVATE_KEY_PATH="/x").has_keys
    assert not TradingConfig(BINANCE_API_KEY="k").has_keys
    assert not TradingConfig(BINANCE_API_SECRET="s").has_keys


# --- round trip ----------------------------------------------------------------------------------

_RICH: dict[str, object] = {
    "TIER": "balanced",
    "SYMBOLS": "XRPUSDC,1000SHIBUSDC",
    "TP_LEVELS": "0.01:0.25,0.02:0.75",
    "ACTIVE_HOURS_UTC": "22:15-04",
    "PAPER_SPEED": "max",
    "PAPER_REPLAY_FROM": "2026-09-01T12:30:00.250",
    "PAPER_REPLAY_PATH": "some/folder",
    "TELEGRAM_CHAT_ID": "5,-7",
    "MAX_DAILY_LOSS": "12.50",
    "TP_ORDER_STYLE": "TAKE_PROFIT_MARKET",
    "SL_VERIFY_TIMEOUT": "0.75",
    "BINANCE_REST_URL": "http://127.0.0.1:1",
}


@pytest.mark.parametrize("values", [{}, _RICH], ids=["defaults", "everything set"])
def test_the_public_text_of_every_setting_is_read_back_as_the_same_value(
    values: dict[str, object],
) -> None:
    cfg = TradingConfig(**values)
    again = TradingConfig(**cfg.settings_public())
    for info in CATALOGUE:
        assert getattr(again, info.field) == getattr(cfg, info.field), info.key


def test_a_secret_is_wrapped_and_masked() -> None:
    cfg = TradingConfig(BINANCE_API_SECRET="s3cr3t")
    assert cfg.binance_api_secret == SecretStr("s3cr3t")
    assert cfg.settings_public()["BINANCE_API_SECRET"].startswith("*** (sha256 ")
