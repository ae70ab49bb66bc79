"""Strategies are found by file, checked before trading, and cannot take each other down."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from decide_builders import synthetic_candles

import strategies
from core.config import TradingConfig
from core.domain.enums import Direction, Severity
from core.domain.errors import ConfigError
from core.domain.facts import Alert, DaemonFact
from core.domain.market import Candle, CandleArrays
from core.domain.strategy import NoSignal, Signal, SignalArrays, SignalRow, Strategy
from core.exchange.candle_series import CandleSeries
from core.kernel.clock import LiveClock
from core.strategy_manager import (
    CRASHES_IN_A_ROW,
    CRASHES_PER_SYMBOL,
    StrategyCrashed,
    StrategyManager,
    discover,
    load_strategy,
)
from strategies.base_strategy import silent
from strategies.scalping_v1 import ScalpingV1

XRP, ADA = "XRP/USDC:USDC", "ADA/USDC:USDC"
CANDLES = synthetic_candles(300)


class Collected:
    def __init__(self) -> None:
        self.facts: list[DaemonFact] = []

    def publish(self, fact: DaemonFact) -> None:
        self.facts.append(fact)


class Scripted:
    """A strategy whose behaviour the test chooses."""

    warmup = 10

    def __init__(
        self, behaviour: Callable[[CandleArrays], SignalArrays], name: str = "scripted"
    ) -> None:
        self.behaviour = behaviour
        self.name = name
        self.tag = name[:4]

    def signals(self, candles: CandleArrays) -> SignalArrays:
        return self.behaviour(candles)

    def latest(self, candles: CandleArrays) -> SignalRow:
        return self.signals(candles).last(len(candles))


def verdicts(direction: int, strength: float = 0.5, atr: float = 1.0) -> SignalArrays:
    quiet = silent(300, "confirm", "trend: ema9>ema21; nothing confirms")
    row = quiet.direction.copy()
    row[-1] = direction
    return SignalArrays(
        row, np.full(300, strength), np.full(300, atr), lambda i: f"row {i}", quiet.gate
    )


def crash(_: CandleArrays) -> SignalArrays:
    raise RuntimeError("division by cucumber")


def manager(*active: Strategy) -> tuple[StrategyManager, Collected]:
    heard = Collected()
    return StrategyManager(active, "15m", clock=LiveClock(), publish=heard), heard


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A second place strategies are found in; what was imported from it is forgotten after."""
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path)])
    known = set(sys.modules)
    yield tmp_path
    for name in [name for name in sys.modules if name not in known]:
        if name.startswith("strategies."):
            del sys.modules[name]


DROPPED = """
from core.domain.strategy import SignalArrays
from strategies.base_strategy import BaseStrategy, StrategyParams, silent


class Params(StrategyParams):
    length: int = 5


class Dropped(BaseStrategy[Params]):
    name = "{name}"
    tag = "{tag}"
    params_type = Params
    warmup = 5

    def signals(self, candles) -> SignalArrays:
        return silent(len(candles), "never", f"length {{self.params.length}}")
"""


def test_the_shipped_strategy_is_found() -> None:
    assert "scalping_v1" in discover()
    assert "base_strategy" not in discover()
    assert isinstance(load_strategy("scalping_v1"), ScalpingV1)


def test_dropping_a_file_adds_a_strategy(folder: Path) -> None:
    (folder / "dropped_one.py").write_text(DROPPED.format(name="dropped_one", tag="dr1"))
    strategy = load_strategy("dropped_one", {"length": 7})
    crew, _ = manager(strategy, ScalpingV1())
    first, second = crew.evaluate(XRP, CANDLES)
    assert isinstance(first, NoSignal)
    assert (first.strategy, first.gate, first.detail) == ("dropped_one", "never", "length 7")
    assert second.strategy == "scalping_v1"
    assert crew.tags == {"dropped_one": "dr1", "scalping_v1": "scv1"}


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("broken_syntax", "def (:", "cannot be loaded"),
        ("broken_import", "import no_such_library", "cannot be loaded"),
        ("empty_file", "", "must define one BaseStrategy named 'empty_file'"),
        ("bad_tag", DROPPED.format(name="bad_tag", tag="Toolong"), "tag 'Toolong'"),
    ],
)
def test_a_bad_file_is_named_and_leaves_the_others_alone(
    folder: Path, name: str, source: str, words: str
) -> None:
    (folder / f"{name}.py").write_text(source)
    with pytest.raises(ConfigError, match=words):
        load_strategy(name)
    assert isinstance(load_strategy("scalping_v1"), ScalpingV1)


