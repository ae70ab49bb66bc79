"""Where values come from: precedence, unknown keys, secret files, exposure, production."""

import os
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from config_kit import Load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.config import TradingConfig
from core.domain.enums import Tier, Venue
from core.domain.errors import ConfigError
from core.kernel.config_meta import Origin

KEYS = "BINANCE_API_KEY=kkk\nBINANCE_API_SECRET=sss\n"
PRODUCTION = f"TESTNET=false\nCLOSE_POSITIONS_ON_SHUTDOWN=false\n{KEYS}"


def refusal(load: Load, *args: object, **kwargs: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*args, **kwargs)
    return caught.value.problems


def write_runtime(folder: Path, key: str, value: str) -> None:
    store = TradingConfig(DATA_DIR=folder / "data").runtime_store()
    store.record(key, value, who="@ann", at_ms=1_790_000_000_000, settings={})


def test_an_empty_clone_has_defaults(load: Load) -> None:
    cfg = load()
    assert cfg.settings_public() == TradingConfig().settings_public()
    assert cfg.warnings == ()
    assert not cfg.dry_run


def test_precedence_from_the_bottom_up(load: Load, folder: Path) -> None:
    assert load().origin("TIER") is Origin.DEFAULT
    assert load().origin("RISK_PER_TRADE_PCT") is Origin.TIER

    cfg = load("\n# comment\nTIER=balanced\nMAX_POSITIONS=1\n")
    assert (cfg.tier, cfg.origin("TIER")) == (Tier.BALANCED, Origin.ENV_FILE)
    assert cfg.source("MAX_CONCURRENT_POSITIONS").where == ".env line 4"
    assert cfg.risk_per_trade_pct == Decimal("0.01")

    cfg = load(environ={"TIER": "aggressive"})
    assert (cfg.tier, cfg.origin("TIER")) == (Tier.AGGRESSIVE, Origin.ENVIRONMENT)
    assert cfg.max_concurrent_positions == 1

    write_runtime(folder, "TIER", "conservative")
    cfg = load(environ={"TIER": "aggressive"})
    assert (cfg.tier, cfg.origin("TIER")) == (Tier.CONSERVATIVE, Origin.RUNTIME)
    assert cfg.source("TIER").where == (
        "runtime override by @ann at 2026-09-21 14:13:20Z; --reset-runtime clears it"
    )

    cfg = load(environ={"TIER": "aggressive"}, overrides={"TIER": "balanced"})
    assert (cfg.tier, cfg.origin("TIER")) == (Tier.BALANCED, Origin.COMMAND_LINE)


def test_the_process_environment_is_the_default_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_SYMBOLS", "7")
    (folder / ".env").write_text("MAX_SYMBOLS=6\nCANDLES=100\n", "utf-8")
    cfg = TradingConfig.from_env()
    assert (cfg.max_symbols, cfg.candles) == (7, 100)


def test_an_empty_value_is_not_given(load: Load) -> None:
    cfg = load("TIER=balanced\nSYMBOLS=\n", environ={"TIER": " "})
    assert (cfg.tier, cfg.origin("TIER")) == (Tier.BALANCED, Origin.ENV_FILE)
    assert cfg.symbols == ()


def test_foreign_variables_of_the_process_are_left_alone(load: Load) -> None:
    assert load(environ={"PATH": "/bin", "RISK_PER_TRADE": "9", "tier": "odd"}).tier is (
        Tier.CONSERVATIVE
    )


def test_unknown_key_in_the_file(load: Load) -> None:
    assert refusal(load, "TIER=balanced\nRISK_PER_TRADE_PC=0.01\nZZZ=1\n") == [
        ".env line 2: RISK_PER_TRADE_PC is not a setting; did you mean RISK_PER_TRADE_PCT?",
        ".env line 3: ZZZ is not a setting; see .env.example for all of them",
    ]


def test_everything_wrong_is_said_at_once(load: Load) -> None:
    problems = refusal(
        load, "NOPE=1\nMAX_SYMBOLS=0\nTIER=x\n", overrides={"LOG_LEVEL": "LOUD", "TIERS": "y"}
    )
    assert problems == [
        ".env line 1: NOPE is not a setting; see .env.example for all of them",
        "command line: TIERS is not a setting; did you mean TIER?",
        "MAX_SYMBOLS=0: must be a whole number ≥ 1 and ≤ 200 (.env line 2)",
        "TIER=x: must be conservative, balanced or aggressive (.env line 3)",
        "LOG_LEVEL=LOUD: must be DEBUG, INFO, WARNING, ERROR or CRITICAL (command line)",
    ]


@pytest.mark.parametrize("text", ["TIER", "TIER balanced", "'TIER=balanced", 'TIER="balanced'])
def test_malformed_line(load: Load, text: str) -> None:
    assert refusal(load, f"CANDLES=100\n\n{text}\n")[0] == ".env line 3: must be KEY=value"


