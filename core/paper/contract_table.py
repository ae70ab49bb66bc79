"""Filters and leverage brackets of the usual contracts (floor 2c): data only.

Ticks and steps are the exchange's own strings; the number of their decimals is the contract's
pricePrecision and quantityPrecision, as in exchangeInfo. Rows with a `recorded` onboarding time
carry limits read from exchangeInfo; the others keep their real tick and step and take quantity
limits, protection bounds and fees that are usual for contracts of their size.

Brackets read `cap:leverage:maintenance ratio`; `cum` follows from them (see `contracts.py`).
"""

from dataclasses import dataclass

PLAIN = "5k:50:.01 50k:25:.02 600k:20:.025 1.2M:10:.05 3M:5:.1 4M:4:.125 6M:2:.25 10M:1:.5"  # small
LARGE = (
    "5k:75:.005 10k:50:.006 50k:40:.01 750k:25:.02 3M:10:.05 10M:5:.1 12M:4:.125 20M:3:.15 "
    "30M:2:.25 50M:1:.5"
)
MEDIUM = (
    "5k:75:.005 10k:50:.0065 25k:40:.0075 50k:25:.01 250k:20:.025 1M:10:.05 2M:5:.1 5M:4:.125 "
    "20M:2:.25 50M:1:.5"
)
UNLISTED = "10k:20:.025 100k:10:.05 500k:5:.1 1M:4:.125 3M:2:.25 5M:1:.5"
RECORDED_SINCE = 1_704_283_200_000
"""Onboarding of rows without a recorded time: the day the USDC contracts began."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contract of one quote coin. Quantities in base, `notional` in quote, all as text."""

    base: str
    tick: str
    step: str
    lot_max: str
    market_max: str
    brackets: str = PLAIN
    notional: str = "5"
    min_price: str = ""  # empty: one tick
    max_price: str = "100000"
    protect: str = "0.1500"
    take_bound: str = "0.15"
    fee: str = "0.015000"
    percent: tuple[str, str] = ("1.0500", "0.9500")
    onboard_ms: int = RECORDED_SINCE


