"""One normal form for symbols: `BASE/QUOTE:SETTLE` of a linear perpetual (floor 0).

The exchange's own spelling (`BTCUSDC`) exists on the wire only. Upper-casing touches ASCII letters
alone, because bases may hold digits or non-ASCII characters whose case rules change their length.
"""

import string

QUOTE_COINS = ("USDC", "USDT")
"""Coins the daemon can settle in; a bare symbol must end with one of them to be split."""

_DEFAULT_BASES = ("BTC", "ETH", "BNB", "SOL", "ADA")
_SEPARATORS = frozenset("/:,_-")
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def _upper(text: str) -> str:
    return text.strip().translate(_UPPER)


def _coin(text: str, what: str, whole: str) -> str:
    if not text or not text.isprintable() or any(c in _SEPARATORS or c.isspace() for c in text):
        raise ValueError(f"symbol {whole!r}: {what} {text!r} is not a coin name")
    return text


def perp_symbol(base: str, coin: str) -> str:
    """Normal form of the linear perpetual of `base` quoted and settled in `coin`.

    Raises ValueError when either is empty or holds a separator or white space.
    """
    whole = f"{base}/{coin}"
    upper = _coin(_upper(coin), "quote", whole)
    return f"{_coin(_upper(base), 'base', whole)}/{upper}:{upper}"


def normalize_symbol(text: str) -> str:
    """Normal form of `BTCUSDC`, `BTC/USDC` or `BTC/USDC:USDC` in any case.

    Raises ValueError for a dated contract, for a contract settled in another coin than its quote
    (COIN-M) and for a bare symbol whose quote coin is not one of `QUOTE_COINS`.
    """
    symbol = _upper(text)
    if "/" not in symbol:
        for coin in QUOTE_COINS:
            if symbol.endswith(coin) and len(symbol) > len(coin):
                return perp_symbol(symbol[: -len(coin)], coin)
        known = " or ".join(QUOTE_COINS)
        raise ValueError(f"symbol {text!r} does not end with a known quote coin ({known})")
    base, _, rest = symbol.partition("/")
    quote, colon, settle = rest.partition(":")
    if colon and settle != quote:
        raise ValueError(
            f"symbol {text!r} settles in {settle!r}, not in its quote {quote!r}: "
            "only linear perpetuals are traded"
        )
    return perp_symbol(base, quote)


def to_binance_symbol(symbol: str) -> str:
    """The exchange's spelling, `BTC/USDC:USDC` -> `BTCUSDC`. Accepts every form."""
    base, _, rest = normalize_symbol(symbol).partition("/")
    return base + rest.partition(":")[0]


def default_symbols(coin: str) -> list[str]:
    """The five symbols an account starts with when nothing else is configured."""
    return [perp_symbol(base, coin) for base in _DEFAULT_BASES]
