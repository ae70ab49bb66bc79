"""`python -m tools.backtest`, as an operator runs it."""

import csv
import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import backtest

MINUTE = 60_000
HEAD = "open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore"


def write_candles(path: Path, minutes: int, phase: float = 0.0) -> None:
    """Waves of several lengths with bursts of volume: enough for both sides to be wanted."""
    lines, before = [HEAD], 2.0
    for i in range(minutes):
        close = 2.0 + 0.05 * math.sin(i / 97 + phase) + 0.02 * math.sin(i / 23)
        close = round(close + 0.004 * math.sin(i * 1.7), 4)
        high, low = max(before, close) + 0.002, min(before, close) - 0.002
        volume = 5_000 if i % 45 == 0 else 900 + i % 7
        times = (i * MINUTE, (i + 1) * MINUTE - 1)
        prices = ",".join(f"{price:.4f}" for price in (before, high, low, close))
        lines.append(f"{times[0]},{prices},{volume},{times[1]},0,0,0,0,0")
        before = close
    with gzip.open(path, "wt") as text:
        text.write("\n".join(lines))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("candles")
    write_candles(folder / "XRPUSDT-1m-1970-01.csv.gz", 4_000)
    write_candles(folder / "ADAUSDT-1m-1970-01.csv.gz", 4_000, phase=2.0)
    return folder


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(
    capsys: pytest.CaptureFixture[str], data: Path, *arguments: str
) -> tuple[int, str, list[str]]:
    code = backtest.main(["--data", str(data), "--timeframe", "5m", "--draws", "20", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err.splitlines()


def answer(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> dict[str, object]:
    code, out, _ = run(capsys, data, "--json", *arguments)
    assert code == 0
    found: dict[str, object] = json.loads(out)
    return found


def rows(found: dict[str, object]) -> Sequence[dict[str, object]]:
    return found["strategies"]["scalping_v1"]  # type: ignore[index,no-any-return]  # from JSON


def test_the_table_names_every_symbol_and_what_was_assumed(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    code, out, err = run(capsys, data)
    assert (code, err) == (0, [])
    lines = out.splitlines()
    assert lines[0] == "scalping_v1, 5m candles, judged on 1m"
    assert lines[2].split() == [
        *("symbol", "period", "trades", "won", "pf", "net", "%", "dd", "%", "hold", "%"),
        *("random", "%", "5..95", "%", "beaten"),
    ]
    assert [line.split()[0] for line in lines[4:7]] == ["ADA/USDT:USDT", "XRP/USDT:USDT", "all"]
    assert "fee 0.05 % of every fill" in out
    assert "funding not known; risk guard off" in out
    assert max(map(len, lines)) <= 120


def test_json_holds_the_same_and_a_seed_repeats_it(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    first, again = (answer(capsys, data, "--seed", "5") for _ in range(2))
    assert first == again
    assert [row["symbol"] for row in rows(first)] == ["ADA/USDT:USDT", "XRP/USDT:USDT"]
    for row in rows(first):
        assert int(str(row["trades"])) > 10
        assert row["recorded"] == "1m"
    other = answer(capsys, data, "--seed", "6")
    assert [row["net"] for row in rows(other)] == [row["net"] for row in rows(first)]
    assert [row["random"] for row in rows(other)] != [row["random"] for row in rows(first)]


def test_symbols_and_period_are_chosen(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    part = answer(
        capsys, data, "--symbols", "ada/usdt", "--from", "1970-01-02", "--to", "1970-01-03"
    )
    (row,) = rows(part)
    assert (row["symbol"], row["end_ms"]) == ("ADA/USDT:USDT", 2 * 1_440 * MINUTE)
    assert row["start_ms"] == (1_440 + 5) * MINUTE
    assert 0 < int(str(row["trades"])) < int(str(rows(answer(capsys, data))[0]["trades"]))


def test_costs_and_funding_are_what_is_said(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    free = ("--symbols", "XRPUSDT", "--fee", "0", "--slippage", "0", "--stop-slippage", "0")
    (row,) = rows(answer(capsys, data, *free))
    assert row["fees"] == row["funding"] == "0"
    settled = [f"XRPUSDT,{hour * 3_600_000},0.0001" for hour in range(1, 60)]
    path = tmp_path / "funding.csv"
    path.write_text("symbol,funding_time,funding_rate\n" + "\n".join(settled))
    (paid,) = rows(answer(capsys, data, *free, "--funding", str(path)))
    assert paid["funding"] != "0"
    assert paid["trades"] == row["trades"]


def test_trades_go_into_a_file(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "trades.csv"
    found = answer(capsys, data, "--csv", str(path))
    with path.open(newline="") as text:
        written = list(csv.DictReader(text))
    assert len(written) == sum(int(str(row["trades"])) for row in rows(found))
    assert {trade["exit_reason"] for trade in written} <= {"stop_loss", "take_profit", "max_hold"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--symbols", "DOGEUSDT"], "no candles for DOGEUSDT; there are ADAUSDT, XRPUSDT"),
        (["--strategy", "nothing_v1"], "STRATEGY = nothing_v1: allowed are"),
        (["--to", "1970-01-01T02:00"], "no period longer than the strategy's warm-up"),
        (["--funding", "missing.csv"], "missing.csv"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], data: Path, arguments: list[str], says: str
) -> None:
    code, out, err = run(capsys, data, *arguments)
    assert (code, out) == (2, "")
    (line,) = err
    assert line.startswith("backtest: ")
    assert says in line


def test_a_broken_funding_file_is_told_by_its_line(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "funding.csv"
    path.write_text("symbol,funding_time,funding_rate\nXRPUSDT,1,0.1\nXRPUSDT,soon,0.1\n")
    code, _, err = run(capsys, data, "--funding", str(path))
    assert (code, err) == (
        2,
        [f"backtest: {path}: line 3: expected symbol, funding_time and funding_rate"],
    )


@pytest.mark.parametrize("wrong", ["-1", "0.5", "much"])
def test_a_cost_is_a_small_fraction(
    capsys: pytest.CaptureFixture[str], data: Path, wrong: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(capsys, data, f"--fee={wrong}")
    assert ended.value.code == 2
    assert "is not a" in capsys.readouterr().err
