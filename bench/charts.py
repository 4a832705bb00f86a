"""Draws figures as SVG: bars with whiskers, and lines with whiskers over two logarithmic axes."""

import math
from html import escape

_WIDTH, _LABELS, _ROW, _MARGIN = 760, 150, 18, 12  # pixels
_PLOT = 480  # pixels, width of bars and height of lines
_INK, _GRID = "#222", "#ddd"
_OURS, _OTHERS = "#0b6e4f", "#8a9ba8"
_PALETTE = ("#0b6e4f", "#222", "#c8553d", "#3d6fc8", "#b08900", "#8a4fbf", "#1a9ba1", "#d1478c")


def _text(x, y, words, anchor="start", weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'


def _line(x1, y1, x2, y2, colour=_INK):
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}"/>'


def _picture(height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" font-family="sans-serif"'
        f' font-size="12" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#fff"/>', *parts, "</svg>\n",
    ])  # fmt: skip


def bars(panels):
    """Draw panels below each other.

    Args:
        panels: Pairs of a title and rows; a row is a label, whether it is ours, the median, the least and the most as
            numbers, and the median as text.
    """
    parts, y = [], _MARGIN
    for title, rows in panels:
        y += _ROW
        parts.append(_text(_MARGIN, y, title, weight="bold"))
        scale = _PLOT / max(most for *_, most, _ in rows)
        for label, ours, median, least, most, words in rows:
            y += _ROW
            parts.append(_text(_LABELS, y, label, "end", "bold" if ours else "normal"))
            colour, x, middle = _OURS if ours else _OTHERS, _LABELS + 6, y - 4
            parts.append(f'<rect x="{x}" y="{y - 10}" width="{median * scale:.1f}" height="12" fill="{colour}"/>')
            ends = [x + least * scale, x + most * scale]
            parts += [_line(ends[0], middle, ends[1], middle)]
            parts += [_line(end, middle - 3, end, middle + 3) for end in ends]
            parts.append(_text(ends[1] + 6, y, words))
        y += _ROW
    return _picture(y + _MARGIN, parts)


class _Axes:
    def __init__(self, points):
        self._x = math.log10(min(x for x, *_ in points)), math.log10(max(x for x, *_ in points))
        self._y = (
            math.floor(math.log10(min(least for *_, least, _ in points))),
            math.ceil(math.log10(max(most for *_, most in points))),
        )

    def x(self, value):
        first, last = self._x
        return 70 + (math.log10(value) - first) / max(last - first, 1e-9) * (_WIDTH - 230)

    def y(self, value):
        first, last = self._y
        return _MARGIN + (last - math.log10(value)) / max(last - first, 1) * _PLOT

    def decades(self):
        return [10.0**power for power in range(self._y[0], self._y[1] + 1)]


def lines(series, ticks, unit):
    """Draw lines.

    Args:
        series: Points by label; a point is x, the median, the least and the most.
        ticks: Pairs of an x and its label.
        unit: What is on the other axis.
    """
    axes = _Axes([point for points in series.values() for point in points])
    bottom, right = _MARGIN + _PLOT, _WIDTH - 160
    parts = []
    for value in axes.decades():
        parts.append(_line(70, axes.y(value), right, axes.y(value), _GRID))
        parts.append(_text(64, axes.y(value) + 4, f"{value:g} {unit}", "end"))
    for value, label in ticks:
        parts.append(_line(axes.x(value), _MARGIN, axes.x(value), bottom, _GRID))
        parts.append(_text(axes.x(value), bottom + _ROW, label, "middle"))
    for number, (label, points) in enumerate(series.items()):
        colour = _PALETTE[number % len(_PALETTE)]
        path = " ".join(f"{axes.x(x):.1f},{axes.y(median):.1f}" for x, median, *_ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{1.5 if number else 3}"/>')
        for x, _, least, most in points:
            parts.append(_line(axes.x(x), axes.y(least), axes.x(x), axes.y(most), colour))
            parts += [_line(axes.x(x) - 3, axes.y(end), axes.x(x) + 3, axes.y(end), colour) for end in (least, most)]
        y = _MARGIN + _ROW * (number + 1)
        parts += [_line(right + 12, y - 4, right + 36, y - 4, colour), _text(right + 42, y, label)]
    return _picture(bottom + 2 * _ROW, parts)
