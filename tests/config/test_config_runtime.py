"""Runtime overrides: kept whole, migrated, set aside when unreadable, never above the tier."""

import json
import os
import stat
from decimal import Decimal
from pathlib import Path

import pytest
from config_kit import Load

from core.config import RUNTIME_KEYS, TradingConfig
from core.domain.enums import Tier
from core.domain.errors import ConfigError
from core.kernel.config_meta import Origin
from core.kernel.config_model import CATALOGUE
from core.kernel.config_runtime import RuntimeOverride, RuntimeStore
from core.kernel.disk import MACHINE_DISK

AT_MS = 1_790_000_000_000


@pytest.fixture
def store(folder: Path) -> RuntimeStore:
    return RuntimeStore(folder / "data" / "runtime_config.json", CATALOGUE)


def put(store: RuntimeStore, text: str | bytes) -> None:
    store.path.parent.mkdir(exist_ok=True)
    store.path.write_bytes(text.encode() if isinstance(text, str) else text)


def record(store: RuntimeStore, key: str, value: str) -> None:
    store.record(key, value, who="@ann", at_ms=AT_MS, settings={"TIER": "balanced"})


def test_nothing_kept_is_nothing_overridden(store: RuntimeStore) -> None:
    assert store.load().overrides == {}
    store.clear()
    assert not store.path.exists()


def test_an_override_survives_with_who_and_when(store: RuntimeStore) -> None:
    record(store, "TIER", "balanced")
    record(store, "TRADING_ENABLED", "false")
    state = RuntimeStore(store.path, CATALOGUE).load()
    assert state.problems == ()
    assert state.overrides == {
        "TIER": RuntimeOverride("balanced", "@ann", AT_MS),
        "TRADING_ENABLED": RuntimeOverride("false", "@ann", AT_MS),
    }
    record(store, "TIER", "conservative")
    assert store.load().overrides["TIER"].value == "conservative"


def test_the_snapshot_keeps_the_overrides(store: RuntimeStore) -> None:
    record(store, "TIER", "balanced")
    store.snapshot({"CANDLES": "300"}, at_ms=AT_MS + 1)
    document = json.loads(store.path.read_text("utf-8"))
    assert document["settings"] == {"CANDLES": "300"}
    assert document["written_ms"] == AT_MS + 1
    assert list(store.load().overrides) == ["TIER"]


def test_the_file_is_private_and_no_scrap_is_left(store: RuntimeStore) -> None:
    record(store, "TIER", "balanced")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert os.listdir(store.path.parent) == ["runtime_config.json"]


def test_the_snapshot_has_no_secret(load: Load, store: RuntimeStore) -> None:
    cfg = load(
        "BINANCE_API_KEY=kkk-canary\nBINANCE_API_SECRET=sss-canary\nSMTP_URL=smtp://u:p-canary@h\n"
    )
    cfg.runtime_store().snapshot(cfg.settings_public(), at_ms=AT_MS)
    assert "canary" not in store.path.read_text("utf-8")


def test_a_failed_write_leaves_the_old_file(
    store: RuntimeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, "TIER", "balanced")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MACHINE_DISK, "flush", full)
    with pytest.raises(OSError, match="No space"):
        record(store, "TIER", "aggressive")
    assert store.load().overrides["TIER"].value == "balanced"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        b"\xff",
        '{"version": 99, "overrides": {}}',
        '{"version": 1}',
        '{"version": 1, "overrides": {"TIER": "balanced"}}',
        '{"version": 1, "overrides": {"TIER": {"value": 3, "who": "x", "at_ms": 1}}}',
        '{"TIER": ["balanced"]}',
        "[" * 100_000,
    ],
)
def test_an_unreadable_file_is_set_aside_and_keeps_entries_off(
    load: Load, store: RuntimeStore, text: str | bytes
) -> None:
    put(store, text)
    cfg = load()
    assert not cfg.trading_enabled
    (warning,) = cfg.warnings
    assert "set aside as runtime_config.json.corrupt-1; entries stay off" in warning
    assert len(warning.splitlines()) == 1
    aside = store.path.with_name("runtime_config.json.corrupt-1")
    assert aside.read_bytes() == (text.encode() if isinstance(text, str) else text)

    again = load()
    assert again.warnings == ()
    assert not again.trading_enabled
    put(store, "again{")
    load()
    assert store.path.with_name("runtime_config.json.corrupt-2").exists()
    assert load(reset_runtime=True).trading_enabled


def test_a_file_without_version_is_migrated(load: Load, store: RuntimeStore) -> None:
    put(store, '{"TIER": "balanced", "trading_enabled": false}')
    cfg = load()
    assert cfg.tier is Tier.BALANCED
    assert not cfg.trading_enabled
    record(store, "TIER", "aggressive")
    document = json.loads(store.path.read_text("utf-8"))
    assert document["version"] == 1
    assert document["overrides"]["TRADING_ENABLED"] == {
        "value": "false",
        "who": "an older version",
        "at_ms": 0,
    }


