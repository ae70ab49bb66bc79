"""Which facts are told, how loudly, and with which playbook."""

import pytest

from core.domain.enums import Severity, StreamState
from core.domain.errors import CredentialsDead, RateLimited, RetryLater
from core.domain.facts import Alert, DaemonFact, ReconcileDone, RiskChanged, StreamChanged
from tgbot import playbooks
from tgbot.notices import notice_of, streak_text

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
    assert {playbook for _, playbook in FACTS if playbook} == set(playbooks.names())
    assert len(playbooks.names()) == 8


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