def test_file_syntax(load: Load) -> None:
    cfg = load(
        "\ufeffexport CANDLES=100\nmax_symbols = 9 # nine\nDATA_DIR='a b'\nINSTANCE_ID=\"x1\"\n"
        "AUDIT_HMAC_KEY=a${HOME}b\n"
    )
    assert (cfg.candles, cfg.max_symbols, cfg.instance_id) == (100, 9, "x1")
    assert cfg.data_dir == Path("a b")
    assert cfg.audit_hmac_key == SecretStr("a${HOME}b")


def test_one_setting_under_two_names(load: Load) -> None:
    assert load("TIER=balanced\nAGGRESSION=balanced\n").tier is Tier.BALANCED
    assert refusal(load, "TIER=balanced\nAGGRESSION=aggressive\n") == [
        "TIER: given twice with different values (.env line 1; .env line 2)"
    ]


def test_a_named_file_must_exist(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"other\.env: no such file"):
        TradingConfig.from_env(env_file=folder / "other.env", environ={})


def test_unreadable_file(load: Load, folder: Path) -> None:
    (folder / ".env").write_bytes(b"TIER=\xff\xfe")
    assert refusal(load) == [".env: unreadable (not UTF-8 text)"]
    (folder / ".env").unlink()
    (folder / ".env").mkdir()
    assert refusal(load) == [".env: unreadable (Is a directory)"]


# --- secrets from files --------------------------------------------------------------------------


def test_secret_from_a_file(load: Load, folder: Path) -> None:
    (folder / "secret").write_text("from-file\n", "utf-8")
    cfg = load(environ={"BINANCE_API_SECRET_FILE": "secret", "BINANCE_API_KEY": "k"})
    assert cfg.binance_api_secret == SecretStr("from-file")
    assert cfg.source("BINANCE_API_SECRET").where == (
        "process environment, BINANCE_API_SECRET_FILE, from secret"
    )


@pytest.mark.parametrize("content", [None, "", " \n", "x" * 70_000, "a b"])
def test_secret_file_refused(load: Load, folder: Path, content: str | None) -> None:
    if content is not None:
        (folder / "secret").write_text(content, "utf-8")
    (line,) = refusal(load, environ={"TELEGRAM_TOKEN_FILE": "secret"})
    assert line.startswith("TELEGRAM_TOKEN")
    assert "a b" not in line


def test_only_secrets_have_a_file_variant(load: Load) -> None:
    (line,) = refusal(load, "TIER_FILE=x\n")
    assert "TIER_FILE is not a setting" in line


# --- exposure and production ---------------------------------------------------------------------


def test_production_with_a_private_file_starts(load: Load) -> None:
    cfg = load(PRODUCTION)
    assert cfg.venue is Venue.PROD
    assert not cfg.close_positions_on_shutdown


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_production_refuses_a_file_others_may_read(load: Load, mode: int) -> None:
    assert refusal(load, PRODUCTION, mode=mode) == [
        f".env: others may read it (mode {mode:04o}); run: chmod 600 .env"
    ]


def test_elsewhere_it_is_a_warning_when_it_holds_a_secret(load: Load) -> None:
    assert load(KEYS, mode=0o644).warnings == (
        ".env: others may read it (mode 0644); run: chmod 600 .env",
    )
    assert load("CANDLES=100\n", mode=0o644).warnings == ()


def test_production_refuses_a_file_in_version_control(load: Load, folder: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "--quiet")
    (folder / "x.env").touch()
    git("add", "x.env")
    assert load(PRODUCTION).venue is Venue.PROD
    git("add", ".env")
    assert refusal(load, PRODUCTION) == [
        ".env: tracked by git; run: git rm --cached .env and renew the keys in it"
    ]


def test_production_wants_the_shutdown_choice(load: Load) -> None:
    (line,) = refusal(load, f"TESTNET=false\n{KEYS}")
    assert line.startswith("CLOSE_POSITIONS_ON_SHUTDOWN: must be said in production")
    assert load("TESTNET=false\n").with_dry_run("no keys").venue is Venue.PAPER


def test_production_keys_do_not_travel_in_the_clear(load: Load) -> None:
    far = "BINANCE_REST_URL=http://10.0.0.9:1\nBINANCE_WS_URL=wss://10.0.0.9:1\n"
    assert refusal(load, PRODUCTION + far) == [
        "BINANCE_REST_URL=http://10.0.0.9:1: keys would travel unencrypted; use https:// or wss://"
    ]
    near = "BINANCE_REST_URL=http://127.0.0.1:1\nBINANCE_WS_URL=ws://127.0.0.1:1\n"
    assert load(PRODUCTION + near).custom_endpoint


