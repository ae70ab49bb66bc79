"""The exchange's clock from samples with delays, drift and steps."""

from hypothesis import given
from hypothesis import strategies as st

from core.exchange.server_time import SAMPLE_MAX_AGE_S, ServerTime

TRUE_AHEAD_MS = 1_234


class HandClock:
    """Wall and monotonic time moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.wall_offset_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.wall_offset_ms + round(self.seconds * 1_000)

    def now_us(self) -> int:
        return self.now_ms() * 1_000

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Exchange:
    """Its clock is a fixed time ahead of the hand clock's wall at the start."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._zero_ms = clock.now_ms() - clock.seconds * 1_000 + TRUE_AHEAD_MS

    def now_ms(self) -> float:
        return self._zero_ms + self._clock.seconds * 1_000

    def sample(self, time: ServerTime, there_s: float, back_s: float) -> None:
        sent = self._clock.seconds
        self._clock.seconds += there_s
        server_ms = int(self.now_ms())
        self._clock.seconds += back_s
        time.add_sample(sent, self._clock.seconds, server_ms)


def test_without_a_sample_the_error_is_honest() -> None:
    clock = HandClock()
    time = ServerTime(clock)
    assert time.now_ms() == clock.now_ms()
    assert time.error_ms() >= 60_000
    assert time.stale
    assert not time.synced


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=8))
def test_the_bound_holds_for_every_delay(trips: list[tuple[float, float]]) -> None:
    clock = HandClock()
    exchange, time = Exchange(clock), ServerTime(clock)
    for there_s, back_s in trips:
        exchange.sample(time, there_s, back_s)
        assert abs(time.now_ms() - exchange.now_ms()) <= time.error_ms()


def test_the_quickest_sample_decides() -> None:
    clock = HandClock()
    exchange, time = Exchange(clock), ServerTime(clock)
    exchange.sample(time, 0.002, 0.002)
    exchange.sample(time, 1.5, 0.1)
    assert time.error_ms() <= 5
    assert abs(time.now_ms() - exchange.now_ms()) <= 3


def test_a_step_of_the_wall_clock_changes_nothing_but_asks_for_a_sample() -> None:
    clock = HandClock()
    exchange, time = Exchange(clock), ServerTime(clock)
    exchange.sample(time, 0.01, 0.01)
    before = time.now_ms()
    assert not time.stale
    clock.wall_offset_ms -= 3_600_000
    assert time.now_ms() == before
    assert time.stale


def test_samples_age_and_the_bound_grows() -> None:
    clock = HandClock()
    exchange, time = Exchange(clock), ServerTime(clock)
    exchange.sample(time, 0.01, 0.01)
    young = time.error_ms()
    clock.seconds += SAMPLE_MAX_AGE_S + 1
    assert time.stale
    assert time.error_ms() > young
    exchange.sample(time, 0.01, 0.01)
    assert not time.stale
    assert time.error_ms() <= young


def test_forgetting_keeps_the_estimate_and_asks_for_a_sample() -> None:
    clock = HandClock()
    exchange, time = Exchange(clock), ServerTime(clock)
    exchange.sample(time, 0.001, 0.001)
    time.forget()
    assert time.stale
    assert abs(time.now_ms() - exchange.now_ms()) <= 3
    exchange.sample(time, 0.5, 0.5)
    assert time.error_ms() >= 500
