"""The user stream over any order flow: lives of orders, order of events, sums a client can draw."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from paper_kit import ALL_CONTRACTS, START_MS, Bench, D, Recorder
from test_paper_coins import STEP, SYMBOLS, play

from core.domain.enums import ExecutionType, Side
from core.paper.errors import ApiError
from core.paper.events import AccountChange, MarginCall
from core.paper.faults import FaultPlan
from core.paper.records import AlgoOrder, Order, StpMode, Trade
from core.paper.user_stream import UserStream

FINAL = {"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"}
NEXT_ALGO = {
    "": {"NEW"},
    "NEW": {"NEW", "CANCELED", "EXPIRED", "TRIGGERING"},  # a trailing one is NEW twice
    "TRIGGERING": {"TRIGGERED", "REJECTED"},
    "TRIGGERED": {"FINISHED"},
}
STARTS = {"USDC": D(2000), "USDT": D(900)}
Frame = dict[str, Any]


class Hub:
    """Takes the place of the sockets."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def publish_private(self, _key: str, _event: str, payload: Frame) -> None:
        self.frames.append(payload)


def at_once(_delay_ms: int, act: Callable[[], None]) -> None:
    act()


class Told(Recorder):
    """What goes out to the sockets of a listen key."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        plan, chance = FaultPlan(Random(1)), Random(2)
        self.stream = UserStream(
            self.hub,  # type: ignore[arg-type] # the one method it is asked for
            plan,
            ALL_CONTRACTS,
            lambda: START_MS,
            chance,
            at_once,
        )
        self.stream.open_key()

    def order_changed(
        self, order: Order, execution: ExecutionType, trade: Trade | None, now_ms: int
    ) -> None:
        self.stream.order_changed(order, execution, trade, now_ms)

    def account_changed(self, change: AccountChange, now_ms: int) -> None:
        self.stream.account_changed(change, now_ms)

    def algo_changed(self, algo: AlgoOrder, now_ms: int) -> None:
        self.stream.algo_changed(algo, now_ms)

    def margin_called(
        self, calls: Sequence[MarginCall], cross_wallet: Decimal, now_ms: int
    ) -> None:
        self.stream.margin_called(calls, cross_wallet, now_ms)


def of(frames: list[Frame], event: str) -> list[Frame]:
    return [frame["o"] for frame in frames if frame["e"] == event]


def assert_orders_live_once(frames: list[Frame]) -> None:
    lives: dict[int, list[Frame]] = {}
    for row in of(frames, "ORDER_TRADE_UPDATE"):
        lives.setdefault(row["i"], []).append(row)
    for rows in lives.values():
        assert (rows[0]["x"], rows[0]["X"], rows[0]["z"]) == ("NEW", "NEW", "0")
        done, quote = D(0), D(0)
        for row in rows[1:]:
            if row["x"] in ("TRADE", "CALCULATED"):
                done += D(row["l"])
                quote += D(row["l"]) * D(row["L"])
                assert (row["X"] == "FILLED") == (done == D(row["q"]))
                assert abs(D(row["ap"]) - quote / done) < D("1e-9")
            else:
                assert (row["l"], row["t"], row["n"]) == ("0", 0, "0")
            assert D(row["z"]) == done <= D(row["q"])
        assert all(row["X"] not in FINAL for row in rows[:-1])  # nothing comes after an end
        assert [row["T"] for row in rows] == sorted(row["T"] for row in rows)


def assert_fills_are_told_in_order(frames: list[Frame]) -> None:
    """TRADE_LITE, ORDER_TRADE_UPDATE, ACCOUNT_UPDATE; trade ids count up per symbol."""
    last: dict[str, int] = {}
    for n, frame in enumerate(frames):
        if frame["e"] != "ORDER_TRADE_UPDATE" or frame["o"]["x"] not in ("TRADE", "CALCULATED"):
            continue
        fill, after = frame["o"], frames[n + 1]
        assert (after["e"], after["a"]["m"]) == ("ACCOUNT_UPDATE", "ORDER")
        assert [row["s"] for row in after["a"]["P"]] == [fill["s"]]
        if fill["x"] == "TRADE":
            lite = frames[n - 1]
            assert (lite["e"], lite["t"], lite["i"]) == ("TRADE_LITE", fill["t"], fill["i"])
        assert fill["t"] == last.get(fill["s"], 0) + 1
        last[fill["s"]] = fill["t"]
    lites = sum(frame["e"] == "TRADE_LITE" for frame in frames)
    assert lites == sum(row["x"] == "TRADE" for row in of(frames, "ORDER_TRADE_UPDATE"))


def assert_a_client_can_keep_the_books(frames: list[Frame], bench: Bench) -> None:
    """Positions and wallets follow from the events alone."""
    held = dict.fromkeys(SYMBOLS, D(0))
    wallet = dict(STARTS)
    for frame in frames:
        if frame["e"] == "ORDER_TRADE_UPDATE" and frame["o"]["t"]:
            fill = frame["o"]
            sign = Side(fill["S"]).sign
            held[fill["s"]] += sign * D(fill["l"])
            wallet[fill["N"]] += D(fill["rp"]) - D(fill["n"])
        elif frame["e"] == "ACCOUNT_UPDATE":
            change = frame["a"]
            for row in change["B"]:
                wallet[row["a"]] += D(row["bc"])
                assert D(row["wb"]) == wallet[row["a"]], change["m"]
            for row in change["P"]:
                assert D(row["pa"]) == held[row["s"]]
    for coin, balance in wallet.items():
        assert balance == bench.wallet(coin)
    for symbol, quantity in held.items():
        assert quantity == bench.position(symbol)


def assert_conditional_orders_live_as_documented(frames: list[Frame]) -> None:
    states: dict[int, str] = {}
    orders: dict[int, Frame] = {}
    for n, frame in enumerate(frames):
        if frame["e"] == "ORDER_TRADE_UPDATE":
            orders[frame["o"]["i"]] = frame["o"]
        if frame["e"] != "ALGO_UPDATE":
            continue
        algo = frame["o"]
        assert algo["X"] in NEXT_ALGO[states.get(algo["aid"], "")]
        states[algo["aid"]] = algo["X"]
        acted = algo["X"] in ("TRIGGERED", "FINISHED")
        assert bool(algo["ai"]) == acted == ("aq" in algo)
        assert bool(algo["tt"]) == (acted or algo["X"] in ("TRIGGERING", "REJECTED"))
        assert ("rm" in algo) == (algo["X"] == "REJECTED")
        if algo["X"] == "TRIGGERED":
            born = frames[n + 1]["o"]
            assert (born["x"], str(born["i"]), born["c"]) == ("NEW", algo["ai"], algo["caid"])
        if algo["X"] == "FINISHED":
            result = orders[int(algo["ai"])]
            assert result["X"] in FINAL
            assert (algo["aq"], algo["ap"]) == (result["z"], result["ap"])


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=40), st.booleans())
def test_what_the_stream_tells_over_any_order_flow(
    steps: list[tuple[str, str, Side, int, int, StpMode]], isolated: bool
) -> None:
    told = Told()
    bench = Bench("2000", isolated=isolated, also={"USDT": "900"}, events=told)
    frames = told.hub.frames
    frames.clear()
    for step in steps:
        with suppress(ApiError):
            play(bench, step)
    assert_orders_live_once(frames)
    assert_fills_are_told_in_order(frames)
    assert_a_client_can_keep_the_books(frames, bench)
    assert_conditional_orders_live_as_documented(frames)
