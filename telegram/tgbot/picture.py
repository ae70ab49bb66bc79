"""The equity curve as a small PNG (floor 5), without a drawing library."""

import struct
import zlib
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise

WIDTH, HEIGHT = 960, 480
_STRIDE = WIDTH + 1
_LEFT, _RIGHT, _TOP, _BOTTOM = 132, 20, 24, 44
_PALETTE = (
    (250, 250, 250), (222, 222, 222), (90, 90, 90),
    (24, 140, 84), (196, 58, 58), (219, 240, 229), (248, 226, 226),
)  # fmt: skip
_GRID, _INK, _GAIN, _LOSS, _GAIN_AREA, _LOSS_AREA = range(1, len(_PALETTE))
"""Colours are numbers of the palette; 0 is the paper."""
_SCALE = 3
_VALUE_STEPS = 4
_TIME_STEPS = tuple(m * 60_000 for m in (1, 2, 5, 10, 20, 30, 60, 120, 180, 240, 360, 720))
_GLYPHS = {
    "0": "7 5 5 5 7", "1": "2 6 2 2 7", "2": "7 1 7 4 7", "3": "7 1 7 1 7", "4": "5 5 7 1 1",
    "5": "7 4 7 1 7", "6": "7 4 7 5 7", "7": "7 1 1 1 1", "8": "7 5 7 5 7", "9": "7 5 7 1 7",
    ".": "0 0 0 0 2", ":": "0 2 0 2 0", "-": "0 0 7 0 0", ",": "0 0 0 2 4",
}  # fmt: skip
"""Three by five dots each, one octal digit per row."""


class _Canvas:
    """One byte per dot, row by row, each row after its filter byte as PNG has it."""

    def __init__(self) -> None:
        self._dots = bytearray(_STRIDE * HEIGHT)

    def dot(self, x: int, y: int, colour: int) -> None:
        if 0 <= x < WIDTH and 0 <= y < HEIGHT:
            self._dots[y * _STRIDE + 1 + x] = colour

    def line(self, start: tuple[int, int], end: tuple[int, int], colour: int) -> None:
        (x0, y0), (x1, y1) = start, end
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x, y = x0 + (x1 - x0) * step // steps, y0 + (y1 - y0) * step // steps
            self.dot(x, y, colour)
            self.dot(x, y + 1, colour)

    def column(self, x: int, top: int, bottom: int, colour: int) -> None:
        """Dots from `top` to `bottom`, not included."""
        first, last = top * _STRIDE + 1 + x, bottom * _STRIDE + 1 + x
        self._dots[first:last:_STRIDE] = bytes([colour]) * max(bottom - top, 0)

    def write(self, x: int, y: int, words: str) -> None:
        for character in words:
            for row, digit in enumerate(_GLYPHS.get(character, "0 0 0 0 0").split()):
                for column in range(3):
                    if int(digit) >> (2 - column) & 1:
                        self._block(x + column * _SCALE, y + row * _SCALE)
            x += 4 * _SCALE

    def _block(self, x: int, y: int) -> None:
        for dx in range(_SCALE):
            for dy in range(_SCALE):
                self.dot(x + dx, y + dy, _INK)

    def png(self) -> bytes:
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
        colours = b"".join(bytes(colour) for colour in _PALETTE)
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"PLTE", colours)
            + _chunk(b"IDAT", zlib.compress(self._dots, 6))
            + _chunk(b"IEND", b"")
        )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def equity_picture(points: Sequence[tuple[int, Decimal]]) -> bytes:
    """PNG of equity over time; `points` are (UTC ms, quote coin), oldest first, two or more.

    Green above the first value, red below; round values at the left, UTC times below.
    """
    ticks = _values([value for _, value in points])
    low, high = ticks[0], ticks[-1]
    begin, end = points[0][0], max(points[-1][0], points[0][0] + 1)
    wide, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def x_of(at_ms: int) -> int:
        return _LEFT + (at_ms - begin) * wide // (end - begin)

    def y_of(value: Decimal) -> int:
        return _TOP + int((high - value) / (high - low) * tall)

    canvas = _Canvas()
    gain = points[-1][1] >= points[0][1]
    spots = [(x_of(at), y_of(value)) for at, value in points]
    _fill(canvas, spots, _GAIN_AREA if gain else _LOSS_AREA)
    for value in ticks:
        canvas.line((_LEFT, y_of(value)), (WIDTH - _RIGHT, y_of(value)), _GRID)
        label = f"{value:.2f}"
        canvas.write(_LEFT - 12 - 4 * _SCALE * len(label), y_of(value) - 6, label)
    for at in _times(begin, end):
        canvas.line((x_of(at), HEIGHT - _BOTTOM), (x_of(at), HEIGHT - _BOTTOM + 5), _INK)
        minutes = at // 60_000 % 1_440
        x = min(max(x_of(at) - 30, 0), WIDTH - 64)
        canvas.write(x, HEIGHT - _BOTTOM + 14, f"{minutes // 60:02d}:{minutes % 60:02d}")
    for start, stop in pairwise(spots):
        canvas.line(start, stop, _GAIN if gain else _LOSS)
    return canvas.png()


def _fill(canvas: _Canvas, spots: Sequence[tuple[int, int]], colour: int) -> None:
    """The area between the curve and its first value."""
    base = spots[0][1]
    for (x0, y0), (x1, y1) in pairwise(spots):
        for x in range(x0, max(x1, x0 + 1)):
            y = y0 + (y1 - y0) * (x - x0) // max(x1 - x0, 1)
            canvas.column(x, min(y, base), max(y, base), colour)


def _values(values: Sequence[Decimal]) -> list[Decimal]:
    """Round values in equal steps that enclose all of these."""
    low, high = min(values), max(values)
    least = max((high - low) / _VALUE_STEPS, high / 10_000, Decimal("0.01"))
    unit = Decimal(1).scaleb(least.adjusted())
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least)
    first = int((low / step).to_integral_value(ROUND_FLOOR))
    last = int((high / step).to_integral_value(ROUND_CEILING))
    return [step * count for count in range(first, max(last, first + 1) + 1)]


def _times(begin: int, end: int) -> list[int]:
    """Whole times of the day, a handful of them."""
    step = next((each for each in _TIME_STEPS if (end - begin) / each <= 8), _TIME_STEPS[-1])
    return list(range(-(-begin // step) * step, end + 1, step))