USDC_ROWS: tuple[Row, ...] = (
    Row(
        "BTC",
        "0.1",
        "0.001",
        "800",
        "100",
        "50k:125:.004 500k:100:.005 10M:50:.01 80M:20:.025 150M:10:.05 300M:5:.1 450M:4:.125 "
        "600M:3:.15 800M:2:.25 1B:1:.5",
        notional="100",
        max_price="500000",
        fee="0.012500",
        onboard_ms=1_704_285_000_000,
    ),
    Row(
        "ETH",
        "0.01",
        "0.001",
        "8000",
        "700",
        "50k:125:.004 500k:100:.005 1M:75:.0065 5M:50:.01 50M:20:.02 100M:10:.05 150M:5:.1 "
        "300M:4:.125 400M:3:.15 500M:2:.25 800M:1:.5",
        notional="20",
        protect="0.0500",
        take_bound="0.05",
        fee="0.012500",
        onboard_ms=1_704_285_300_000,
    ),
    Row(
        "BNB",
        "0.010",
        "0.01",
        "80000",
        "1600",
        "10k:75:.005 50k:50:.01 200k:40:.015 1M:25:.02 2M:20:.025 10M:10:.05 20M:5:.1 25M:4:.125 "
        "50M:2:.25 100M:1:.5",
        onboard_ms=1_704_285_600_000,
    ),
    Row(
        "SOL",
        "0.0100",
        "0.01",
        "800000",
        "4000",
        "10k:100:.005 50k:75:.0065 200k:50:.01 500k:40:.012 1M:25:.02 2M:20:.025 5M:10:.05 "
        "15M:5:.1 20M:4:.125 50M:2:.25 100M:1:.5",
        min_price="0.1000",
        onboard_ms=1_704_285_900_000,
    ),
    Row(
        "XRP",
        "0.0001",
        "0.1",
        "8000000",
        "1600000",
        "10k:75:.005 50k:50:.01 100k:40:.015 750k:25:.02 1M:20:.025 5M:10:.05 10M:5:.1 "
        "12.5M:4:.125 25M:2:.25 50M:1:.5",
        fee="0.012500",
        onboard_ms=1_704_286_200_000,
    ),
    Row(
        "DOGE",
        "0.000010",
        "1",
        "50000000",
        "3000000",
        "10k:75:.005 50k:50:.007 750k:40:.01 1M:25:.02 2M:20:.025 10M:10:.05 20M:5:.1 25M:4:.125 "
        "50M:2:.25 100M:1:.5",
        max_price="200",
        fee="0.010000",
        onboard_ms=1_705_572_000_000,
    ),
    Row(
        "ADA",
        "0.000100",
        "0.1",
        "1000000",
        "100000",
        "10k:25:.01 20k:20:.015 60k:15:.02 120k:10:.025 600k:8:.05 1.2M:5:.1 1.5M:4:.125 3M:2:.25 "
        "6M:1:.5",
        max_price="200",
        onboard_ms=1_741_256_100_000,
    ),
    Row(
        "LINK",
        "0.001",
        "0.01",
        "100000",
        "10000",
        "5k:75:.005 10k:50:.006 50k:40:.01 250k:25:.02 1M:10:.05 5M:5:.1 10M:4:.125 20M:3:.15 "
        "30M:2:.25 50M:1:.5",
        max_price="2000",
        protect="0.1000",
        take_bound="0.10",
        onboard_ms=1_708_072_200_000,
    ),
    Row(
        "1000SHIB",
        "0.0000010",
        "1",
        "800000000",
        "30000000",
        "5k:50:.0065 25k:40:.0075 150k:25:.01 600k:20:.025 1.5M:10:.05 3M:5:.1 5M:4:.125 9M:2:.25 "
        "30M:1:.5",
        max_price="2000",
        protect="0.1000",
        take_bound="0.10",
        onboard_ms=1_711_609_200_000,
    ),
    Row("1000PEPE", "0.0000001", "1", "400000000", "50000000", max_price="200"),
    Row("1000BONK", "0.0000010", "1", "100000000", "20000000", max_price="200"),
    Row("AVAX", "0.001000", "0.01", "500000", "40000", MEDIUM, max_price="2000"),
    Row("SUI", "0.000100", "0.1", "3000000", "300000", max_price="2000"),
    Row("LTC", "0.01", "0.001", "80000", "8000", LARGE),
    Row("BCH", "0.01", "0.001", "20000", "2000", LARGE),
    Row("NEAR", "0.0010", "1", "1000000", "100000", max_price="2000"),
    Row("ARB", "0.000100", "0.1", "5000000", "500000", max_price="200"),
    Row("WLD", "0.0001000", "0.1", "2000000", "200000", MEDIUM, max_price="2000"),
    Row("FIL", "0.0010000", "0.1", "800000", "80000", MEDIUM, max_price="2000"),
    Row("TIA", "0.0001000", "1", "1000000", "100000", max_price="2000"),
    Row("ENA", "0.0001000", "1", "8000000", "800000", max_price="200"),
    Row("ETHFI", "0.0001000", "0.1", "2000000", "200000", max_price="2000"),
    Row("CRV", "0.0001000", "0.1", "5000000", "500000", max_price="200"),
    Row("ORDI", "0.001000", "0.1", "200000", "20000", MEDIUM, max_price="2000"),
    Row("NEO", "0.001", "0.001", "200000", "20000", max_price="2000"),
    Row("WIF", "0.0001000", "0.1", "2000000", "200000", max_price="200"),
    Row("BOME", "0.0000010", "1", "500000000", "50000000", max_price="200"),
    Row("HBAR", "0.0000100", "1", "20000000", "2000000", max_price="200"),
    Row("UNI", "0.0010", "1", "500000", "50000", MEDIUM, max_price="2000"),
    Row("AAVE", "0.010", "0.1", "50000", "5000", MEDIUM),
)

USDT_MAJOR = (
    "10k:75:.005 50k:50:.007 750k:40:.01 1M:25:.02 2M:20:.025 8M:10:.05 16M:5:.1 20M:4:.125 "
    "40M:2:.25 80M:1:.5"
)
_WIDE = ("1.1500", "0.8500")