def test_unknown_names_and_parameters_are_told_with_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=r"allowed are .*scalping_v1"):
        load_strategy("scalping_v9")
    with pytest.raises(ConfigError, match=r"scalping_v1\.rsi_length = 'many'"):
        load_strategy("scalping_v1", {"rsi_length": "many"})


def test_every_bad_parameter_has_a_line_of_its_own() -> None:
    with pytest.raises(ConfigError) as refused:
        load_strategy("scalping_v1", {"rsi_length": 1, "ema_fats": 3, "atr_max": "wide"})
    assert sorted(refused.value.problems) == [
        "scalping_v1.atr_max = 'wide': "
        "Input should be a valid number, unable to parse string as a number",
        "scalping_v1.ema_fats = 3: Extra inputs are not permitted",
        "scalping_v1.rsi_length = 1: Input should be greater than or equal to 2",
    ]
    with pytest.raises(ConfigError) as refused:
        load_strategy("scalping_v1", {"ema_fast": 30, "ema_slow": 20})
    assert refused.value.problems == [
        "scalping_v1 = ema_fast 30, ema_slow 20: ema_fast must be below ema_slow"
    ]


def test_from_config_takes_a_comma_list(folder: Path) -> None:
    (folder / "dropped_two.py").write_text(DROPPED.format(name="dropped_two", tag="dr2"))
    config = TradingConfig(STRATEGY="scalping_v1, dropped_two")
    crew = StrategyManager.from_config(config, params={"dropped_two": {"length": 3}})
    assert crew.names == ("scalping_v1", "dropped_two")
    assert crew.warmup == 105


def test_a_strategy_that_could_never_speak_is_refused() -> None:
    with pytest.raises(ConfigError, match="CANDLES = 60: scalping_v1 needs at least 105"):
        StrategyManager.from_config(TradingConfig(CANDLES=60))


def test_names_and_tags_must_differ() -> None:
    with pytest.raises(ConfigError, match="must differ"):
        StrategyManager([ScalpingV1(), ScalpingV1()], "15m")
    with pytest.raises(ConfigError, match="at least one"):
        StrategyManager([], "15m")


@pytest.mark.parametrize(("sign", "direction"), [(1, Direction.LONG), (-1, Direction.SHORT)])
def test_a_signal_carries_the_candle_and_the_words(sign: int, direction: Direction) -> None:
    crew, heard = manager(Scripted(lambda _: verdicts(sign)))
    (signal,) = crew.evaluate(XRP, CANDLES)
    assert isinstance(signal, Signal)
    assert (signal.direction, signal.strength, signal.why) == (direction, 0.5, "row 299")
    assert signal.candle_open_ms == CANDLES.open_ms[-1]
    assert signal.candle_close_ms == signal.candle_open_ms + 15 * 60_000 - 1
    assert signal.atr_ratio == pytest.approx(1.0 / CANDLES.close[-1])
    assert heard.facts == []


def test_the_last_closed_candle_decides() -> None:
    candles = synthetic_candles(2_000, seed=11)
    whole = ScalpingV1().signals(candles)
    crew, _ = manager(ScalpingV1())
    compared = 0
    for end in range(1_700, 2_000):
        window = CandleArrays(
            *(getattr(candles, name)[end - 300 : end] for name in CandleArrays.__dataclass_fields__)
        )
        (verdict,) = crew.evaluate(XRP, window)
        sign = verdict.direction.sign if isinstance(verdict, Signal) else 0
        assert sign == whole.direction[end - 1]
        compared += sign != 0
    assert compared > 10


def test_too_few_candles_are_a_verdict_too() -> None:
    crew, _ = manager(ScalpingV1())
    (verdict,) = crew.evaluate(XRP, synthetic_candles(50))
    assert isinstance(verdict, NoSignal)
    assert (verdict.gate, verdict.detail) == ("warmup", "50 of 105 candles")
    nothing = CandleArrays(
        *(getattr(CANDLES, name)[:0] for name in CandleArrays.__dataclass_fields__)
    )
    assert crew.evaluate(XRP, nothing) == ()


