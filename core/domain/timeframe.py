"""Candle lengths the exchange offers (floor 0); apart from the candles, which need numpy."""

_MINUTE_MS = 60_000
TIMEFRAMES_MS: dict[str, int] = {
    "1m": _MINUTE_MS,
    "3m": 3 * _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": 60 * _MINUTE_MS,
    "2h": 120 * _MINUTE_MS,
    "4h": 240 * _MINUTE_MS,
    "6h": 360 * _MINUTE_MS,
    "8h": 480 * _MINUTE_MS,
    "12h": 720 * _MINUTE_MS,
    "1d": 1440 * _MINUTE_MS,
}


def timeframe_ms(timeframe: str) -> int:
    """Length of a timeframe in milliseconds. Raises ValueError naming the allowed ones."""
    try:
        return TIMEFRAMES_MS[timeframe]
    except KeyError:
        allowed = ", ".join(TIMEFRAMES_MS)
        raise ValueError(f"timeframe {timeframe!r} is not one of {allowed}") from None
