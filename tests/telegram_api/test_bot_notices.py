"""Which facts are told, how loudly, and with which playbook."""

import re
from pathlib import Path

import pytest
from telegram_api.scene import Scene, on_stage

from core.domain.enums import DenyReason, Severity, StreamState
from core.domain.errors import CredentialsDead, RateLimited, RetryLater
from core.domain.facts import Alert, DaemonFact, ReconcileDone, RiskChanged, StreamChanged
from core.kernel.config_model import CATALOGUE
from tgbot import playbooks
from tgbot.notices import notice_of, streak_text

ROOT = Path(__file__).resolve().parents[2]

FACTS: list[tuple[DaemonFact, str]] = [
    (StreamChanged("user-stream", StreamState.DEGRADED, "silent", 1), "stream-down"),
    (Alert(Severity.WARNING, "market-stream", "frame lost", 1), "stream-down"),
    (Alert(Severity.WARNING, "stop:X", "X stop refused", 1), "naked-position"),
    (Alert(Severity.CRITICAL, "flatten:X", "X leaving", 1), "naked-position"),
    (
        Alert(Severity.WARNING, "stop:X", str(CredentialsDead("no", code=-2015, status=401)), 1),
        "key-revoked",
    ),
    (
        Alert(Severity.WARNING, "reconcile", str(RateLimited("no", code=-1003, status=418)), 1),
        "rate-limit-ban",
    ),
    (
        Alert(Severity.WARNING, "reconcile", str(RetryLater("no", code=-1016, status=503)), 1),
        "exchange-maintenance",
    ),
    (Alert(Severity.WARNING, "entry:X", str(RetryLater("no", code=-1021)), 1), "clock-skew"),
    (Alert(Severity.CRITICAL, "storage", "could not be written", 1), "disk-full"),
    (Alert(Severity.CRITICAL, "storage:disk", "little room on the disk", 1), "disk-full"),
    (Alert(Severity.CRITICAL, "storage:rebuilt", "damaged database", 1), "database-rebuilt"),
    (Alert(Severity.CRITICAL, "canary:user stream", "silent", 1), "silent-start"),
    (Alert(Severity.CRITICAL, "strategy:x", "switched off", 1), "strategy-fenced"),
    (Alert(Severity.WARNING, "order-ratio:X", "locked", 1), "order-ratios"),
    (Alert(Severity.CRITICAL, "contract:X", "leaving", 1), "contract-changed"),
    (Alert(Severity.WARNING, "instrument:X", "not listed", 1), "contract-changed"),
    (Alert(Severity.WARNING, "foreign-order:X", "not ours", 1), "foreign-trading"),
    (Alert(Severity.CRITICAL, "mode", "hedge", 1), "account-mode"),
    (Alert(Severity.CRITICAL, "margin", "margin call", 1), "margin-call"),
    (Alert(Severity.WARNING, "task:x", "failed", 1), "task-failed"),
    (
        RiskChanged(True, "halted", f"X BUY {DenyReason.REPEATED_ENTRY}: entries=6", 1),
        "repeated-entry",
    ),
    (RiskChanged(True, "storage", "risk memory cannot be written", 1), "disk-full"),
    (RiskChanged(True, "day_stop", "lost 2 %", 1), "daily-stop"),
    (RiskChanged(False, "cooldown_over", "over", 1), ""),
    (Alert(Severity.INFO, "else", "nothing", 1), ""),
]


@pytest.mark.parametrize(("fact", "playbook"), FACTS)
def test_the_playbook_of_a_fact(fact: DaemonFact, playbook: str) -> None:
    notice = notice_of(fact, "USDC", 0)
    assert notice is not None
    assert notice.playbook == playbook


def test_every_playbook_is_reached_by_some_fact_and_exists() -> None:
    by_bot = {"second-poller"}  # test_bot_outages: told by the bot itself
    assert {playbook for _, playbook in FACTS if playbook} | by_bot == set(playbooks.names())


def test_a_playbook_names_what_exists(tmp_path: Path) -> None:
    """Commands, settings, tools and other playbooks."""
    commands: set[str] = set()

    async def story(scene: Scene) -> None:
        for entry in scene.bot._parts.commands.table:
            commands.update((entry.name, *entry.aliases))

    on_stage(tmp_path, story)
    for name in playbooks.names():
        words = (playbooks.FOLDER / f"{name}.md").read_text("utf-8")
        quoted = re.findall(r"`([^`]+)`", words)
        for each in quoted:
            if re.fullmatch(r"/[a-z]+( [A-Za-z0-9]+)?", each) and each != "/revoke":
                assert each[1:].split()[0] in commands, f"{name}: {each}"
            elif re.fullmatch(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)+", each):
                assert each in {info.key for info in CATALOGUE}, f"{name}: {each}"
            elif each.startswith("python -m tools."):
                tool = each.split()[2].replace(".", "/")
                assert (ROOT / f"{tool}.py").is_file(), f"{name}: {each}"
        for book in re.findall(r"[Pp]laybook `([a-z-]+)`", words):
            assert book in playbooks.names(), f"{name}: {book}"


@pytest.mark.parametrize("name", playbooks.names())
def test_a_playbook_says_what_happened_what_was_done_and_what_to_do(name: str) -> None:
    card = playbooks.card(name, "🧪 PAPER")
    assert card is not None
    for heading in ("What the bot already did", "How to see it", "What to do"):
        assert f"▸ {heading}" in card.plain
    assert len(card.parts()) == 1


def test_what_nobody_needs_to_know_is_not_told() -> None:
    assert notice_of(ReconcileDone("timer", 0, 0, (), 12.0, 1), "USDC", 0) is None
    assert notice_of(RiskChanged(False, "new_day", "counters are zero", 1), "USDC", 0) is None


def test_loudness() -> None:
    blocked = notice_of(RiskChanged(True, "sl_streak", "3 in a row", 1), "USDC", 0)
    allowed = notice_of(RiskChanged(False, "cooldown_over", "over", 1), "USDC", 0)
    assert blocked is not None
    assert allowed is not None
    assert (blocked.severity, allowed.severity) == (Severity.WARNING, Severity.INFO)


def test_streaks_in_words() -> None:
    words = [streak_text(number) for number in (0, 1, 2, -1, -3)]
    assert words == ["none", "1 win", "2 wins", "1 loss", "3 losses"]
