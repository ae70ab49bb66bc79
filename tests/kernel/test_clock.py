"""Both clocks, and the seeded sources of chance."""

import asyncio
import time

from core.kernel.chance import Chance, system_seed
from core.kernel.clock import LiveClock, SimulatedClock, stopwatch
from core.kernel.loops import run
from core.simulation.virtual_loop import virtual_loop_factory


def test_live_clock_is_the_machines() -> None:
    clock = LiveClock()
    before, monotonic = time.time_ns(), time.monotonic()
    readings = clock.now_us(), clock.now_ms(), clock.monotonic()
    after = time.time_ns()
    assert before // 1_000 <= readings[0] <= after // 1_000
    assert before // 1_000_000 <= readings[1] <= after // 1_000_000
    assert monotonic <= readings[2] <= time.monotonic()
    assert stopwatch() <= stopwatch()


def test_simulated_clock_shifts_only_its_wall_face() -> None:
    async def main() -> None:
        clock = SimulatedClock(1_700_000_000_000, asyncio.get_running_loop())
        assert (clock.now_ms(), clock.monotonic()) == (1_700_000_000_000, 0.0)
        await clock.sleep(1.5)
        assert (clock.now_ms(), clock.monotonic()) == (1_700_000_001_500, 1.5)
        clock.shift(-3600.25)
        assert (clock.now_ms(), clock.monotonic()) == (1_699_996_401_250, 1.5)
        await clock.sleep(-1)  # the past is now
        assert clock.monotonic() == 1.5

    run(main(), loop_factory=virtual_loop_factory())


def test_streams_of_chance_are_independent_and_reproducible() -> None:
    chance = Chance(7)
    jitter, faults = chance.stream("jitter"), chance.stream("faults")
    expected = Chance(7).stream("faults").random()
    for _ in range(100):
        jitter.random()
    assert faults.random() == expected
    assert Chance(7).stream("jitter").random() != expected
    assert Chance(8).stream("faults").random() != expected
    # the same in every process and version: recorded seeds must keep their meaning
    assert Chance(7).stream("faults").getrandbits(32) == 2_799_316_759


def test_system_seed_is_not_constant() -> None:
    assert len({system_seed() for _ in range(8)}) == 8
