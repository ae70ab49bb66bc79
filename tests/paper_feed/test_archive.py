"""Reading candle files: every packing, and one clear line for every defect."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from feed_kit import MINUTE, START, archive, real_candles, row, write

from core.domain.errors import DataError
from core.paper.archive import parse_name, read_archive

NAME = "BTCUSDT-1m-2025-06"
ROWS = [row(START + n * MINUTE) for n in range(5)]


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".zip"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("unit", [1, 1000])
def test_every_packing_gives_the_same_candles(
    tmp_path: Path, kind: str, header: bool, unit: int
) -> None:
    lines = [row(START + n * MINUTE, unit=unit) for n in range(5)]
    path = write(tmp_path / (NAME + kind), lines, header=header)
    series = read_archive(path)["BTCUSDT"]
    assert series.time.tolist() == [START + n * MINUTE for n in range(5)]
    assert (series.price_decimals, series.volume_decimals, series.quote_decimals) == (1, 3, 1)
    assert series.high.tolist() == [1015] * 5
    assert series.volume.tolist() == [7003] * 5
    assert series.quote.tolist() == [7005] * 5
    assert series.trades.tolist() == [9] * 5
    assert (series.base, series.interval, series.end_ms) == ("BTC", "1m", START + 5 * MINUTE)


def test_numbers_keep_every_digit_and_shed_padding(tmp_path: Path) -> None:
    prices = ("0.00000123", "0.00000130", "0.00000100", "0.00000120")
    lines = [
        row(START, prices, volume="123456789.12000000", quote="9007199254740993.5"),
        row(START + MINUTE, ("1e-6", "1.3E-6", "0.000001", "0.0000012"), volume="1"),
    ]
    series = read_archive(write(tmp_path / f"{NAME}.csv", lines))["BTCUSDT"]
    assert series.price_decimals == 8
    assert series.open.tolist() == [123, 100]
    assert series.volume_decimals == 2
    assert series.volume.tolist() == [12345678912, 100]
    assert series.quote.tolist() == [90071992547409935, 7005]  # beyond what a float can hold
    assert series.open.dtype == np.int32


def test_files_of_a_folder_are_stitched_in_time_order(tmp_path: Path) -> None:
    lines = [row(START + n * MINUTE, volume=str(n)) for n in range(9)]
    (tmp_path / "klines").mkdir()
    write(tmp_path / "klines" / "BTCUSDT-1m-2025-06-02.zip", lines[4:])
    write(tmp_path / "BTCUSDT-1m-2025-06-01.csv", lines[:5])  # shares a row with the other
    write(tmp_path / "ETHUSDT-1m-2025-06.csv.gz", lines[:2])
    write(tmp_path / "BTCUSDT-1h-2025-06.csv", [row(START, interval_ms=60 * MINUTE)])
    (tmp_path / "BTCUSDT-1m-2025-06-01.zip.CHECKSUM").write_text("abc")
    (tmp_path / "notes.csv").write_text("x")
    recorded = read_archive(tmp_path)
    assert list(recorded) == ["BTCUSDT", "ETHUSDT"]
    assert recorded["BTCUSDT"].volume.tolist() == list(range(9))
    assert recorded["BTCUSDT"].interval == "1m"


def test_files_that_disagree_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "BTCUSDT-1m-a.csv", [row(START, volume="1")])
    write(tmp_path / "BTCUSDT-1m-b.csv", [row(START, volume="2")])
    with pytest.raises(DataError, match=rf"BTCUSDT.*disagree on volume.*{START}"):
        read_archive(tmp_path)


def test_gaps_are_counted(tmp_path: Path) -> None:
    lines = [row(START + n * MINUTE) for n in (0, 1, 3, 4, 9)]
    series = read_archive(write(tmp_path / f"{NAME}.csv", lines))["BTCUSDT"]
    assert series.gaps(0, series.end_ms) == 2
    assert series.gaps(START + 3 * MINUTE, series.end_ms) == 1


GOOD = row(START)
SECOND = START + MINUTE


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(START), "same open_time"),
        (row(START - MINUTE), "before that of the row before"),
        (row(SECOND + 1), "not a multiple of 1m"),
        (row(SECOND, interval_ms=5 * MINUTE), "close_time does not fit the interval 1m"),
        (row(SECOND, ("100", "99", "98", "98.5")), "high is below open"),
        (row(SECOND, ("100", "90", "110", "105")), "high is below low"),
        (row(SECOND, ("100", "110", "105", "107")), "low is above open"),
        (row(SECOND, ("0", "1", "0", "1")), "not above zero"),
        (row(SECOND, ("100", "abc", "98", "99")), "high is not a number: 'abc'"),
        (row(SECOND, ("100", "101", "98", "")), "close is (not a number|empty)"),
        (row(SECOND, ("100", "101.1.1", "98", "99")), "high is not a number: '101.1.1'"),
        (row(SECOND, volume="-1"), "volume is not a valid amount: '-1'"),
        (row(SECOND, volume="nan"), "volume is not a valid amount: 'nan'"),
        (row(SECOND, volume="99999999999999999999"), "volume has too many digits"),
        (row(SECOND) + ",9", "13 columns, expected 12"),
        ("1,2,3", "3 columns, expected 12"),
        ("", "1 columns, expected 12"),
    ],
)
@pytest.mark.parametrize("header", [True, False])
def test_a_defect_names_file_line_and_reason(
    tmp_path: Path, bad: str, reason: str, header: bool
) -> None:
    lines = [GOOD, bad, row(START + 9 * MINUTE)]
    path = write(tmp_path / f"{NAME}.csv", lines, header=header)
    with pytest.raises(DataError, match=rf"{NAME}.csv: line {3 if header else 2}: .*{reason}") as e:
        read_archive(path)
    assert "\n" not in str(e.value)


def test_a_defect_beyond_the_first_chunk_names_its_line(tmp_path: Path) -> None:
    lines = [row(START + n * MINUTE) for n in range(9000)]
    lines[8999] = row(START)
    with pytest.raises(DataError, match="line 9001: open_time is before"):
        read_archive(write(tmp_path / f"{NAME}.csv", lines))


def test_digits_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    lines = [row(START, volume="9" * 18), row(SECOND, volume="0.00000001")]
    with pytest.raises(DataError, match="too many digits"):
        read_archive(write(tmp_path / f"{NAME}.csv", lines))


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(ROWS * 1000).encode())
    for name, data in (
        (f"{NAME}.csv.gz", packed[: len(packed) // 2]),
        ("ETHUSDT-1m-2025-06.csv.gz", b"not gzip at all"),
        ("SOLUSDT-1m-2025-06.zip", b"PK not zip"),
        ("XRPUSDT-1m-2025-06.csv", b"\xff\xfe\x00\x01"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}: unreadable or truncated"):
            read_archive(tmp_path / name)


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / f"{NAME}.zip", ROWS * 100)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=f"{NAME}.zip: unreadable or truncated"):
        read_archive(path)


def test_a_zip_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr(f"{NAME}.csv", "\n".join(ROWS))
    data = bytearray(path.read_bytes())
    data[data.index(b"100.0") + 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=f"{NAME}.zip: unreadable or truncated.*CRC"):
        read_archive(path)


def test_a_zip_with_two_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.csv", "")
        file.writestr("b.csv", "")
    with pytest.raises(DataError, match="holds 2 csv files, expected one"):
        read_archive(path)


def test_nothing_usable_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no candle file here; expected names like"):
        read_archive(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        read_archive(tmp_path / "missing")
    empty = write(tmp_path / f"{NAME}.csv", [])
    with pytest.raises(DataError, match="no candles in the file"):
        read_archive(empty)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTCUSDT-1m-2025-05.zip", ("BTC", "1m")),
        ("1000SHIBUSDC-15m-20250504-20250624.csv.gz", ("1000SHIB", "15m")),
        ("ETHBUSD-1h-2021-01-01.csv", ("ETH", "1h")),
        ("币安人生USDT-1d-2026-01.zip", ("币安人生", "1d")),
        ("BTCUSDT-1mo-2025.zip", None),
        ("BTCUSDT-aggTrades-2025-05.zip", None),
        ("BTCUSDT-1m-2025-05.zip.CHECKSUM", None),
        ("USDT-1m-2025-05.zip", None),
        ("funding-8h-20250525-20250624.csv.gz", None),
    ],
)
def test_names(name: str, expected: tuple[str, str] | None) -> None:
    parsed = parse_name(Path(name))
    assert (None if parsed is None else (parsed.base, parsed.interval)) == expected


@real_candles
def test_recorded_archive_reads_whole_and_exact() -> None:
    path = next(iter(sorted((archive() / "1m").glob("BTCUSDT-1m-*.csv.gz"))))
    series = read_archive(path)["BTCUSDT"]
    with gzip.open(path, "rt") as file:
        lines = file.read().splitlines()[1:]
    assert len(series) == len(lines)
    assert series.gaps(0, series.end_ms) == 0
    for index in range(0, len(lines), 997):
        fields = lines[index].split(",")
        assert int(fields[0]) == series.time[index]
        for text, column in zip(
            fields[1:5], (series.open, series.high, series.low, series.close), strict=True
        ):
            assert round(float(text) * 10**series.price_decimals) == column[index]
        assert round(float(fields[5]) * 10**series.volume_decimals) == series.volume[index]
