"""A person steers the simulated daemon by Telegram while both fail; breakages that are caught."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.simulation.schedule import FaultKind, write_script
from tgbot import confirm
from tgbot.auth import Gate, Verdict
from tgbot.outbox import Outbox
from tools.simulation import chat
from tools.simulation.campaign import SeedRun, drive, plan_of
from tools.simulation.chat import ChatKind

VIOLENT = (FaultKind.KILL, FaultKind.STOP_REFUSED, FaultKind.STREAMS_CUT)


def run_phone(
    seed: int, hours: float, folder: Path, kinds: tuple[FaultKind, ...], busy: float
) -> SeedRun:
    script = write_script(seed, hours, kinds)
    return drive(script, folder / "run", SeedRun.play, replace(plan_of(script), phone=busy))


def fly(seed: int, folder: Path) -> list[str]:
    run = run_phone(seed, 0.2, folder, (), 5.0)
    return [str(each) for each in run.observer.violations]


def test_a_person_steers_a_daemon_that_is_killed_and_cut_off(tmp_path: Path) -> None:
    run = run_phone(2, 0.5, tmp_path, VIOLENT, 3.0)
    assert run.observer.violations == []
    assert len(run.world.past) > 1
    assert len(run.world.paper.ledger.trades) > 5
    assert run.chat is not None
    assert set(run.chat.fired) == set(ChatKind)


def test_the_phone_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    digests = [
        run_phone(3, 0.1, tmp_path, (), intensity).world.trace.digest
        for intensity in (4.0, 4.0, 0.1)
    ]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def _everybody(_self: object, incoming: object, _update: int) -> Verdict:
    return Verdict.UNUSABLE if incoming is None else Verdict.ACCEPT


def _drop(_self: object, _item: object) -> None:
    """Messages go nowhere."""


MUTANTS: dict[str, tuple[Any, str, object, str, int]] = {
    "strangers command": (Gate, "_judge", _everybody, "chat 6660 was told", 2),
    "a question never expires": (confirm, "LIFE_S", 1e9, "a stale button was obeyed", 4),
    "answers are dropped": (Outbox, "put", _drop, "not answered", 1),
}
"""What is replaced, by what, what the observer says, and the seed to begin with."""
SEEDS = 4


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_phone_is_caught(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, attribute, instead, words, first = MUTANTS[name]
    monkeypatch.setattr(owner, attribute, instead)
    monkeypatch.setattr(chat, "_HALT_S", 10.0)  # more conversations in the same time
    blamed: list[str] = []
    for seed in range(first, first + SEEDS):
        blamed += fly(seed, tmp_path)
        if any(words in each for each in blamed):
            return
    raise AssertionError(f"not caught in {SEEDS} seeds: {blamed}")
