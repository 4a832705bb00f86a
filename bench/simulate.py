"""Simulates downloads over links by the hundred, and compares each with the fixed number of connections that is best.

    python bench/simulate.py [--links 320] [--seed 1] [--only TEXT] [--jobs N]

The plan and the tuner are the product's; links, clock and connections are modelled (`tests/support/simulator.py`).
"""

import argparse
import multiprocessing
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from comparison import compare
from simulator import variations

# What is promised
WORK = 4.0  # seconds that the best number takes; from here on the next holds
SLOWER = 1.25  # times the best number's seconds
FEW = 2.5  # connections, from second 10 on, where one fills the link
SENT = 1.05  # times the size

HEADER = (
    f"{'ours s':>8}{'best s':>8}{'number':>8}{'ratio':>7}{'mean':>6}{'from 10 s':>11}{'sent':>7}  "
    "link (* = one connection fills it)"
)


def line(found):
    late = "" if found.ours.late is None else f"{found.ours.late:.1f}"
    return (
        f"{found.ours.seconds:8.1f}{found.best.seconds:8.1f}{found.number:8}{found.ratio:7.2f}{found.ours.mean:6.1f}"
        f"{late:>11}{found.ours.sent:7.3f}  {found.link.name}{' *' if found.one_fills else ''}"
    )


def summary(results):
    """Return the lines that say how far the promises hold."""
    ratios = [found.ratio for found in results if found.best.seconds >= WORK]
    late = [found.ours.late for found in results if found.one_fills and found.ours.late is not None]
    sent = [found.ours.sent for found in results]
    wasted = [found.wasted for found in results]
    return [
        f"{len(results)} links, {len(ratios)} of them with {WORK:.0f} s of work",
        f"seconds / best: worst {max(ratios, default=0):.2f}, median {statistics.median(ratios or [0]):.2f}, "
        f"over {SLOWER} on {sum(ratio > SLOWER for ratio in ratios)}",
        f"connections from second 10 on, where one fills the link ({len(late)} links): "
        f"worst {max(late, default=0):.1f}, over {FEW} on {sum(mean > FEW for mean in late)}",
        f"sent / size: worst {max(sent):.3f}, over {SENT} on {sum(one > SENT for one in sent)}; "
        f"more than the best number is sent: worst {max(wasted):.3f}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", type=int, default=320, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn")
    parser.add_argument("--only", metavar="TEXT", default="", help="only links with this text in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    options = parser.parse_args()
    links = [link for link in variations(options.links, options.seed) if options.only in link.name]
    if not links:
        sys.exit(f"no link has {options.only!r} in its name")
    with multiprocessing.Pool(options.jobs) as pool:
        results = sorted(pool.imap_unordered(compare, links), key=lambda found: -found.ratio)
    print(HEADER, *map(line, results), "", *summary(results), sep="\n")


if __name__ == "__main__":
    main()
