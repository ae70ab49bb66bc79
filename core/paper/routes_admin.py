"""Rehearsal routes of the paper exchange under `/paper/` (floor 2c); absent unless enabled.

`/paper/faults` (GET, POST, DELETE) plans misfortune, `/paper/faults/names` (GET) tells the ready
kinds, `/paper/action` (POST) causes it now, and `/paper/manual` (POST) trades as the account's
owner would from the phone: no signature, ids in the exchange's own style.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec
from aiohttp import web

from core.domain.money import ZERO
from core.paper import wire
from core.paper.errors import ApiError, refuse
from core.paper.exchange import PaperExchange
from core.paper.fault_names import NAMED, named_rule
from core.paper.faults import EventFault, FaultPlan, FillFault, RestFault, TriggerFault
from core.paper.limits import RateLimits
from core.paper.market_stream import MarketStream
from core.paper.model import Tick
from core.paper.orders_in import algo_spec, amendment, order_spec
from core.paper.params import Params
from core.paper.streams import Route, StreamHub, encode
from core.paper.user_stream import UserStream


class FaultRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Rules to add to the plan; `named` are ready ones: a `name` and the fields to change."""

    rest: list[RestFault] = []
    events: list[EventFault] = []
    triggers: list[TriggerFault] = []
    fills: list[FillFault] = []
    named: list[dict[str, object]] = []


class ActionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One thing to happen now.

    `disconnect` cuts sockets and `freeze` leaves them open but silent (`route` empty: all of
    them), `ban` answers 418 for `ms`, `hide_algos` lets GET algoOrder find conditional orders only
    `ms` after their acceptance (0: at once), `liquidate` takes the position of `symbol` over, `adl`
    deleverages it, `shock` lets its price jump to `price` until the feed's next one, `basis` keeps
    its mark price `ratio` of the last price away from it (0: none), `delist` makes it close-only.
    """

    action: Literal[
        "expire_listen_key",
        "disconnect",
        "freeze",
        "ban",
        "hide_algos",
        "liquidate",
        "adl",
        "shock",
        "basis",
        "delist",
    ]
    route: Literal["", "public", "market", "private"] = ""
    symbol: str = ""
    ms: int = 0
    price: Decimal = ZERO
    ratio: Decimal = ZERO


class ManualRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A manual operation with the parameters of the REST call of the same kind.

    `transfer` takes `asset` and `amount`, which is negative for money that leaves.
    """

    op: Literal[
        "order",
        "algo",
        "cancel",
        "cancel_algo",
        "amend",
        "leverage",
        "margin_type",
        "position_mode",
        "multi_assets",
        "transfer",
    ]
    params: dict[str, str]


