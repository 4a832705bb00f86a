"""Compares the product on a simulated link with the fixed number of connections that is best in hindsight."""

from dataclasses import dataclass

from simulator import Download, Link, Result, best_fixed

from cdn_engine.tuner import Tuner

FILLS = 1.05  # one connection fills a link if alone it takes no more than so many times the best number's time


@dataclass(frozen=True)
class Comparison:
    """What has been found out about one link.

    Attributes:
        link: The link.
        ours: The product's result.
        best: The result of the best fixed number of connections.
        number: That number.
        alone: The result of one connection.
    """

    link: Link
    ours: Result
    best: Result
    number: int
    alone: Result

    @property
    def ratio(self):
        """The time of the product, as a multiple of the best."""
        return self.ours.seconds / self.best.seconds

    @property
    def one_fills(self):
        """True if one connection is as fast as any number."""
        return self.alone.seconds <= FILLS * self.best.seconds

    @property
    def wasted(self):
        """Bytes that the store sends beyond those with the best number, as a share of the size."""
        return self.ours.sent - self.best.sent


def compare(link):
    """Return the comparison for a link."""
    best, number = best_fixed(link)
    return Comparison(link, Download(link).run(), best, number, Download(link, Tuner.fixed(1, 0.0)).run())
