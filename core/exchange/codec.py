"""User-stream bytes to venue facts (floor 2a), once, typed and without ever raising.

Unknown fields are ignored; an unknown event, enum value or shape becomes `UnknownEvent`, which the
OMS counts and answers with a reconcile when it concerns the account. Numbers become Decimals
straight from the exchange's text.
"""

from decimal import Decimal

import msgspec

from core.domain.enums import AlgoStatus, ExecutionType, OrderKind, Side
from core.domain.facts import (
    AccountConfigUpdate,
    AccountUpdate,
    AlgoUpdate,
    BalanceChange,
    ListenKeyExpired,
    MarginCall,
    OrderUpdate,
    PositionChange,
    TradeLite,
    UnknownEvent,
    VenueFact,
)
from core.domain.money import ZERO
from core.exchange.rest_codec import ORDER_STATUS
from core.exchange.symbols import SymbolMap

_DETAIL_LIMIT = 200
_MALFORMED = (msgspec.MsgspecError, ValueError, KeyError, ArithmeticError, RecursionError)
_EXECUTES = frozenset({ExecutionType.TRADE, ExecutionType.CALCULATED})


class _Order(msgspec.Struct, gc=False):
    s: str
    c: str
    S: Side
    o: OrderKind
    q: Decimal
    p: Decimal
    ap: Decimal
    x: ExecutionType
    X: str
    i: int
    l: Decimal  # noqa: E741 - the exchange's key
    z: Decimal
    L: Decimal
    t: int
    rp: Decimal
    n: Decimal | None = None
    N: str | None = None
    m: bool = False
    R: bool = False
    er: str | int = "0"


class _OrderEvent(msgspec.Struct, tag_field="e", tag="ORDER_TRADE_UPDATE", gc=False):
    E: int
    T: int
    o: _Order


class _Algo(msgspec.Struct, gc=False):
    s: str
    caid: str
    aid: int
    S: Side
    o: OrderKind
    X: AlgoStatus
    q: Decimal
    tp: Decimal | None = None
    ai: str | int = ""
    aq: str | None = None
    ap: str | None = None
    rm: str | None = None


class _AlgoEvent(msgspec.Struct, tag_field="e", tag="ALGO_UPDATE", gc=False):
    E: int
    T: int
    o: _Algo


class _BalanceRow(msgspec.Struct, gc=False):
    a: str
    wb: Decimal
    cw: Decimal
    bc: Decimal = ZERO


class _PositionRow(msgspec.Struct, gc=False):
    s: str
    pa: Decimal
    ep: Decimal
    cr: Decimal = ZERO
    up: Decimal = ZERO
    mt: str = ""


class _Account(msgspec.Struct):
    m: str
    B: list[_BalanceRow] = []
    P: list[_PositionRow] = []
    S: str = ""


class _AccountEvent(msgspec.Struct, tag_field="e", tag="ACCOUNT_UPDATE"):
    E: int
    T: int
    a: _Account


class _LeverageChange(msgspec.Struct):
    s: str
    l: int  # noqa: E741 - the exchange's key


class _AssetMode(msgspec.Struct):
    j: bool


class _ConfigEvent(msgspec.Struct, tag_field="e", tag="ACCOUNT_CONFIG_UPDATE"):
    E: int
    ac: _LeverageChange | None = None
    ai: _AssetMode | None = None


class _MarginRow(msgspec.Struct):
    s: str


class _MarginEvent(msgspec.Struct, tag_field="e", tag="MARGIN_CALL"):
    E: int
    p: list[_MarginRow] = []


class _ExpiredEvent(msgspec.Struct, tag_field="e", tag="listenKeyExpired"):
    E: int | str


class _LiteEvent(msgspec.Struct, tag_field="e", tag="TRADE_LITE", gc=False):
    E: int
    s: str
    c: str
    t: int


_Event = (
    _OrderEvent
    | _AlgoEvent
    | _AccountEvent
    | _ConfigEvent
    | _MarginEvent
    | _ExpiredEvent
    | _LiteEvent
)


class _Head(msgspec.Struct):
    e: str = "?"
    E: int | str = 0


class _Envelope(msgspec.Struct):
    data: msgspec.Raw


