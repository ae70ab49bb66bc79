"""Every setting of the daemon, declared once (floor 1).

One class per group in the order of the reference; `core.config.TradingConfig` is made of them.
Fractions are named `_PCT` for history's sake: 0.0075 means 0.75 %.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from core.domain.enums import (
    AlertLevel,
    ForeignPolicy,
    PaperFeed,
    TakeProfitMode,
    Tier,
    WorkingType,
)
from core.kernel.config_meta import Unit, setting
from core.kernel.config_values import (
    ActiveHours,
    Amount,
    ChatIds,
    CoinName,
    Emails,
    ExitStyle,
    FilePath,
    HttpUrl,
    Instance,
    Instant,
    Ladder,
    LogLevel,
    Lower,
    QuietHours,
    Secret,
    SecretHttpsUrl,
    SecretSmtpUrl,
    SocketUrl,
    Speed,
    StrategyNames,
    Symbols,
    Text,
    Timeframe,
    Upper,
)


class Group(BaseModel):
    """Base of the groups; they are only ever used through the whole configuration."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=True,
        defer_build=True,
    )
    TITLE: ClassVar[str]


class ExchangeSettings(Group):
    TITLE: ClassVar[str] = "Exchange and mode"

    dry_run: bool = setting(
        False,  # noqa: FBT003 - the default's value, named by its field
        "trade on the embedded paper exchange; turned on by itself when there are no keys",
    )
    testnet: bool = setting(
        True,  # noqa: FBT003 - the default's value, named by its field
        "trade on the exchange's demo network instead of with real money",
        aliases=("BINANCE_TESTNET",),
    )
    binance_api_key: Secret | None = setting(None, "API key of the chosen network", empty="none")
    binance_api_secret: Secret | None = setting(None, "secret of an HMAC key", empty="none")
    binance_private_key_path: FilePath | None = setting(
        None, "PEM file of an Ed25519 key, instead of the secret", empty="none", allowed="a file"
    )
    quote_coin: CoinName | None = setting(
        None,
        "coin that sizes, balances and results are counted in",
        empty="USDC in dry-run and production, USDT on the demo network",
    )
    settle_coin: CoinName | None = setting(
        None, "coin the contracts settle in", empty="the quote coin"
    )
    binance_rest_url: HttpUrl | None = setting(
        None,
        "any Binance-compatible server instead of the network's own",
        empty="the network's own",
        allowed="http:// or https:// URL",
    )
    binance_ws_url: SocketUrl | None = setting(
        None,
        "stream address of that server",
        empty="the network's own",
        allowed="ws:// or wss:// URL",
    )
    foreign_positions: Annotated[ForeignPolicy, Lower] = setting(
        ForeignPolicy.IGNORE,
        "positions and orders the bot did not open: leave them alone, give them a stop and manage "
        "them, or refuse to trade their symbol",
    )
    instance_id: Instance = setting(
        "bot1",
        "name of this daemon, part of every order id; two daemons on one account need two names",
        allowed="1 to 32 letters, digits, - or _",
    )


class PaperSettings(Group):
    TITLE: ClassVar[str] = "Paper exchange"

    paper_feed: Annotated[PaperFeed, Lower] = setting(
        PaperFeed.AUTO,
        "price source of dry-run; auto tries live and falls back to synthetic prices, loudly",
    )
    paper_seed: int = setting(7, "seed of synthetic prices", ge=0, le=2**32 - 1)
    paper_balance: Amount = setting(
        "400", "wallet a paper account starts with", unit=Unit.QUOTE, gt=0, le=1_000_000_000
    )
    paper_replay_path: FilePath | None = setting(
        None,
        "recorded candles to replay: file or folder in the layout of Binance's public archive",
        empty="none",
        allowed="a file or folder",
    )
    paper_replay_from: Instant | None = setting(
        None,
        "first instant of the replay",
        unit=Unit.INSTANT,
        empty="the beginning of the data",
        allowed="UTC date or time such as 2026-09-30 or 2026-09-30T12:00",
    )
    paper_replay_to: Instant | None = setting(
        None,
        "end of the replay; this instant itself is not played",
        unit=Unit.INSTANT,
        empty="the end of the data",
        allowed="UTC date or time such as 2026-09-30 or 2026-09-30T12:00",
    )
    paper_speed: Speed | None = setting(
        None,
        "how fast paper time runs; live prices always run at 1",
        empty="1 live, 60 synthetic and replay",
        allowed="a factor from 0.01 to 100000, or max for as fast as possible",
    )


