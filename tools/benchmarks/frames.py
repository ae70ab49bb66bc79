"""ORDER_TRADE_UPDATE frames as the exchange sends them, compact, about 480 bytes (floor 8).

Source: Binance USDⓈ-M user data streams, "Event: Order Update".
"""

import json
from decimal import Decimal

_NOW_MS = 1_759_347_763_200


def order_new(wire: str, client_id: str, order_id: int, quantity: Decimal, number: int) -> bytes:
    """The market order `client_id` was accepted."""
    return _frame(wire, client_id, order_id, quantity, number, {"x": "NEW", "X": "NEW"})


def order_filled(
    wire: str, client_id: str, order_id: int, quantity: Decimal, price: Decimal, number: int
) -> bytes:
    """The market order was filled at once; `number` is the trade's id."""
    return _frame(
        wire, client_id, order_id, quantity, number, _fill(quantity, quantity, price, number)
    )


def order_part_filled(
    wire: str,
    client_id: str,
    order_id: int,
    quantity: Decimal,
    done: tuple[Decimal, Decimal],
    price: Decimal,
    number: int,
) -> bytes:
    """`done` is what this execution filled and what is filled in all."""
    fields = _fill(done[0], done[1], price, number) | {"X": "PARTIALLY_FILLED"}
    return _frame(wire, client_id, order_id, quantity, number, fields)


def _fill(last: Decimal, total: Decimal, price: Decimal, number: int) -> dict[str, object]:
    return {
        "x": "TRADE",
        "X": "FILLED",
        "ap": str(price),
        "l": str(last),
        "z": str(total),
        "L": str(price),
        "N": "USDC",
        "n": "0.01000000",
        "t": number,
    }


def _frame(
    wire: str,
    client_id: str,
    order_id: int,
    quantity: Decimal,
    number: int,
    fields: dict[str, object],
) -> bytes:
    at = _NOW_MS + number
    order: dict[str, object] = {
        "s": wire,
        "c": client_id,
        "S": "BUY",
        "o": "MARKET",
        "f": "GTC",
        "q": str(quantity),
        "p": "0",
        "ap": "0",
        "sp": "0",
        "x": "",
        "X": "",
        "i": order_id,
        "l": "0",
        "z": "0",
        "L": "0",
        "T": at,
        "t": 0,
        "b": "0",
        "a": "0",
        "m": False,
        "R": False,
        "wt": "CONTRACT_PRICE",
        "ot": "MARKET",
        "ps": "BOTH",
        "cp": False,
        "rp": "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "NONE",
        "pm": "NONE",
        "gtd": 0,
        "er": "0",
    }
    event = {"e": "ORDER_TRADE_UPDATE", "T": at, "E": at + 2, "o": order | fields}
    return json.dumps(event, separators=(",", ":")).encode()
