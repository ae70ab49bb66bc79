"""The equity curve as a small PNG (floor 5), without a drawing library."""

import struct
import zlib
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

WIDTH, HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 14, 16, 30
_PAPER, _GRID, _INK = (250, 250, 250), (222, 222, 222), (90, 90, 90)
_GAIN, _LOSS = (24, 140, 84), (196, 58, 58)
_SCALE = 2
_GLYPHS = {
    "0": "7 5 5 5 7", "1": "2 6 2 2 7", "2": "7 1 7 4 7", "3": "7 1 7 1 7", "4": "5 5 7 1 1",
    "5": "7 4 7 1 7", "6": "7 4 7 5 7", "7": "7 1 1 1 1", "8": "7 5 7 5 7", "9": "7 5 7 1 7",
    ".": "0 0 0 0 2", ":": "0 2 0 2 0", "-": "0 0 7 0 0", ",": "0 0 0 2 4",
}  # fmt: skip
"""Three by five dots each, one octal digit per row."""

Colour = tuple[int, int, int]


class _Canvas:
    def __init__(self) -> None:
        self._rows = [bytearray(bytes(_PAPER) * WIDTH) for _ in range(HEIGHT)]

    def dot(self, x: int, y: int, colour: Colour) -> None:
        if 0 <= x < WIDTH and 0 <= y < HEIGHT:
            self._rows[y][3 * x : 3 * x + 3] = bytes(colour)

    def line(self, start: tuple[int, int], end: tuple[int, int], colour: Colour) -> None:
        (x0, y0), (x1, y1) = start, end
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x, y = x0 + (x1 - x0) * step // steps, y0 + (y1 - y0) * step // steps
            self.dot(x, y, colour)
            self.dot(x, y + 1, colour)

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
        raw = b"".join(b"\0" + bytes(row) for row in self._rows)
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(raw, 9))
            + _chunk(b"IEND", b"")
        )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def equity_picture(points: Sequence[tuple[int, Decimal]]) -> bytes:
    """PNG of equity over time; `points` are (UTC ms, quote coin), oldest first, two or more."""
    low = min(value for _, value in points)
    high = max(value for _, value in points)
    room = max((high - low) / 20, high / 10_000, Decimal("0.01"))
    low, high = low - room, high + room
    begin, end = points[0][0], max(points[-1][0], points[0][0] + 1)
    wide, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    canvas = _Canvas()
    for step in range(5):
        y = _TOP + tall * step // 4
        value = high - (high - low) * step / 4
        canvas.line((_LEFT, y), (WIDTH - _RIGHT, y), _GRID)
        label = f"{value:.2f}"
        canvas.write(_LEFT - 8 - 4 * _SCALE * len(label), y - 4, label)
    for step in range(5):
        at = begin + (end - begin) * step // 4
        minutes = at // 60_000 % 1_440
        x = min(_LEFT + wide * step // 4 - 20, WIDTH - 44)
        canvas.write(x, HEIGHT - _BOTTOM + 10, f"{minutes // 60:02d}:{minutes % 60:02d}")
    colour = _GAIN if points[-1][1] >= points[0][1] else _LOSS
    spots = [
        (
            _LEFT + (at - begin) * wide // (end - begin),
            _TOP + int((high - value) / (high - low) * tall),
        )
        for at, value in points
    ]
    for start, stop in pairwise(spots):
        canvas.line(start, stop, colour)
    return canvas.png()