@pytest.mark.parametrize(
    ("env", "start"),
    [
        ("BINANCE_API_KEY=k\n", "BINANCE_API_SECRET: missing"),
        ("BINANCE_API_SECRET=s\n", "BINANCE_API_KEY: missing"),
        (KEYS + "BINANCE_PRIVATE_KEY_PATH=.env\n", "BINANCE_API_SECRET and BINANCE_PRIVATE_KEY_"),
        ("BINANCE_API_KEY=k\nBINANCE_PRIVATE_KEY_PATH=/no/such\n", "BINANCE_PRIVATE_KEY_PATH: no"),
        ("BINANCE_REST_URL=http://127.0.0.1:1\n", "BINANCE_REST_URL and BINANCE_WS_URL: set both"),
        ("SETTLE_COIN=USDC\n", "SETTLE_COIN=USDC: contracts quoted in USDT settle in USDT"),
        (
            "DRY_RUN=1\nPAPER_FEED=replay\nPAPER_REPLAY_PATH=/no/such\n",
            "PAPER_REPLAY_PATH=/no/such",
        ),
    ],
)
def test_what_a_start_needs(load: Load, env: str, start: str) -> None:
    (line,) = refusal(load, env)
    assert line.startswith(start)


def test_half_a_key_does_not_matter_on_paper(load: Load) -> None:
    assert load("DRY_RUN=true\nBINANCE_API_KEY=k\n").venue is Venue.PAPER


def test_warnings(load: Load) -> None:
    assert load("SYMBOLS=XRPUSDC,ADAUSDT\nTELEGRAM_TOKEN=t\n").warnings == (
        "TELEGRAM_CHAT_ID: empty, so a phone has to be paired: see the console",
        "SYMBOLS: XRP/USDC:USDC not quoted in USDT, the quote coin of this run",
    )


# --- no secret in any message --------------------------------------------------------------------

CANARY = "cAnArY7331"
SECRETS = (
    "BINANCE_API_KEY",
    "BINANCE_API_SECRET",
    "TELEGRAM_TOKEN",
    "SLACK_WEBHOOK_URL",
    "SMTP_URL",
    "DASHBOARD_TOKEN",
    "AUDIT_HMAC_KEY",
)


def everything_of(error: BaseException) -> str:
    """All text an error could print, its whole chain and arguments included."""
    texts = []
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen), repr(seen.args)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize(
    "line",
    [
        "{key}={canary} x",
        "{key}_={canary}",
        "{key} {canary}",
        "{canary}{canary}{canary}{canary}=",
        "{canary}",
        "{key}_FILE={canary}",
        '{key}="{canary}',
        "BINANCE_REST_URL=http://user:{canary}@host",
        "BINANCE_WS_URL=wss://host/?token={canary}",
        "TELEGRAM_CHAT_ID=12:{canary}{canary}{canary}{canary}",
        "BINANCE_PRIVATE_KEY_PATH={canary}\nBINANCE_API_KEY=k",
        "{key}={canary}\n{key}={canary}2",
        "{key}={canary}\nTIER=x",
    ],
)
def test_a_refusal_never_repeats_a_secret(load: Load, key: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(line.format(key=key, canary=CANARY) + "\nTIER=\nMAX_SYMBOLS=x\n")
    assert CANARY.lower() not in everything_of(caught.value).lower()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_single_lines(load: Load, text: str) -> None:
    clean = text.encode("utf-8", "ignore").decode()
    assert all(len(line.splitlines()) == 1 for line in problems_of(load, clean))


def problems_of(load: Load, text: str) -> list[str]:
    try:
        load(text)
    except ConfigError as error:
        return error.problems or [""]
    return []


# --- changes -------------------------------------------------------------------------------------


def test_dry_run_by_the_program(load: Load) -> None:
    cfg = load("TESTNET=false\nTIER=balanced\n").with_dry_run("no API keys are configured")
    assert cfg.venue is Venue.PAPER
    assert cfg.close_positions_on_shutdown
    assert cfg.tier is Tier.BALANCED
    assert cfg.source("DRY_RUN").where == "no API keys are configured"
    assert cfg.source("DRY_RUN").origin is Origin.APPLICATION


def test_settings_by_the_program_win_over_the_command_line(load: Load) -> None:
    cfg = load(overrides={"LOG_LEVEL": "DEBUG"})
    changed = cfg.with_settings("embedded paper exchange", log_level="ERROR", BINANCE_API_KEY="k")
    assert changed.log_level == "ERROR"
    assert cfg.log_level == "DEBUG"
    with pytest.raises(ConfigError, match="did you mean LOG_LEVEL"):
        cfg.with_settings("x", LOG_LEVLE="ERROR")


def test_real_environment_is_not_needed(load: Load) -> None:
    assert load().data_dir == Path("data")
    assert not os.path.exists("data")
