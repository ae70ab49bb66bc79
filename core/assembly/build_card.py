"""What runs, where, with which limits: shown and audited at every start (floor 7)."""

from dataclasses import dataclass
from decimal import Decimal

from core.config import TradingConfig
from core.domain.enums import Venue
from core.domain.money import to_wire
from core.domain.ports import JsonValue
from core.kernel.build_info import VERSION, commit, python_version
from core.kernel.config_meta import Origin

_LABELS = {
    Venue.PAPER: "PAPER - no order leaves this machine",
    Venue.TESTNET: "TESTNET - the exchange's demo network",
    Venue.PROD: "LIVE - real money",
}


@dataclass(frozen=True, slots=True)
class BuildCard:
    """Rows of name and text, in reading order; no secret among them."""

    rows: tuple[tuple[str, str], ...]

    def text(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.rows)

    def record(self) -> dict[str, JsonValue]:
        return {"action": "start", "card": dict(self.rows)}


def build_card(config: TradingConfig, feed: str, rest_url: str) -> BuildCard:
    """`feed` is the price source in words and never hides that prices are invented."""
    limits = (
        f"risk {_percent(config.risk_per_trade_pct)} per trade, "
        f"{_percent(config.daily_drawdown_pct)} per day, "
        f"{config.max_concurrent_positions} positions, {config.leverage_default}x, "
        f"stop {_percent(config.stop_loss_pct)}"
    )
    rows = [
        ("build", f"USDC Futures Bot {VERSION} ({commit()}), {python_version()}"),
        ("venue", _LABELS[config.venue] + _why_paper(config)),
        ("endpoint", rest_url),
        ("prices", feed),
        ("quote", config.resolved_quote_coin),
        ("tier", f"{config.tier.value}: {limits}"),
        (
            "strategy",
            f"{', '.join(config.strategies)} on {config.timeframe}, {config.candles} candles",
        ),
        ("symbols", ", ".join(config.symbols) or f"chosen, at most {config.max_symbols}"),
        ("data", f"{config.data_dir} | logs {config.logs_dir} | instance {config.instance_id}"),
    ]
    if config.custom_endpoint and config.venue is Venue.PROD:
        rows.insert(3, ("warning", "production mode with an endpoint that is not Binance's own"))
    changed = config.runtime_overrides()
    if changed:
        texts = config.settings_public()
        told = "; ".join(f"{key}={texts[key]} ({where})" for key, where in sorted(changed.items()))
        rows.append(("runtime", f"{told}; --reset-runtime forgets them"))
    return BuildCard(tuple(rows))


def _why_paper(config: TradingConfig) -> str:
    """Says so when the program itself chose the paper exchange."""
    source = config.source("DRY_RUN")
    return f" ({source.detail})" if source.origin is Origin.APPLICATION else ""


def _percent(fraction: Decimal) -> str:
    return f"{to_wire(fraction * 100)} %"