class MarketSettings(Group):
    TITLE: ClassVar[str] = "Symbols and strategy"

    symbols: Symbols = setting(
        (),
        "symbols to trade, in any form (XRPUSDC, XRP/USDC, XRP/USDC:USDC)",
        empty="chosen by volume, spread and volatility",
        allowed="comma list",
    )
    symbol_whitelist: Symbols = setting(
        (), "choose among these only", empty="all", allowed="comma list"
    )
    symbol_blacklist: Symbols = setting((), "never trade these", empty="none", allowed="comma list")
    max_symbols: int = setting(35, "symbols watched at most", ge=1, le=200)
    strategy: StrategyNames = setting(
        "scalping_v1",
        "strategy modules in strategies/; several may run side by side",
        allowed="comma list of names",
    )
    strategy_timeout: float = setting(
        0.5,
        "time a strategy has for one symbol; one that takes longer twice in a row is switched off",
        unit=Unit.SECONDS,
        ge=0.05,
        le=10,
    )
    timeframe: Timeframe = setting(
        "15m",
        "candle length the strategy sees",
        allowed="1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h or 1d",
    )
    candles: int = setting(300, "closed candles kept per symbol", ge=50, le=1500)
    loop_interval: float = setting(
        5.0,
        "fallback scan when no candle event arrives",
        unit=Unit.SECONDS,
        ge=0.05,
        le=3600,
    )


class RiskSettings(Group):
    TITLE: ClassVar[str] = "Risk"

    trading_enabled: bool = setting(
        True,  # noqa: FBT003 - the default's value, named by its field
        "open new positions; exits and protection work either way",
        runtime=True,
    )
    tier: Annotated[Tier, Lower] = setting(
        Tier.CONSERVATIVE,
        "risk tier: gives defaults and ceilings to the settings below",
        aliases=("STRATEGY_TIER", "AGGRESSION"),
        runtime=True,
    )
    leverage_default: int = setting(
        None,
        "leverage asked for; the bracket table or volatility may lower it per symbol",
        tier="leverage",
        ceiling=True,
        ge=1,
        le=20,
    )
    risk_per_trade_pct: Amount = setting(
        None,
        "part of equity lost when the stop is hit, fees and slippage included",
        tier="risk_pct",
        ceiling=True,
        unit=Unit.FRACTION,
        gt=0,
        le=Decimal("0.02"),
    )
    daily_drawdown_pct: Amount = setting(
        None,
        "realised loss of a UTC day, as part of equity, that ends entries until the next day",
        tier="daily_pct",
        ceiling=True,
        unit=Unit.FRACTION,
        gt=0,
        le=Decimal("0.05"),
    )
    max_daily_loss: Amount | None = setting(
        None,
        "the same limit as an amount; the stricter of the two wins",
        unit=Unit.QUOTE,
        empty="no limit as an amount",
        gt=0,
    )
    max_concurrent_positions: int = setting(
        None,
        "open positions at most",
        tier="positions",
        ceiling=True,
        aliases=("MAX_POSITIONS",),
        ge=1,
        le=20,
    )
    max_positions_per_strategy: int | None = setting(
        None,
        "open positions of one strategy at most, where several run at once",
        empty="only the limit for all together",
        ge=1,
        le=20,
    )
    max_sl_streak: int = setting(
        None,
        "stop-losses in a row that pause entries",
        tier="sl_streak",
        aliases=("SL_STREAK_LIMIT",),
        ge=1,
        le=20,
    )
    sl_cooldown_minutes: int = setting(
        60, "how long that pause lasts", unit=Unit.MINUTES, ge=1, le=10_080
    )
    drawdown_brake_pct: Amount = setting(
        "0.1",
        "fall of equity from its peak that halts entries until a person clears the halt",
        unit=Unit.FRACTION,
        gt=0,
        le=Decimal("0.5"),
    )
    taker_fee_pct: Amount = setting(
        "0.0005",
        "fee of an order at market, counted into the risk of a position",
        unit=Unit.FRACTION,
        ge=0,
        le=Decimal("0.005"),
    )
    stop_slippage_pct: Amount = setting(
        "0.0005",
        "how much worse than its level a stop is expected to fill, counted into the risk",
        unit=Unit.FRACTION,
        ge=0,
        le=Decimal("0.02"),
    )
    max_margin_usage_pct: Amount = setting(
        "0.5",
        "part of equity bound as margin at most, over all positions",
        unit=Unit.FRACTION,
        gt=0,
        le=Decimal("0.9"),
    )
    max_notional_per_symbol: Amount | None = setting(
        None, "value of one position at most", unit=Unit.QUOTE, empty="no limit of its own", gt=0
    )
    min_position_size: Amount = setting(
        "6",
        "value under which no position is opened",
        unit=Unit.QUOTE,
        aliases=("MIN_POSITION_SIZE_USDT",),
        gt=0,
    )
    ramp: bool = setting(
        False,  # noqa: FBT003 - the default's value, named by its field
        "start production small: one position and 0.5 % risk, two positions after 10 wins, the "
        "full tier after 50 trades with a profit factor above 1.3",
    )


