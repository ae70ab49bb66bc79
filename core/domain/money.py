"""Decimal arithmetic for prices and quantities (floor 0).

Every function names its rounding direction. Inputs come from the exchange's strings; a binary
float is refused because it carries a rounding nobody chose.
"""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from core.domain.enums import Direction

ZERO = Decimal(0)
ONE = Decimal(1)


def decimal(value: str | int | Decimal) -> Decimal:
    """Exact Decimal of an exchange string or integer.

    Raises TypeError for a float and ValueError for text that is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise TypeError(f"money takes text or Decimal, not {type(value).__name__}")
    try:
        number = Decimal(value)
    except ArithmeticError as error:
        raise ValueError(f"not a number: {value!r}") from error
    if not number.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    return number


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if step <= 0:
        raise ValueError(f"step must be positive, got {step}")
    return (value / step).to_integral_value(rounding=rounding) * step


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Largest multiple of `step` not above `value` (toward minus infinity)."""
    return _to_step(value, step, ROUND_FLOOR)


def ceil_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Smallest multiple of `step` not below `value`."""
    return _to_step(value, step, ROUND_CEILING)


def truncate_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Multiple of `step` nearest to `value` toward zero: never more quantity than asked."""
    return _to_step(value, step, ROUND_DOWN)


def nearest_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Multiple of `step` nearest to `value`; ties go to the even multiple."""
    return _to_step(value, step, ROUND_HALF_EVEN)


def round_to_tick_away(price: Decimal, tick: Decimal, direction: Direction) -> Decimal:
    """Stop price on the tick grid, rounded away from the position.

    Away means below for a long and above for a short, so rounding never brings the stop nearer
    to the entry than planned.
    """
    if direction is Direction.LONG:
        return floor_to_step(price, tick)
    return ceil_to_step(price, tick)


def to_wire(value: Decimal) -> str:
    """Plain decimal notation without exponent or superfluous zeros, as the exchange takes it."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
