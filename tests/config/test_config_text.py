"""What is printed about the configuration, and the documents made from it."""

import subprocess
import sys
from pathlib import Path

import pytest
from config_kit import Load
from dotenv import dotenv_values

from core.config import TradingConfig, explain, render_effective
from core.domain.errors import ConfigError
from core.kernel.config_meta import SettingInfo
from core.kernel.config_model import CATALOGUE
from tools import config_reference

ROOT = Path(__file__).resolve().parents[2]


def test_explain_one(load: Load) -> None:
    cfg = load("RISK_PER_TRADE_PCT=0.005\n")
    assert explain(cfg, "risk_per_trade_pct").splitlines() == [
        "RISK_PER_TRADE_PCT = 0.005 (0.5 %)",
        "  origin   .env line 1",
        "  default  0.0075 conservative, 0.01 balanced, 0.02 aggressive",
        "  allowed  a fraction > 0 and ≤ 0.02; "
        "at most 0.0075 conservative, 0.01 balanced, 0.02 aggressive",
        "  meaning  part of equity lost when the stop is hit, fees and slippage included",
        "  changes  with a restart",
    ]


def test_explain_by_alias_and_at_run_time(load: Load) -> None:
    text = explain(load(), "AGGRESSION")
    assert text.startswith("TIER = conservative\n")
    assert "  also as  STRATEGY_TIER, AGGRESSION\n" in text
    assert text.endswith("  changes  at run time")


def test_explain_all_has_every_key_with_its_meaning(load: Load) -> None:
    text = explain(load())
    for info in CATALOGUE:
        assert f"{info.key} = " in text
        assert info.meaning in text


def test_explain_unknown_key(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        explain(load(), "LEVERAGE")
    assert caught.value.problems == ["LEVERAGE is not a setting; did you mean LEVERAGE_DEFAULT?"]


def test_effective_marks_what_differs(load: Load) -> None:
    lines = render_effective(load("TIER=balanced\nCANDLES=300\n")).splitlines()
    starred = [line for line in lines if line.startswith("* ")][1:]
    assert len(starred) == 1
    assert starred[0].split() == ["*", "TIER", "balanced", "[.env", "line", "1]"]
    assert sum(line.startswith(("  ", "* ")) for line in lines) == len(list(CATALOGUE)) + 1


def test_nothing_printed_has_a_secret(load: Load) -> None:
    secrets = {info.key: f"canary-{info.field}" for info in CATALOGUE if info.secret}
    secrets["SLACK_WEBHOOK_URL"] = "https://hooks.example/canary"
    secrets["SMTP_URL"] = "smtp://u:canary@mail.example"
    cfg = load(environ=secrets)
    printed = [
        explain(cfg),
        render_effective(cfg),
        repr(cfg),
        str(cfg),
        repr(cfg.settings_public()),
        repr(cfg._given),
        repr(cfg._effective),
        repr(cfg.model_dump()),
        cfg.model_dump_json(),
    ]
    assert "canary" not in "".join(printed)
    assert render_effective(cfg).count("*** (sha256 ") == len(secrets)


# --- metadata and documents ----------------------------------------------------------------------


@pytest.mark.parametrize("info", list(CATALOGUE), ids=lambda info: info.key)
def test_every_setting_is_described(info: SettingInfo) -> None:
    assert info.meaning
    assert info.default_text
    assert info.bounds_text
    assert "\n" not in info.meaning


def test_the_catalogue_and_the_model_are_the_same_list() -> None:
    assert sorted(info.field for info in CATALOGUE) == sorted(TradingConfig.model_fields)
    assert len(set(CATALOGUE.names)) == len(CATALOGUE.names)


def test_documents_are_in_step() -> None:
    assert config_reference.outdated(ROOT) == []


def test_a_document_out_of_step_is_noticed(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("TIER=conservative\n", "utf-8")
    assert config_reference.outdated(tmp_path) == [
        config_reference.REFERENCE,
        config_reference.ENV_EXAMPLE,
    ]


def test_the_example_copied_as_it_is_changes_nothing(load: Load) -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    cfg = load(text)
    assert cfg.settings_public() == TradingConfig().settings_public()
    assert list(dotenv_values(ROOT / ".env.example")) == [info.key for info in CATALOGUE]
    assert cfg.with_dry_run("no keys").venue == "paper"


def test_the_preset_loads_and_says_what_its_head_says(load: Load) -> None:
    cfg = load((ROOT / "deploy/presets/usdc-400.env").read_text("utf-8")).with_dry_run("rehearsal")
    assert cfg.warnings == ()
    assert cfg.resolved_quote_coin == "USDC"
    assert len(cfg.symbols) == 5
    risk = cfg.paper_balance * cfg.risk_per_trade_pct
    notional = risk / cfg.stop_loss_pct
    assert (risk, notional, notional / cfg.leverage_default) == (3, 375, 75)


@pytest.mark.parametrize(
    ("flag", "first"), [("--env-example", "# Copy to .env"), ("--write", ""), (None, "# Config")]
)
def test_the_tool_prints(
    flag: str | None,
    first: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(config_reference, "ROOT", tmp_path)
    assert config_reference.main([flag] if flag else []) == 0
    assert capsys.readouterr().out.startswith(first)
    assert config_reference.main(["--check"]) == (0 if flag == "--write" else 1)


def test_importing_the_configuration_loads_nothing_heavy() -> None:
    code = (
        "import sys, core.config; "
        "print([m for m in ('numpy', 'ccxt', 'aiohttp', 'pydantic_settings', 'asyncio') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