class ProtectionSettings(Group):
    TITLE: ClassVar[str] = "Stops and targets"

    stop_loss_pct: Amount = setting(
        "0.008",
        "distance of the stop from the entry",
        unit=Unit.FRACTION,
        ge=Decimal("0.0005"),
        le=Decimal("0.05"),
    )
    tp_levels: Ladder = setting(
        "0.006:0.5,0.012:0.3,0.018:0.2",
        "take-profit ladder: distance from the entry and share of the position",
        allowed="1 to 9 distance:share pairs, distances growing, shares summing to 1",
    )
    take_profit_pct: Amount = setting(
        "0.012",
        "single target used when a leg of the ladder would be under the minimum notional",
        unit=Unit.FRACTION,
        ge=Decimal("0.0005"),
        le=Decimal("0.5"),
    )
    tp_mode: Annotated[TakeProfitMode, Lower] = setting(
        TakeProfitMode.FIXED,
        "distances as configured, in ATR (1.0, 1.5 and 2.0), or scaled by the win rate after 100 "
        "trades (1.2 above 65 %, 0.8 below 50 %)",
    )
    break_even_after_tp1: bool = setting(
        False,  # noqa: FBT003 - the default's value, named by its field
        "move the stop to the entry price once the first target is filled",
    )
    break_even_offset_pct: Amount = setting(
        "0.001",
        "how far beyond the entry that stop lies, to pay for the fees",
        unit=Unit.FRACTION,
        ge=0,
        le=Decimal("0.02"),
    )
    trailing_stop: bool = setting(
        False,  # noqa: FBT003 - the default's value, named by its field
        "move the stop behind the best price; it is never moved back",
    )
    trailing_start_pct: Amount = setting(
        "0.006",
        "gain at which the stop begins to trail",
        unit=Unit.FRACTION,
        ge=0,
        le=Decimal("0.2"),
    )
    trailing_distance_pct: Amount = setting(
        "0.004",
        "distance at which it trails the best price",
        unit=Unit.FRACTION,
        ge=Decimal("0.001"),
        le=Decimal("0.1"),
    )
    stop_move_interval: float = setting(
        5.0, "time between two moves of a stop at least", unit=Unit.SECONDS, ge=1, le=300
    )
    working_type: Annotated[WorkingType, Upper] = setting(
        WorkingType.MARK_PRICE, "price that triggers stops and targets"
    )
    tp_order_style: ExitStyle = setting(
        "limit",
        "take-profit order type",
        allowed="limit (TAKE_PROFIT) or market (TAKE_PROFIT_MARKET)",
    )
    sl_verify_timeout: float = setting(
        1.5,
        "time a stop has to be accepted after a fill before the position is closed",
        unit=Unit.SECONDS,
        ge=0.1,
        le=30,
    )
    max_hold_minutes: int = setting(
        120, "a position older than this is closed; 0 = never", unit=Unit.MINUTES, ge=0, le=43_200
    )
    reconcile_interval: float = setting(
        30.0,
        "comparison of local state with the exchange's",
        unit=Unit.SECONDS,
        ge=1,
        le=3600,
    )


class GateSettings(Group):
    TITLE: ClassVar[str] = "Entry gates"

    active_hours_utc: ActiveHours = setting(
        "00-24",
        "hours in which positions may be opened; exits are never restricted",
        allowed="a window such as 08-20, 22-04 or 08:30-20:00; 00-24 = all hours",
    )
    quiet_hours_utc: QuietHours = setting(
        "00-24",
        "hours in which none is opened, inside the active ones",
        allowed="a window such as 02-06; 00-24 = none",
    )
    min_24h_volume: Amount | None = setting(
        None,
        "24 h volume a symbol must have",
        unit=Unit.QUOTE,
        empty="100 times the position",
        ge=0,
    )
    max_spread_pct: Amount = setting(
        "0.001",
        "spread between best bid and ask, as part of the price, above which no entry is made",
        unit=Unit.FRACTION,
        gt=0,
        le=Decimal("0.05"),
    )
    min_atr_pct: Amount | None = setting(
        None,
        "average true range, as part of the price, under which no entry is made",
        unit=Unit.FRACTION,
        empty="no lower limit besides the strategy's own",
        gt=0,
        le=Decimal("0.2"),
    )
    funding_window_minutes: int = setting(
        0,
        "no entry this long before funding is settled; 0 = no such rule",
        unit=Unit.MINUTES,
        ge=0,
        le=240,
    )
    max_correlation: float = setting(
        0.85, "correlation with an open position in the same direction at most", gt=0, le=1
    )