def test_a_worthless_price_is_bad_data() -> None:
    candles = synthetic_candles(300)
    candles.close[-1] = float("nan")
    crew, _ = manager(Scripted(lambda _: verdicts(1)))
    (verdict,) = crew.evaluate(XRP, candles)
    assert isinstance(verdict, NoSignal)
    assert verdict.gate == "bad_data"


def test_a_crash_costs_only_its_own_verdict() -> None:
    crew, heard = manager(Scripted(crash), Scripted(lambda _: verdicts(1), "fine"))
    crashed, signal = crew.evaluate(XRP, CANDLES)
    assert isinstance(crashed, StrategyCrashed)
    assert crashed.error == "RuntimeError: division by cucumber"
    assert isinstance(signal, Signal)
    (alert,) = heard.facts
    assert isinstance(alert, Alert)
    assert (alert.severity, alert.key) == (Severity.WARNING, "strategy:scripted")
    assert XRP in alert.text
    assert "division by cucumber" in alert.text


@pytest.mark.parametrize(
    "answer",
    [
        silent(299, "confirm", ""),
        verdicts(3),
        verdicts(1, strength=float("nan")),
        verdicts(1, strength=1.5),
        verdicts(-1, atr=float("nan")),
        None,
    ],
)
def test_nonsense_is_a_crash_not_a_trade(answer: object) -> None:
    crew, _ = manager(Scripted(lambda _: answer))  # type: ignore[arg-type,return-value]  # nonsense
    (verdict,) = crew.evaluate(XRP, CANDLES)
    assert isinstance(verdict, StrategyCrashed)


def test_a_symbol_it_keeps_crashing_on_is_left_out() -> None:
    asked = [""]

    def picky(candles: CandleArrays) -> SignalArrays:
        return crash(candles) if asked[0] == XRP else verdicts(1)

    crew, heard = manager(Scripted(picky))
    for _ in range(CRASHES_PER_SYMBOL):
        asked[0] = XRP
        (crashed,) = crew.evaluate(XRP, CANDLES)
        asked[0] = ADA
        assert isinstance(crew.evaluate(ADA, CANDLES)[0], Signal)
    assert isinstance(crashed, StrategyCrashed)
    assert crashed.off == f"for {XRP}"
    last = heard.facts[-1]
    assert isinstance(last, Alert)
    assert last.severity is Severity.CRITICAL
    assert "exits go on" in last.text
    (off,) = crew.evaluate(XRP, CANDLES)
    assert isinstance(off, NoSignal)
    assert off.gate == "strategy_off"
    assert off.detail == (
        "switched off until restart: failed 3 times in a row: RuntimeError: division by cucumber"
    )
    assert isinstance(crew.evaluate(ADA, CANDLES)[0], Signal)
    assert crew.switched_off == ()
    assert crew.fenced == (
        f"scripted for {XRP}: failed 3 times in a row: RuntimeError: division by cucumber",
    )


def test_success_forgives_earlier_crashes() -> None:
    answers = iter([crash, crash, lambda _: verdicts(0), crash, crash, lambda _: verdicts(1)])

    def next_answer(candles: CandleArrays) -> SignalArrays:
        return next(answers)(candles)

    crew, _ = manager(Scripted(next_answer))
    outcomes = [type(crew.evaluate(XRP, CANDLES)[0]) for _ in range(6)]
    assert outcomes[2] is NoSignal
    assert outcomes[5] is Signal


def test_crashing_on_everything_switches_it_off_altogether() -> None:
    crew, heard = manager(Scripted(crash), Scripted(lambda _: verdicts(0), "fine"))
    for i in range(CRASHES_IN_A_ROW):
        crew.evaluate(f"S{i}/USDC:USDC", CANDLES)
    assert crew.switched_off == ("scripted",)
    last = heard.facts[-1]
    assert isinstance(last, Alert)
    assert "switched off everywhere" in last.text
    off, verdict = crew.evaluate("NEW/USDC:USDC", CANDLES)
    assert isinstance(off, NoSignal)
    assert (off.strategy, off.gate) == ("scripted", "strategy_off")
    assert (verdict.strategy, verdict.gate) == ("fine", "confirm")  # type: ignore[union-attr]  # no signal
    (line,) = crew.fenced
    assert line.startswith("scripted: failed 20 times in a row, the last time on S19/")


