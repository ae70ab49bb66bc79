"""Little room on the disk: entries stop and start again, everything that closes goes on."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from support.application import config_in, with_application
from support.world import SYMBOL, Daemon, World, approved, in_world

from core.app import Application
from core.assembly.disk_space import LOOK_EVERY_S, DiskSpace
from core.assembly.surroundings import Surroundings, machine_free_space
from core.domain.enums import ExitReason
from core.domain.facts import Alert, OrderChanged
from core.kernel.clock import SimulatedClock

MIB = 1024 * 1024
LEAST = 512


class Disk:
    """A disk whose free space the test says."""

    def __init__(self, mib: float = 10_000) -> None:
        self.mib = mib
        self.error: OSError | None = None
        self.asked: list[Path] = []

    def __call__(self, path: Path) -> int:
        self.asked.append(path)
        if self.error is not None:
            raise self.error
        return int(self.mib * MIB)


def gate(daemon: Daemon, world: World, disk: Disk) -> DiskSpace:
    return DiskSpace(
        (world.folder,),
        LEAST,
        probe=disk,
        hold=partial(daemon.orders.hold_entries, "disk"),
        clock=world.machine,
        publish=daemon.dispatcher.publish,
    )


def test_an_open_position_is_covered_and_closed_on_a_full_disk(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        disk = Disk()
        space = gate(daemon, world, disk)
        await space.look()
        assert await daemon.orders.place_order(approved())
        await world.wait(world.position)
        disk.mib = LEAST - 1
        await space.look()
        assert "disk_full" in daemon.orders.entries_blocked()
        await world.wait(lambda: world.stops() == world.position())
        report = await daemon.orders.close_position(SYMBOL, ExitReason.MANUAL)
        assert report.closed, report.detail
        await world.wait(lambda: not world.position())
        assert await daemon.orders.place_order(approved(number=2)) == ""
        await daemon.stop()

    in_world(tmp_path, story)


def test_an_entry_on_its_way_does_not_leave_any_more(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        disk = Disk()
        state = daemon.orders.reserve(approved())
        assert state is not None
        disk.mib = 1
        await gate(daemon, world, disk).look()
        await daemon.orders.send_entry(state, approved())
        (denied,) = [f for f in daemon.of(OrderChanged) if isinstance(f, OrderChanged)]
        assert (denied.status, denied.detail) == ("DENIED", "disk_full: free_mib=1 limit_mib=512")
        await world.wait(lambda: not daemon.orders.busy(SYMBOL))
        await daemon.stop()

    in_world(tmp_path, story)


def test_entries_begin_again_with_a_margin_only(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        disk = Disk()
        space = gate(daemon, world, disk)
        seen = []
        for mib in (LEAST, LEAST - 0.1, LEAST, LEAST * 1.24, LEAST * 1.25, LEAST, LEAST - 1):
            disk.mib = mib
            await space.look()
            seen.append(bool(daemon.orders.entries_blocked()))
        assert seen == [False, True, True, True, False, False, True]
        told = [fact for fact in daemon.of(Alert) if isinstance(fact, Alert)]
        assert [alert.severity.value for alert in told] == ["critical", "info", "critical"]
        assert "free_mib=511 limit_mib=512" in told[0].text
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_disk_that_cannot_be_asked_counts_as_full(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        disk = Disk()
        space = gate(daemon, world, disk)
        disk.error = OSError(5, "Input/output error")
        await space.look()
        assert "unknown (Input/output error)" in daemon.orders.entries_blocked()
        disk.error = None
        await space.look()
        assert daemon.orders.entries_blocked() == ""
        await daemon.stop()

    in_world(tmp_path, story)


def test_the_daemon_watches_both_folders_and_says_why_it_does_not_trade(tmp_path: Path) -> None:
    disk = Disk()

    async def story(app: Application, clock: SimulatedClock) -> None:
        assert app.operator is not None
        assert app.operator.status().entries_blocked == ""
        disk.mib = 100
        await clock.sleep(LOOK_EVERY_S + 1)
        assert app.operator.status().entries_blocked == "disk_full: free_mib=100 limit_mib=512"
        await clock.sleep(6 * 3_600)  # signals come, and are refused with the number
        disk.mib = 5_000
        await clock.sleep(LOOK_EVERY_S + 1)
        assert app.operator.status().entries_blocked == ""

    surroundings = Surroundings(inline=True, free_space=disk)
    assert with_application(config_in(tmp_path), story, surroundings) == 0
    assert set(disk.asked) == {tmp_path / "data", tmp_path / "logs"}
    records = [
        json.loads(line)
        for p in sorted((tmp_path / "logs").glob("audit*.jsonl"))
        for line in p.open()
    ]
    alerts = [r["text"] for r in records if r["action"] == "alert" and r["key"] == "storage:disk"]
    assert [text.split(" (")[0] for text in alerts] == [
        "little room on the disk",
        "room on the disk again",
    ]
    refused = [r for r in records if r["action"] == "decision.skip"]
    assert any("disk_full" in json.dumps(r["checks"]) for r in refused)


def test_off_means_not_asked(tmp_path: Path) -> None:
    disk = Disk(0)

    async def story(app: Application, clock: SimulatedClock) -> None:
        await clock.sleep(60)
        assert app.operator is not None
        assert app.operator.status().entries_blocked == ""

    surroundings = Surroundings(inline=True, free_space=disk)
    assert with_application(config_in(tmp_path, MIN_FREE_DISK=0), story, surroundings) == 0
    assert disk.asked == []


def test_the_machine_is_asked_for_what_this_user_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine_free_space(tmp_path) == pytest.approx(
        shutil.disk_usage(tmp_path).free, abs=2**28
    )
