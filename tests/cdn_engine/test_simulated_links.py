"""The tuner and the plan over simulated links of all kinds, beside the number of connections that is best in hindsight.

`bench/simulate.py` shows hundreds of them.
"""

import pytest
from comparison import compare
from simulator import variations

pytestmark = pytest.mark.portable

WORK = 4.0  # seconds from which on the time is promised
LINKS = variations(48, seed=10)


@pytest.fixture(scope="module", params=LINKS, ids=lambda link: link.name)
def found(request):
    return compare(request.param)


def test_link_takes_little_longer_than_with_the_best_number_of_connections(found):
    if found.best.seconds >= WORK:
        ratio = found.ratio
        assert ratio <= 1.25


def test_few_connections_are_left_where_one_fills_the_link(found):
    if found.one_fills:
        late = found.ours.late or 0.0  # it ended before
        assert late <= (4.0 if found.link.burst else 2.5)  # bursts hide how fast a few connections are


def test_hardly_anything_is_sent_twice(found):
    """A link that resets its connections loses what is on its way, however many there are."""
    sent, inevitable = found.ours.sent, found.best.sent
    assert sent <= max(1.05, inevitable + 0.02)


def test_links_of_all_kinds_are_among_them():
    kinds = {link.name.split()[0] for link in LINKS}
    assert kinds == {"steady", "jitter", "burst", "most", "reset", "silent", "change"}
