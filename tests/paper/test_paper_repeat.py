"""Same seed, same requests: the same bytes, in one process and in another.

Run as a script it prints two digests for comparison across processes: of one account's life, and of
every byte that a server sent in an hour.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from random import Random

from paper_kit import ADA, BTC, TETHER, Bench, Recorder
from test_paper_coins import KINDS, SYMBOLS, play
from test_paper_day import lived as an_hour

from core.domain.enums import ExecutionType, Side
from core.paper import wire
from core.paper.errors import ApiError
from core.paper.events import AccountChange, MarginCall
from core.paper.records import AlgoOrder, Order, StpMode, Trade
from core.paper.streams import encode

ROOT = Path(__file__).resolve().parents[2]
STEPS = 400


class Frames(Recorder):
    """Every user event as the bytes a client would get."""

    def __init__(self) -> None:
        super().__init__()
        self.digest = hashlib.sha256()
        self.kinds: set[object] = set()

    def take(self, row: wire.Row) -> None:
        self.kinds.add(row.get("e"))
        self.digest.update(encode(row))

    def order_changed(
        self, order: Order, execution: ExecutionType, trade: Trade | None, now_ms: int
    ) -> None:
        self.take(wire.order_event(order, execution, trade, now_ms))

    def account_changed(self, change: AccountChange, now_ms: int) -> None:
        self.take(wire.account_event(change, now_ms))

    def algo_changed(self, algo: AlgoOrder, now_ms: int) -> None:
        self.take(wire.algo_event(algo, now_ms))

    def leverage_changed(self, symbol: str, leverage: int, now_ms: int) -> None:
        self.take(wire.leverage_event(symbol, leverage, now_ms))

    def margin_called(
        self, calls: Sequence[MarginCall], cross_wallet: Decimal, now_ms: int
    ) -> None:
        self.take(wire.margin_call_event(calls, cross_wallet, now_ms))

    def multi_assets_changed(self, now_ms: int, *, enabled: bool) -> None:
        self.take(wire.multi_assets_event(now_ms, enabled=enabled))


def lived(seed: int) -> tuple[str, set[object]]:
    """Digest of all events and of everything the account remembers, and the kinds of events."""
    frames = Frames()
    bench = Bench("3000", seed, isolated=False, also={"USDT": "2000"}, events=frames)
    wishes = Random(11)  # the requests are the same whatever the exchange's seed
    for _ in range(STEPS):
        step = (
            wishes.choice(KINDS),
            wishes.choice(SYMBOLS),
            wishes.choice([Side.BUY, Side.SELL]),
            wishes.randint(1, 40),
            wishes.randint(-40, 40),
            wishes.choice(list(StpMode)),
        )
        with suppress(ApiError):
            play(bench, step)
    exchange = bench.exchange
    rows: list[wire.Row] = [wire.order_row(order) for order in exchange.matcher.orders.values()]
    rows += [wire.trade_row(trade) for trade in exchange.ledger.trades]
    rows += [wire.income_row(row) for row in exchange.ledger.income]
    rows += [wire.algo_row(algo) for algo in exchange.algos.algos.values()]
    frames.digest.update(encode(rows))
    frames.digest.update("".join(exchange.new_client_id() for _ in range(3)).encode())
    for symbol in (BTC, TETHER, ADA):
        frames.digest.update(encode(exchange.markets[symbol].book.depth(Side.BUY)))
    return frames.digest.hexdigest(), frames.kinds


def digests() -> str:
    return f"{lived(3)[0]} {an_hour(3, 1).digest()}"


def test_two_exchanges_give_the_same_bytes() -> None:
    first, kinds = lived(3)
    assert lived(3)[0] == first
    assert lived(4)[0] != first
    assert {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ALGO_UPDATE"} < kinds


def test_two_processes_with_other_hash_seeds_give_the_same_bytes() -> None:
    """No set or hash decides an order of things."""
    found = {digests()}
    for hash_seed in ("1", "2"):
        paths = os.pathsep.join((str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)))
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, __file__],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout.strip())
    assert len(found) == 1


if __name__ == "__main__":
    print(digests())