USDT_ROWS: tuple[Row, ...] = (
    Row(
        "BTC",
        "0.10",
        "0.001",
        "1000",
        "120",
        "300k:150:.004 800k:100:.005 3M:75:.0065 12M:50:.01 70M:25:.02 100M:20:.025 230M:10:.05 "
        "480M:5:.1 600M:4:.125 800M:3:.15 1.2B:2:.25 1.8B:1:.5",
        notional="50",
        min_price="261.10",
        max_price="809484",
        protect="0.0500",
        take_bound="0.30",
        fee="0.020000",
        onboard_ms=1_569_398_400_000,
    ),
    Row(
        "ETH",
        "0.01",
        "0.001",
        "10000",
        "10000",
        "50k:125:.004 600k:100:.005 3M:75:.0065 12M:50:.01 50M:25:.02 65M:20:.025 150M:10:.05 "
        "320M:5:.1 400M:4:.125 530M:3:.15 800M:2:.25 1.2B:1:.5",
        notional="20",
        min_price="39.86",
        max_price="306177",
        protect="0.0500",
        take_bound="0.10",
        fee="0.020000",
        onboard_ms=1_569_398_400_000,
    ),
    Row("BNB", "0.010", "0.01", "80000", "1600", USDT_MAJOR),
    Row("SOL", "0.0100", "0.01", "1000000", "8000", USDT_MAJOR, min_price="0.4200"),
    Row("XRP", "0.0001", "0.1", "10000000", "2000000", USDT_MAJOR),
    Row("DOGE", "0.000010", "1", "50000000", "30000000", USDT_MAJOR, max_price="200"),
    Row("ADA", "0.00010", "1", "2000000", "300000", USDT_MAJOR, max_price="200"),
    Row("LINK", "0.001", "0.01", "200000", "20000", LARGE, max_price="2000"),
    Row("1000SHIB", "0.000001", "1", "800000000", "50000000", LARGE, max_price="200"),
    Row("1000PEPE", "0.0000001", "1", "400000000", "50000000", LARGE, max_price="200"),
    Row("1000BONK", "0.0000010", "1", "100000000", "20000000", percent=_WIDE, max_price="200"),
    Row("AVAX", "0.0010", "1", "500000", "40000", MEDIUM, max_price="2000"),
    Row("SUI", "0.000100", "0.1", "3000000", "300000", LARGE, max_price="2000"),
    Row("LTC", "0.01", "0.001", "80000", "8000", LARGE),
    Row("BCH", "0.01", "0.001", "20000", "2000", LARGE),
    Row("NEAR", "0.0010", "1", "1000000", "100000", MEDIUM, max_price="2000"),
    Row("ARB", "0.000100", "0.1", "5000000", "500000", MEDIUM, max_price="200"),
    Row("WLD", "0.0001000", "1", "2000000", "200000", MEDIUM, percent=_WIDE, max_price="2000"),
    Row("FIL", "0.001", "0.1", "800000", "80000", MEDIUM, max_price="2000"),
    Row("TIA", "0.0001000", "1", "1000000", "100000", percent=_WIDE, max_price="2000"),
    Row("ENA", "0.0001000", "1", "8000000", "800000", percent=_WIDE, max_price="200"),
    Row("ETHFI", "0.0001000", "0.1", "2000000", "200000", percent=_WIDE, max_price="2000"),
    Row("CRV", "0.001", "0.1", "5000000", "500000", percent=_WIDE, max_price="200"),
    Row("ORDI", "0.001000", "0.1", "200000", "20000", percent=_WIDE, max_price="2000"),
    Row("NEO", "0.001", "0.01", "200000", "20000", percent=_WIDE, max_price="2000"),
    Row("WIF", "0.0001000", "0.1", "2000000", "200000", percent=_WIDE, max_price="200"),
    Row("BOME", "0.0000010", "1", "500000000", "50000000", percent=_WIDE, max_price="200"),
    Row("HBAR", "0.00001", "1", "20000000", "2000000", percent=_WIDE, max_price="200"),
    Row("UNI", "0.0010", "1", "500000", "50000", MEDIUM, max_price="2000"),
    Row("AAVE", "0.010", "0.1", "50000", "5000", MEDIUM),
)