class Admin:
    """Serves the rehearsal routes."""

    def __init__(
        self,
        exchange: PaperExchange,
        faults: FaultPlan,
        hub: StreamHub,
        users: UserStream,
        limits: RateLimits,
        market: MarketStream,
        tick: Callable[[Tick], None],
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._hub = hub
        self._users = users
        self._limits = limits
        self._market = market
        self._tick = tick
        self._routes: Mapping[tuple[str, str], Callable[[str], object]] = {
            ("GET", "/paper/faults"): self._list_faults,
            ("GET", "/paper/faults/names"): self._list_names,
            ("POST", "/paper/faults"): self._add_faults,
            ("DELETE", "/paper/faults"): self._clear_faults,
            ("POST", "/paper/action"): self._act,
            ("POST", "/paper/manual"): self._by_hand,
        }

    def serve(self, method: str, path: str, body: str) -> web.Response:
        handler = self._routes.get((method, path))
        try:
            if handler is None:
                raise refuse(-5000, f"Path {path}, Method {method} is invalid")
            result = handler(body)
        except ApiError as error:
            return _json({"code": error.code, "msg": error.msg}, error.status)
        except msgspec.MsgspecError as error:
            return _json({"code": -1130, "msg": str(error)}, 400)
        return _json(result, 200)

    def _list_faults(self, _body: str) -> object:
        plan = self._faults
        return {
            "rest": plan.rest,
            "events": plan.events,
            "triggers": plan.triggers,
            "fills": plan.fills,
            "fired": plan.fired,
        }

    def _list_names(self, _body: str) -> object:
        return {
            name: {"rule": each.rule.__name__, "meaning": each.meaning, **each.fields}
            for name, each in NAMED.items()
        }

    def _add_faults(self, body: str) -> object:
        wish = msgspec.json.decode(body, type=FaultRequest)
        ready = [named_rule(each) for each in wish.named]
        for rule in (*wish.rest, *wish.events, *wish.triggers, *wish.fills, *ready):
            self._faults.add(rule)
        return self._list_faults(body)

    def _clear_faults(self, body: str) -> object:
        self._faults.clear()
        return self._list_faults(body)

    def _act(self, body: str) -> object:
        wish = msgspec.json.decode(body, type=ActionRequest)
        route = Route(wish.route) if wish.route else None
        if wish.action == "expire_listen_key":
            self._users.expire_key()
        elif wish.action == "disconnect":
            self._hub.close_route(route)
        elif wish.action == "freeze":
            self._hub.freeze_route(route)
        elif wish.action == "ban":
            self._limits.ban(wish.ms)
        elif wish.action == "hide_algos":
            self._exchange.algos.hidden_ms = wish.ms
        else:
            self._act_on_symbol(wish)
        return {"code": 200, "msg": "success"}

    def _act_on_symbol(self, wish: ActionRequest) -> None:
        if wish.symbol not in self._exchange.markets:
            raise refuse(-1121)
        market = self._exchange.markets[wish.symbol]
        if wish.action in ("liquidate", "adl"):
            how: Literal["liquidate", "adl"] = "adl" if wish.action == "adl" else "liquidate"
            self._exchange.risk.force(wish.symbol, how)
        elif wish.action == "delist":
            market.close_only = True
            self._market.contract_changed(market)
        elif wish.action == "basis":
            if abs(wish.ratio) >= 1:
                raise ApiError(-1130, "Data sent for parameter 'ratio' is not valid.")
            market.basis = wish.ratio
            self._jump(wish.symbol, market.price)
        elif wish.price <= 0:
            raise refuse(-4001)
        else:
            self._jump(wish.symbol, wish.price)

    def _jump(self, symbol: str, price: Decimal) -> None:
        self._tick(Tick(symbol, self._exchange.now_ms(), price, ZERO, gap=True))

    def _by_hand(self, body: str) -> object:
        wish = msgspec.json.decode(body, type=ManualRequest)
        params = Params(wish.params)
        if wish.op == "transfer":
            number = self._exchange.transfer(params.text("asset"), params.decimal("amount"))
            return {"tranId": number}
        if wish.op in ("leverage", "margin_type", "position_mode", "multi_assets"):
            self._set(wish.op, params)
            return {"code": 200, "msg": "success"}
        return self._trade(wish, params)

    def _set(self, op: str, params: Params) -> None:
        """Settings as the owner changes them elsewhere."""
        exchange = self._exchange
        if op == "position_mode":
            exchange.set_hedge_mode(enabled=params.flag("dualSidePosition"))
        elif op == "multi_assets":
            exchange.set_multi_assets(enabled=params.flag("multiAssetsMargin"))
        elif op == "leverage":
            exchange.set_leverage(params.symbol(exchange.markets), params.integer("leverage"))
        else:
            isolated = params.text("marginType").upper() == "ISOLATED"
            exchange.set_isolated(params.symbol(exchange.markets), isolated=isolated)

    def _trade(self, wish: ManualRequest, params: Params) -> object:
        if wish.op == "order":
            order = self._exchange.matcher.submit(order_spec(self._exchange, params))
            return wire.order_row(order)
        if wish.op == "algo":
            return wire.algo_reply(self._exchange.algos.place(algo_spec(self._exchange, params)))
        if wish.op == "cancel_algo":
            algo = self._exchange.algos.find(
                params.optional_integer("algoId"), params.optional("clientAlgoId")
            )
            if algo is None:
                raise refuse(-2011)
            self._exchange.algos.cancel(algo)
            return wire.algo_cancel(algo)
        found = self._exchange.matcher.find(
            params.symbol(self._exchange.markets),
            params.optional_integer("orderId"),
            params.optional("origClientOrderId"),
        )
        if found is None:
            raise refuse(-2011)
        if wish.op == "amend":
            change = amendment(self._exchange, params)
            self._exchange.amends.amend(self._exchange.markets[found.spec.symbol], found, change)
        else:
            self._exchange.matcher.cancel(found)
        return wire.order_row(found)


def _json(payload: object, status: int) -> web.Response:
    return web.Response(body=encode(payload), status=status, content_type="application/json")