class WireSettings(Group):
    TITLE: ClassVar[str] = "Limits at the wire"

    max_order_value: Amount = setting(
        "10000", "value of one entry order at most", unit=Unit.QUOTE, gt=0
    )
    max_price_deviation_pct: Amount = setting(
        "0.02",
        "distance of an entry's price from the mark price at most",
        unit=Unit.FRACTION,
        gt=0,
        le=Decimal("0.2"),
    )
    max_entries_per_minute: int = setting(
        6, "entry requests in a minute at most, over all symbols", ge=1, le=60
    )
    max_orders_per_intent: int = setting(
        3, "requests for one decided entry at most, repetitions included", ge=1, le=10
    )
    max_same_entries: int = setting(
        5,
        "entries of one symbol and side within SAME_ENTRY_MINUTES; one more halts entries until a "
        "person clears the halt",
        ge=1,
        le=100,
    )
    same_entry_minutes: int = setting(
        60, "time over which they are counted", unit=Unit.MINUTES, ge=1, le=1_440
    )


class AlertSettings(Group):
    TITLE: ClassVar[str] = "Telegram and alerts"

    alert_quiet_hours_utc: QuietHours = setting(
        "00-24",
        "hours in which only critical alerts are told; the rest follows as one digest",
        allowed="a window such as 22-07; 00-24 = none",
    )

    telegram_token: Secret | None = setting(
        None, "bot token", empty="no Telegram", aliases=("TELEGRAM_BOT_TOKEN",)
    )
    telegram_chat_id: ChatIds = setting(
        (), "chats that are answered", empty="none", allowed="comma list of numbers"
    )
    telegram_api_url: HttpUrl | None = setting(
        None,
        "base address of the Bot API, when self-hosted",
        empty="Telegram's own",
        allowed="http:// or https:// URL",
    )
    telegram_level: Annotated[AlertLevel, Lower] = setting(
        AlertLevel.INFO, "least severity of an alert in Telegram"
    )
    slack_webhook_url: SecretHttpsUrl | None = setting(
        None, "incoming webhook that gets the alerts too", empty="no Slack"
    )
    slack_level: Annotated[AlertLevel, Lower] = setting(
        AlertLevel.INFO, "least severity in Slack; unacknowledged = what nobody has seen elsewhere"
    )
    smtp_url: SecretSmtpUrl | None = setting(
        None,
        "mail server for alerts, as smtp://user:password@host:587 or smtps://…",
        empty="no e-mail",
    )
    alert_email_to: Emails = setting(
        (), "who gets the mails", empty="nobody", allowed="comma list of addresses"
    )
    alert_email_level: Annotated[AlertLevel, Lower] = setting(
        AlertLevel.WARNING,
        "least severity by mail; unacknowledged = what nobody has seen elsewhere",
    )


class DashboardSettings(Group):
    TITLE: ClassVar[str] = "Dashboard"

    dashboard_host: Text = setting(
        "127.0.0.1", "address to listen on; any but loopback requires a token", allowed="a host"
    )
    dashboard_port: int = setting(8787, "port; 0 = any free one", ge=0, le=65_535)
    dashboard_token: Secret | None = setting(
        None,
        "access token, 32 characters or more when the host is not loopback",
        empty="none",
    )


def _closes_on_shutdown(data: dict[str, Any]) -> bool:
    """Paper and demo positions are not worth keeping; real ones stay under their stops."""
    return bool(data.get("dry_run") or data.get("testnet", True))


class ProcessSettings(Group):
    TITLE: ClassVar[str] = "Process, files and audit"

    close_positions_on_shutdown: bool = setting(
        None,
        "close positions on a graceful stop; otherwise they stay under their exchange-side stops",
        factory=_closes_on_shutdown,
        empty="true in dry-run and on the demo network; production needs it said",
    )
    shutdown_timeout: float = setting(
        15.0, "time a graceful stop may take", unit=Unit.SECONDS, ge=1, le=600
    )
    data_dir: FilePath = setting(
        Path("data"), "folder of databases and state; one daemon per folder", allowed="a folder"
    )
    logs_dir: FilePath = setting(
        Path("logs"), "folder of logs and the audit record", allowed="a folder"
    )
    log_level: LogLevel = setting("INFO", "least level that is logged")
    log_json: bool = setting(
        default=False,
        meaning="write the log as JSON lines too, for programs: logs/bot_YYYYMMDD.jsonl",
    )
    log_retention_days: int = setting(
        14, "how long log files are kept", unit=Unit.DAYS, ge=1, le=3650
    )
    min_free_disk: int = setting(
        512,
        "free space under which entries stop; they begin again at a quarter more; exits and "
        "protection go on; 0 = not watched",
        unit=Unit.MEBIBYTES,
        ge=0,
        le=1_048_576,
    )
    audit_hmac_key: Secret | None = setting(
        None, "key that also signs every audit record", empty="records are hashed, not signed"
    )