def test_what_cannot_change_at_run_time_is_ignored_and_named(
    load: Load, store: RuntimeStore
) -> None:
    put(store, '{"MAX_SYMBOLS": 3, "NOPE": 1, "TIER": "balanced"}')
    cfg = load()
    assert (cfg.max_symbols, cfg.tier) == (35, Tier.BALANCED)
    assert [line.partition(": ")[2] for line in cfg.warnings] == [
        "MAX_SYMBOLS cannot be set at run time, ignored",
        "NOPE cannot be set at run time, ignored",
    ]


def test_a_wrong_override_is_a_refusal_that_says_how_to_clear_it(
    load: Load, store: RuntimeStore
) -> None:
    record(store, "TIER", "reckless")
    with pytest.raises(ConfigError) as caught:
        load()
    (line,) = caught.value.problems
    assert line.startswith("TIER=reckless: must be conservative, balanced or aggressive (runtime")
    assert line.endswith("--reset-runtime clears it)")
    assert load(reset_runtime=True).tier is Tier.CONSERVATIVE
    assert not store.path.exists()


def test_the_runtime_file_follows_the_data_folder(load: Load, folder: Path) -> None:
    store = RuntimeStore(folder / "elsewhere" / "runtime_config.json", CATALOGUE)
    record(store, "TIER", "balanced")
    assert load().tier is Tier.CONSERVATIVE
    assert load("DATA_DIR=elsewhere\n").tier is Tier.BALANCED
    assert load("DATA_DIR=data\n", overrides={"DATA_DIR": "elsewhere"}).tier is Tier.BALANCED


# --- changing a running configuration ------------------------------------------------------------


def test_run_time_change(load: Load, store: RuntimeStore) -> None:
    cfg = load("LEVERAGE_DEFAULT=3\n")
    changed = cfg.with_runtime("AGGRESSION", "balanced", "@ann")
    assert (changed.tier, changed.risk_per_trade_pct) == (Tier.BALANCED, Decimal("0.01"))
    assert changed.leverage_default == 3
    assert cfg.tier is Tier.CONSERVATIVE
    assert changed.runtime_overrides() == {"TIER": "runtime override by @ann"}

    store.record("TIER", "balanced", who="@ann", at_ms=AT_MS, settings=changed.settings_public())
    assert load().settings_public() == changed.settings_public()


def test_run_time_change_refused(load: Load) -> None:
    cfg = load(overrides={"TIER": "balanced"})
    for key, value, reason in (
        ("TIER", "aggressive", "TIER: fixed by the command line"),
        ("MAX_SYMBOLS", "3", "MAX_SYMBOLS: cannot change at run time; edit .env and restart"),
        ("TRADING", "x", "did you mean TRADING_ENABLED"),
        ("TRADING_ENABLED", "maybe", "TRADING_ENABLED=maybe: must be true or false"),
    ):
        with pytest.raises(ConfigError) as caught:
            cfg.with_runtime(key, value, "@ann")
        assert reason in caught.value.problems[0]


def test_lowering_the_tier_caps_what_the_file_says(load: Load, store: RuntimeStore) -> None:
    env = "TIER=aggressive\nRISK_PER_TRADE_PCT=0.02\nLEVERAGE_DEFAULT=4\nMAX_POSITIONS=5\n"
    cfg = load(env)
    calmer = cfg.with_runtime("TIER", "conservative", "@ann")
    assert calmer.risk_per_trade_pct == Decimal("0.0075")
    assert calmer.max_concurrent_positions == 2
    assert calmer.leverage_default == 4
    assert calmer.source("RISK_PER_TRADE_PCT").where == (
        "ceiling of the conservative tier chosen at run time, .env line 2 says more"
    )
    assert calmer.with_runtime("TIER", "aggressive", "@ann").risk_per_trade_pct == Decimal("0.02")

    record(store, "TIER", "conservative")
    assert load().settings_public() == calmer.settings_public()


def test_only_the_file_and_the_environment_are_capped(load: Load, store: RuntimeStore) -> None:
    record(store, "TIER", "conservative")
    with pytest.raises(ConfigError, match="above the conservative tier's ceiling"):
        load(overrides={"RISK_PER_TRADE_PCT": "0.02"})


def test_what_may_change_at_run_time_is_marked() -> None:
    assert RUNTIME_KEYS == ("TRADING_ENABLED", "TIER")
    assert TradingConfig().origin("TRADING_ENABLED") is Origin.DEFAULT