class UserStreamCodec:
    """`decode` never raises. One instance per stream; it holds its decoders."""

    def __init__(self, symbols: SymbolMap) -> None:
        self._symbols = symbols
        self._events: msgspec.json.Decoder[_Event] = msgspec.json.Decoder(_Event)
        self._heads = msgspec.json.Decoder(_Head)
        self._envelopes = msgspec.json.Decoder(_Envelope)

    def decode(self, frame: bytes) -> VenueFact:
        """One frame, bare or wrapped as combined streams send it."""
        try:
            return self._fact(self._events.decode(frame))
        except _MALFORMED as error:
            return self._unusual(frame, error)

    def _unusual(self, frame: bytes, error: Exception) -> VenueFact:
        """A wrapped frame, or one that is unknown or malformed."""
        try:
            inner = bytes(self._envelopes.decode(frame).data)
        except _MALFORMED:
            return self._unknown(frame, error)
        try:
            return self._fact(self._events.decode(inner))
        except _MALFORMED as inner_error:
            return self._unknown(inner, inner_error)

    def _unknown(self, frame: bytes, error: Exception) -> UnknownEvent:
        try:
            head = self._heads.decode(frame)
        except _MALFORMED:
            head = _Head()
        detail = f"{type(error).__name__}: {error}"[:_DETAIL_LIMIT]
        return UnknownEvent(name=head.e, detail=detail, event_ms=_ms(head.E))

    def _fact(self, event: _Event) -> VenueFact:  # a dispatch table
        if isinstance(event, _OrderEvent):
            return self._order(event)
        if isinstance(event, _AlgoEvent):
            return self._algo(event)
        if isinstance(event, _AccountEvent):
            return self._account(event)
        if isinstance(event, _LiteEvent):
            symbol = self._symbols.to_normal(event.s)
            return TradeLite(symbol, event.c, event.t, event.E)
        if isinstance(event, _ConfigEvent):
            return self._config(event)
        if isinstance(event, _MarginEvent):
            symbols = tuple(self._symbols.to_normal(row.s) for row in event.p)
            return MarginCall(symbols, event.E)
        return ListenKeyExpired(_ms(event.E))

    def _order(self, event: _OrderEvent) -> OrderUpdate:
        o = event.o
        return OrderUpdate(
            self._symbols.to_normal(o.s),
            o.c,
            o.i,
            o.S,
            o.o,
            o.x,
            ORDER_STATUS[o.X],
            o.q,
            o.p,
            o.ap,
            o.l,
            o.z,
            o.L,
            ZERO if o.n is None else o.n,
            o.N or "",
            # Only an execution has a trade; other states may repeat the number of the last one.
            o.t if o.l and o.x in _EXECUTES else 0,
            o.m,
            o.R,
            o.rp,
            event.E,
            event.T,
            str(o.er),
        )

    def _algo(self, event: _AlgoEvent) -> AlgoUpdate:
        o = event.o
        return AlgoUpdate(
            self._symbols.to_normal(o.s),
            o.caid,
            o.aid,
            o.S,
            o.o,
            o.X,
            o.q,
            ZERO if o.tp is None else o.tp,
            int(o.ai or 0),
            Decimal(o.aq) if o.aq else ZERO,
            Decimal(o.ap) if o.ap else ZERO,
            o.rm or "",
            event.E,
            event.T,
        )

    def _account(self, event: _AccountEvent) -> AccountUpdate:
        a = event.a
        to_normal = self._symbols.to_normal
        return AccountUpdate(
            reason=a.m,
            symbol=to_normal(a.S) if a.S else "",
            balances=tuple(BalanceChange(row.a, row.wb, row.cw, row.bc) for row in a.B),
            positions=tuple(
                PositionChange(
                    to_normal(row.s), row.pa, row.ep, row.cr, row.up, row.mt == "isolated"
                )
                for row in a.P
            ),
            event_ms=event.E,
            transaction_ms=event.T,
        )

    def _config(self, event: _ConfigEvent) -> AccountConfigUpdate:
        return AccountConfigUpdate(
            symbol=self._symbols.to_normal(event.ac.s) if event.ac else "",
            leverage=event.ac.l if event.ac else 0,
            multi_assets=event.ai.j if event.ai else None,
            event_ms=event.E,
        )


def _ms(value: int | str) -> int:
    """Older `listenKeyExpired` events carry the time as text."""
    return int(value) if str(value).isdecimal() else 0
