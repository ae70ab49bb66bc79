"""The SDK: conditional orders of all types, hedge mode, refusals by class, keys and limits."""

import asyncio
from collections.abc import Callable
from typing import Any

from binance_common.errors import (
    BadRequestError,
    RateLimitBanError,
    TooManyRequestsError,
    UnauthorizedError,
)
from harness import SYMBOL, Place, expect, pause

MARKET = {"symbol": SYMBOL, "type": "MARKET", "quantity": 0.01}
STOP = {"algo_type": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL", "quantity": 0.01}
WAIT_S = 8.0


def refused(call: Callable[[], object]) -> Exception:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the class is what the caller looks at
        return error
    raise AssertionError("not refused")


class Rules:
    """Synchronous passes; the SDK's REST part is synchronous."""

    def __init__(self, api: Any, at: Place) -> None:
        self.api = api
        self.at = at

    def near(self, factor: float) -> float:
        return round(self.at.price() * factor, 1)

    def flat(self) -> None:
        self.api.cancel_all_open_orders(symbol=SYMBOL)
        self.api.cancel_all_algo_open_orders(symbol=SYMBOL)
        for row in self.api.position_information_v3(symbol=SYMBOL).data():
            amount = float(row.position_amt or 0)
            if amount:
                closing = {**MARKET, "quantity": abs(amount), "reduce_only": "true"}
                self.api.new_order(**closing, side="SELL" if amount > 0 else "BUY")

    def five_types(self) -> None:
        for kind, move, more in (
            ("STOP_MARKET", (0.985,), {"trigger_price": 0.99}),
            ("TAKE_PROFIT_MARKET", (1.015,), {"trigger_price": 1.01}),
            ("STOP", (0.985,), {"trigger_price": 0.99, "price": 0.97, "time_in_force": "GTC"}),
            ("TAKE_PROFIT", (1.015,), {"trigger_price": 1.01, "price": 1, "time_in_force": "GTC"}),
            ("TRAILING_STOP_MARKET", (1.01, 0.985), {"callback_rate": 1}),
        ):
            self.flat()
            self.api.new_order(**MARKET, side="BUY")
            prices = {n: self.near(f) for n, f in more.items() if n.endswith("price")}
            wish = {**STOP, **more, **prices, "type": kind, "reduce_only": "true"}
            placed = self.api.new_algo_order(**wish).data()
            for factor in move:
                self.at.shock(factor)
            fired = self.api.query_algo_order(algo_id=placed.algo_id).data()
            expect(
                (fired.algo_status, fired.actual_qty) == ("FINISHED", "0.01"), f"{kind}: {fired}"
            )
            result = self.api.query_order(symbol=SYMBOL, order_id=int(fired.actual_order_id)).data()
            expect(result.status == "FILLED", kind)
            expect(result.client_order_id == placed.client_algo_id, "client id")

    def hedge_mode(self) -> None:
        self.flat()
        self.api.change_position_mode(dual_side_position="true")
        self.api.new_order(**MARKET, side="BUY", position_side="LONG")
        self.api.new_order(**MARKET, side="SELL", position_side="SHORT")
        rows = self.api.position_information_v3(symbol=SYMBOL).data()
        held = {row.position_side: row.position_amt for row in rows}
        expect(held == {"LONG": "0.01", "SHORT": "-0.01"}, f"held {held}")
        self.api.new_order(**MARKET, side="SELL", position_side="LONG")
        self.api.new_order(**MARKET, side="BUY", position_side="SHORT")
        self.api.change_position_mode(dual_side_position="false")

    def errors(self) -> None:
        self.flat()
        order, stop = self.api.new_order, self.api.new_algo_order
        old = {**MARKET, "type": "STOP_MARKET", "side": "SELL"}
        now = {**STOP, "type": "STOP_MARKET", "trigger_price": self.near(1.02)}
        gone = {"symbol": SYMBOL, "order_id": 1}
        for code, call in (
            (-2019, lambda: order(**{**MARKET, "quantity": 30}, side="BUY")),
            (-2022, lambda: order(**MARKET, side="SELL", reduce_only="true")),
            (-4120, lambda: order(**old)),
            (-2021, lambda: stop(**now)),
            (-2011, lambda: self.api.cancel_order(**gone)),
            (-2013, lambda: self.api.query_order(**gone)),
        ):
            error = refused(call)
            expect(isinstance(error, BadRequestError), f"{code}: {error!r}")
            expect(str(code) in str(vars(error)) + str(error), f"{code}: {error!r}")

    def listen_key(self) -> None:
        api = self.api
        key = api.start_user_data_stream().data().listen_key
        expect(api.start_user_data_stream().data().listen_key == key, "the same key")
        expect(api.keepalive_user_data_stream().data().listen_key == key, "kept alive")
        api.close_user_data_stream()
        error = refused(api.keepalive_user_data_stream)
        expect(isinstance(error, BadRequestError) and "-1125" in repr(error), repr(error))

    def wrong_key(self, strangers: Any) -> None:
        error = refused(strangers.account_information_v3)
        expect(isinstance(error, UnauthorizedError), repr(error))

    def limits(self) -> None:
        error = self._until_refused(200)
        expect(isinstance(error, TooManyRequestsError), repr(error))
        for _ in range(60):
            error = refused(self.api.get_income_history)
            if isinstance(error, RateLimitBanError):
                return
        raise AssertionError(f"no ban: {error!r}")

    def _until_refused(self, most: int) -> Exception:
        for _ in range(most):
            try:
                self.api.get_income_history()
            except Exception as error:  # noqa: BLE001 - the class is what the caller looks at
                return error
        raise AssertionError(f"{most} calls were served")


async def socket_rules(client: Any, at: Place) -> None:
    """Conditional orders and listen keys by request socket."""
    connection = await client.websocket_api.create_connection()
    key = (await connection.start_user_data_stream()).data().result.listen_key
    await connection.keepalive_user_data_stream()
    wish = {**STOP, "side": "BUY", "type": "STOP_MARKET"}
    trigger = round(at.price() * 1.05, 1)
    placed = (await connection.new_algo_order(**wish, trigger_price=trigger)).data().result
    expect(placed.algo_status == "NEW", "placed")
    gone = (await connection.cancel_algo_order(algo_id=placed.algo_id)).data()
    expect(gone.status == 200, "cancelled")
    await connection.close_user_data_stream()
    again = (await connection.start_user_data_stream()).data().result.listen_key
    expect(again != key, "a closed key is gone")
    await connection.close_connection(close_session=True)


async def algo_events(client: Any, at: Place) -> None:
    """The user's events of a stop from placement to result, and the end of the key."""
    rest = client.rest_api
    key = (await asyncio.to_thread(rest.start_user_data_stream)).data().listen_key
    connection = await client.websocket_streams.create_connection()
    stream = await connection.user_data(key)
    names: list[str] = []

    def note(data: Any) -> None:
        event = getattr(data, "actual_instance", data)
        status = getattr(getattr(event, "o", None), "X", "")
        names.append(f"{type(event).__name__} {status}".strip())

    stream.on("message", note)
    await pause(0.5)
    await asyncio.to_thread(lambda: rest.new_order(**MARKET, side="BUY"))
    wish = {**STOP, "type": "STOP_MARKET", "trigger_price": round(at.price() * 0.99, 1)}
    await asyncio.to_thread(lambda: rest.new_algo_order(**wish, reduce_only="true"))
    at.shock(0.985)
    at.action("expire_listen_key")
    await pause(1.5)
    await connection.close_connection(close_session=True)
    algo = [name for name in names if name.startswith("AlgoUpdate")]
    expect(len(algo) == 4, f"events {names}")
    expect(names[-1] == "ListenKeyExpired", f"events {names}")
