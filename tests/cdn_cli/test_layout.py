"""Tests what of a bar and its figures fits into a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdn_cli.layout import Layout, Widths, lay_out

MODEL = Widths(name=17, sizes=12, status=14, short=4, note=15)


def columns_of(layout):
    shown = [width for width in layout[:5] if width]
    return sum(shown) + len(shown) - 1


@pytest.mark.parametrize(
    ("columns", "layout"),
    [
        (200, Layout(name=17, bar=40, sizes=12, status=14, note=15)),
        (100, Layout(name=17, bar=20, sizes=12, status=14, note=15)),
        (80, Layout(name=15, bar=20, sizes=12, status=14, note=15)),
        (64, Layout(name=15, bar=20, sizes=12, status=14, note=0)),
        (50, Layout(name=13, bar=8, sizes=12, status=14, note=0)),
        (42, Layout(name=14, bar=0, sizes=12, status=14, note=0)),
        (30, Layout(name=12, bar=0, sizes=12, status=4, note=0, is_short=True)),
        (20, Layout(name=15, bar=0, sizes=0, status=4, note=0, is_short=True)),
        (10, Layout(name=5, bar=0, sizes=0, status=4, note=0, is_short=True)),
    ],
)
def test_name_bar_rate_and_sizes_are_left_out_in_this_order(columns, layout):
    assert lay_out(MODEL, columns) == layout


def test_name_that_is_long_gets_all_the_room_there_is():
    long = MODEL._replace(name=300, note=0)
    assert lay_out(long, 200).name == 200 - 3 - 20 - 12 - 14


@given(
    st.builds(Widths, *[st.integers(1, 300)], *[st.integers(0, 40)] * 4), st.integers(50, 300)
)
def test_no_line_is_wider_than_the_terminal(widths, columns):
    assert columns_of(lay_out(widths, columns)) <= columns
