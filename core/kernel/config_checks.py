"""What makes a configuration unusable, in the operator's words (floor 1).

`field_problems` turns pydantic's findings into our lines without its text or input,
`cross_problems` judges settings against each other, `start_problems` what a daemon about to trade
needs beyond a consistent configuration.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from core.domain.enums import PaperFeed, Tier, Venue
from core.domain.money import to_wire
from core.kernel.config_meta import Given, Origin, SettingInfo, Unit
from core.kernel.config_model import CATALOGUE, Settings
from core.kernel.config_values import instant_text, read_decimal, to_text

_SHOWN = 80
_TOKEN_LENGTH = 32
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_+=-]{32,}")
_URL_SECRETS = re.compile(r"(?<=://)[^/@]*(?=@)|(?<=\?).+")


def shown_value(info: SettingInfo, raw: object) -> str:
    """Raw input as one may print it: secrets masked, long or odd text cut and escaped.

    What looks like a secret is masked under any key, because keys get mixed up.
    """
    if info.secret or isinstance(raw, SecretStr):
        return "***"
    text = "".join(char if char.isprintable() else "?" for char in to_text(raw).strip())
    text = _URL_SECRETS.sub("***", _LONG_TOKEN.sub("***", text))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def line(info: SettingInfo, given: Given | None, reason: str) -> str:
    """`KEY=value: reason (where it came from)`."""
    if given is None:
        return f"{info.key}: {reason}"
    where = f" ({given.where})" if given.origin is not Origin.KEYWORD else ""
    return f"{info.key}={shown_value(info, given.raw)}: {reason}{where}"


def field_problems(error: ValidationError, given: Mapping[str, Given]) -> list[str]:
    """One line per setting that pydantic refused."""
    lines: dict[str, str] = {}
    for found in error.errors(include_input=False, include_url=False):
        name = str(found["loc"][0]) if found["loc"] else ""
        if found["type"] == "default_factory_not_called" or name in lines:
            continue  # it hangs on another setting, which has its own line
        info = CATALOGUE.field(name)
        own = found.get("ctx", {}).get("error") if found["type"] == "value_error" else None
        reason = str(own) if own is not None else f"must be {info.bounds_text}"
        source = given.get(name)
        if info.unit is Unit.FRACTION and found["type"] == "less_than_equal" and source:
            reason = f"{percent_hint(source.raw)}; {reason}"
        lines[name] = line(info, source, reason)
    return list(lines.values())


def percent_hint(raw: object) -> str:
    """Says what a fraction means in percent, for one who wrote percent."""
    value = read_decimal(raw)
    return (
        f"{to_wire(value)} means {to_wire(value * 100)} %, "
        f"for {to_wire(value)} % write {to_wire(value / 100)}"
    )


def cross_problems(cfg: Settings, given: Mapping[str, Given]) -> list[str]:
    """Settings that contradict each other or exceed their tier."""
    problems = _tier_problems(cfg, given)

    def refuse(field: str, reason: str) -> None:
        problems.append(line(CATALOGUE.field(field), given.get(field), reason))

    if cfg.paper_feed is PaperFeed.REPLAY and cfg.paper_replay_path is None:
        refuse("paper_replay_path", "missing, and PAPER_FEED=replay needs it")
    if cfg.paper_feed is PaperFeed.LIVE and cfg.paper_speed not in (None, 1.0):
        refuse("paper_speed", "live prices run at 1; choose another PAPER_FEED to go faster")
    begin, end = cfg.paper_replay_from, cfg.paper_replay_to
    if begin is not None and end is not None and begin >= end:
        refuse("paper_replay_to", f"must be after PAPER_REPLAY_FROM ({instant_text(begin)})")
    if not _is_loopback(cfg.dashboard_host):
        token = cfg.dashboard_token
        if token is None or len(token.get_secret_value()) < _TOKEN_LENGTH:
            refuse(
                "dashboard_host",
                f"not loopback, so DASHBOARD_TOKEN must be {_TOKEN_LENGTH} characters or more",
            )
    if cfg.alert_email_to and cfg.smtp_url is None:
        refuse("alert_email_to", "needs SMTP_URL")
    banned = sorted(set(cfg.symbols) & set(cfg.symbol_blacklist))
    if banned:
        refuse("symbols", f"{', '.join(banned)} also in SYMBOL_BLACKLIST")
    return problems


def _tier_problems(cfg: Settings, given: Mapping[str, Given]) -> list[str]:
    problems = []
    for info in CATALOGUE:
        if not info.ceiling:
            continue
        value, ceiling = getattr(cfg, info.field), info.tier_value(cfg.tier)
        if not exceeds(value, ceiling):
            continue
        reason = f"above the {cfg.tier} tier's ceiling of {to_text(ceiling)}"
        higher = [tier for tier in Tier if not exceeds(value, info.tier_value(tier))]
        if higher:
            reason += f" (TIER={higher[0]} allows {to_text(info.tier_value(higher[0]))})"
        problems.append(line(info, given.get(info.field), reason))
    return problems


def exceeds(value: object, ceiling: object) -> bool:
    return read_decimal(value) > read_decimal(ceiling)


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def start_problems(cfg: Settings, given: Mapping[str, Given], env_exposure: str) -> list[str]:
    """What stops a daemon from starting with a configuration that is consistent in itself."""
    problems = [] if cfg.dry_run else _key_problems(cfg)
    if cfg.resolved_settle_coin != cfg.resolved_quote_coin:
        problems.append(
            f"SETTLE_COIN={cfg.settle_coin}: contracts quoted in {cfg.resolved_quote_coin} settle "
            f"in {cfg.resolved_quote_coin}; leave it empty"
        )
    if (cfg.binance_rest_url is None) is not (cfg.binance_ws_url is None):
        problems.append("BINANCE_REST_URL and BINANCE_WS_URL: set both or none")
    recording = cfg.paper_replay_path if cfg.paper_feed is PaperFeed.REPLAY else None
    if cfg.dry_run and recording is not None and not recording.exists():
        problems.append(f"PAPER_REPLAY_PATH={recording}: no such file or folder")
    if cfg.venue is Venue.PROD and cfg.has_keys:
        problems += _production_problems(cfg, given, env_exposure)
    return problems


def _key_problems(cfg: Settings) -> list[str]:
    key, secret, path = (
        cfg.binance_api_key,
        cfg.binance_api_secret,
        cfg.binance_private_key_path,
    )
    problems = []
    if key is None and (secret is not None or path is not None):
        problems.append("BINANCE_API_KEY: missing, though a secret or key file is given")
    if key is not None and secret is None and path is None:
        problems.append(
            "BINANCE_API_SECRET: missing, though BINANCE_API_KEY is given "
            "(for an Ed25519 key give BINANCE_PRIVATE_KEY_PATH instead)"
        )
    if secret is not None and path is not None:
        problems.append("BINANCE_API_SECRET and BINANCE_PRIVATE_KEY_PATH: give one of them")
    if path is not None and not path.is_file():
        problems.append("BINANCE_PRIVATE_KEY_PATH: no such file")  # may be a key pasted here
    return problems


def _production_problems(cfg: Settings, given: Mapping[str, Given], env_exposure: str) -> list[str]:
    problems = []
    if "close_positions_on_shutdown" not in given:
        problems.append(
            "CLOSE_POSITIONS_ON_SHUTDOWN: must be said in production: true closes positions on a "
            "graceful stop, false leaves them under their exchange-side stops"
        )
    if env_exposure:
        problems.append(env_exposure)
    for key, url in (
        ("BINANCE_REST_URL", cfg.binance_rest_url),
        ("BINANCE_WS_URL", cfg.binance_ws_url),
    ):
        if url and _is_plain_and_far(url):
            problems.append(f"{key}={url}: keys would travel unencrypted; use https:// or wss://")
    return problems


def _is_plain_and_far(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "ws") and not _is_loopback(parts.hostname or "")


def start_warnings(cfg: Settings, env_exposure: str, *, env_has_secrets: bool) -> list[str]:
    """What an operator should know, though it does not stop the start."""
    warnings = []
    if env_exposure and env_has_secrets and cfg.venue is not Venue.PROD:
        warnings.append(env_exposure)
    if cfg.telegram_token is not None and not cfg.telegram_chat_id:
        warnings.append("TELEGRAM_CHAT_ID: empty, so a phone has to be paired: see the console")
    coin = cfg.resolved_quote_coin
    other = [symbol for symbol in cfg.symbols if not symbol.endswith(f"/{coin}:{coin}")]
    if other:
        warnings.append(
            f"SYMBOLS: {', '.join(other)} not quoted in {coin}, the quote coin of this run"
        )
    return warnings


def capped(given: Mapping[str, Given]) -> dict[str, Given]:
    """Lower what exceeds a tier chosen at run time to that tier's ceilings.

    An operator who lowers the tier from his phone wants less risk at once; the larger number in a
    file must not turn that into a refusal to start.
    """
    result = dict(given)
    tier_given = given.get("tier")
    if tier_given is None or tier_given.origin is not Origin.RUNTIME:
        return result
    tier = _tier_or_none(tier_given.raw)
    for info in CATALOGUE:
        source = given.get(info.field)
        if tier is None or not info.ceiling or source is None:
            continue
        value = _decimal_or_none(source.raw)
        ceiling = info.tier_value(tier)
        if (
            source.origin in (Origin.ENVIRONMENT, Origin.ENV_FILE)
            and value is not None
            and exceeds(value, ceiling)
        ):
            detail = f"ceiling of the {tier} tier chosen at run time, {source.where} says more"
            result[info.field] = Given(ceiling, Origin.RUNTIME, detail)
    return result


def _tier_or_none(raw: object) -> Tier | None:
    try:
        return Tier(str(raw).strip().lower())
    except ValueError:
        return None


def _decimal_or_none(raw: object) -> Decimal | None:
    try:
        return read_decimal(raw)
    except ValueError:
        return None