def endless(_: CandleArrays) -> SignalArrays:
    while True:
        pass


def stubborn(_: CandleArrays) -> SignalArrays:
    """Swallows what it can."""
    swallowed: list[Exception] = []
    while True:
        try:
            sum(range(100))
        except Exception as error:  # noqa: BLE001 - the point of the test
            swallowed.append(error)


def leave(_: CandleArrays) -> SignalArrays:
    raise SystemExit("enough")


def vandal(candles: CandleArrays) -> SignalArrays:
    candles.close[-1] = 0.0
    return verdicts(1)


def hurried(*active: Strategy) -> tuple[StrategyManager, Collected]:
    heard = Collected()
    return StrategyManager(active, "15m", clock=LiveClock(), publish=heard, timeout_s=0.05), heard


@pytest.mark.parametrize("behaviour", [endless, stubborn])
def test_an_endless_strategy_is_interrupted_and_after_the_second_time_off(
    behaviour: Callable[[CandleArrays], SignalArrays],
) -> None:
    crew, heard = hurried(Scripted(behaviour), Scripted(lambda _: verdicts(1), "fine"))
    for symbol in (XRP, ADA):
        crashed, signal = crew.evaluate(symbol, CANDLES)
        assert isinstance(crashed, StrategyCrashed)
        assert crashed.error == "no answer within 0.05 s, interrupted"
        assert isinstance(signal, Signal)
    assert crew.switched_off == ("scripted",)
    texts = [fact.text for fact in heard.facts if isinstance(fact, Alert)]
    assert len(texts) == 2, "once when it begins, once when it is switched off"
    assert "switched off everywhere until restart, other strategies and exits go on" in texts[1]
    off, signal = crew.evaluate("NEW/USDC:USDC", CANDLES)
    assert isinstance(off, NoSignal)
    assert "no answer within 0.05 s" in off.detail
    assert isinstance(signal, Signal)


def test_one_slow_answer_between_good_ones_is_forgiven() -> None:
    answers = iter([endless, lambda _: verdicts(0), endless, lambda _: verdicts(1)])

    def next_answer(candles: CandleArrays) -> SignalArrays:
        return next(answers)(candles)

    crew, _ = hurried(Scripted(next_answer))
    outcomes = [type(crew.evaluate(XRP, CANDLES)[0]) for _ in range(4)]
    assert outcomes == [StrategyCrashed, NoSignal, StrategyCrashed, Signal]
    assert crew.fenced == ()


def test_a_strategy_cannot_end_the_process() -> None:
    crew, _ = manager(Scripted(leave))
    (crashed,) = crew.evaluate(XRP, CANDLES)
    assert isinstance(crashed, StrategyCrashed)
    assert crashed.error == "SystemExit: enough"


def test_ctrl_c_is_not_the_strategys_to_keep() -> None:
    def interrupted(_: CandleArrays) -> SignalArrays:
        raise KeyboardInterrupt

    crew, _ = manager(Scripted(interrupted))
    with pytest.raises(KeyboardInterrupt):
        crew.evaluate(XRP, CANDLES)


def test_a_strategy_cannot_change_what_the_others_see() -> None:
    series = CandleSeries(900_000, 300)
    for i in range(300):
        series.offer(Candle(i * 900_000, 1.0, 1.0, 1.0, 1.0, 5.0))
    crew, _ = manager(Scripted(vandal), Scripted(lambda _: verdicts(1), "fine"))
    crashed, signal = crew.evaluate(XRP, series.arrays())
    assert isinstance(crashed, StrategyCrashed)
    assert "read-only" in crashed.error
    assert isinstance(signal, Signal)
    assert signal.close == 1.0


def test_one_success_keeps_it_on() -> None:
    asked = [""]

    def sometimes(candles: CandleArrays) -> SignalArrays:
        return verdicts(0) if asked[0] == ADA else crash(candles)

    crew, _ = manager(Scripted(sometimes))
    for i in range(2 * CRASHES_IN_A_ROW):
        asked[0] = ADA if i == CRASHES_IN_A_ROW - 1 else f"S{i}/USDC:USDC"
        crew.evaluate(asked[0], CANDLES)
        assert crew.switched_off == (("scripted",) if i == 2 * CRASHES_IN_A_ROW - 1 else ())
