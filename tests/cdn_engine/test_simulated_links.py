"""The tuner and the plan over simulated links of all kinds, beside the number of connections that is best in hindsight.

`bench/simulate.py` shows hundreds of them.
"""

import pytest
from comparison import compare
from simulator import variations

WORK = 4.0  # seconds from which on the time is promised
LINKS = variations(32, seed=10)


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_download_is_fast_with_few_connections_and_sends_little_twice(link):
    found = compare(link)
    if found.best.seconds >= WORK:
        ratio = found.ratio
        assert ratio <= 1.25
    if found.one_fills:
        late = found.ours.late or 0.0  # it ended before
        assert late <= (4.0 if link.burst else 2.5)  # bursts hide how fast a few connections are
    sent, inevitable = found.ours.sent, found.best.sent
    assert sent <= max(1.05, inevitable + 0.02)  # a link that resets its connections loses what is on its way


def test_links_of_all_kinds_are_among_them():
    kinds = {link.name.split()[0] for link in LINKS}
    assert kinds == {"steady", "jitter", "burst", "most", "reset", "silent", "change"}
