"""A link between a client and a store: a TCP proxy with rates, round trips, jitter, bursts and faults, all seeded.

``with Link(url, rtt=0.04, rate=20e6) as link:`` runs in a thread, and forwards what connects to ``link.url`` to the
store at ``url``. ``link_shaper.Conditions`` lists what a link can be like. It forwards bytes, whatever they mean, and
so carries https as well.

As a program, it is a link in a process of its own: ``python link.py URL '{"rtt": 0.04, "rate": 20e6}'`` prints its URL,
and its statistics as JSON when its standard input ends.
"""

import heapq
import itertools
import json
import math
import selectors
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

from link_connection import BUFFER, Connection, Surplus
from link_record import Record
from link_shaper import SLICE, Bucket, Conditions, share

_LOOK = 0.05  # seconds between two looks at whether the link is to be closed


class Link:
    """A link to the store at ``url``, for the duration of its ``with`` block.

    Args:
        url: The store's endpoint.
        conditions: The fields of ``link_shaper.Conditions``.

    Attributes:
        url: The endpoint for clients.
        conditions: What the link is like.
        record: What has passed, a ``link_record.Record``.
    """

    def __init__(self, url, **conditions):
        self.conditions = Conditions(**conditions)
        self.record = Record(time.monotonic)
        parts = urlsplit(url)
        self.family, *_, self.store = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)[0]
        self.selector = selectors.DefaultSelector()
        self.ready = {}  # flows to look at, and whether their sources are known to have data
        self._timers, self._order = [], itertools.count()
        self._served, self._surplus = set(), set()
        self._shared = {direction: Bucket(SLICE * 2) for direction in ("up", "down")}
        self._stopped = False
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.selector.register(self._listener, selectors.EVENT_READ)
        self.url = f"{parts.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped = True
        self._thread.join()

    @property
    def bytes_sent(self):
        """Bytes that the link has carried towards the client."""
        return self.record.carried_bytes["down"]

    @property
    def connections(self):
        """Number of connections that have been served."""
        return self.record.connections

    @property
    def refused(self):
        """Number of connections that have not been served."""
        return self.record.refused

    def at(self, when, action):
        """Have the loop call ``action`` with the time."""
        heapq.heappush(self._timers, (when, next(self._order), action))

    def closed(self, connection):
        """Forget a connection."""
        if connection in self._served:
            self._served.remove(connection)
            self.record.closed(connection.number)
        self._surplus.discard(connection)

    def _run(self):
        while not self._stopped:
            self._turn()
        for connection in [*self._served, *self._surplus]:
            connection.close(reset=True)
        self._listener.close()
        self.selector.close()

    def _turn(self):
        first = self._timers[0][0] if self._timers else math.inf
        events = self.selector.select(min(_LOOK, max(0.0, first - time.monotonic())))
        now = time.monotonic()
        arrived = False
        for key, mask in events:
            if key.data is None:
                arrived = True
            elif isinstance(key.data, Surplus):
                key.data.read(now)
            else:
                reader, writer = key.data
                self.ready[reader] = self.ready.get(reader, False) or bool(mask & selectors.EVENT_READ)
                self.ready.setdefault(writer, False)
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2](now)
        ready, self.ready = self.ready, {}
        self._serve(ready, now)
        if arrived:
            self._accept(now)  # one, and last: whoever left before it came has made room for it

    def _accept(self, now):
        client, _ = self._listener.accept()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.conditions.most is not None and len(self._served) >= self.conditions.most:
            self.record.refused += 1
            self._surplus.add(Surplus(self, client, now))
        else:
            self._served.add(Connection(self, client, self.record.opened(now), now))

    def _serve(self, ready, now):
        """Hand on what is due, and carry what is allowed."""
        for flow in ready:
            self._guarded(flow, flow.deliver, now)
        rate, shared = self.conditions.rates(self.record.elapsed(now))
        for direction, bucket in self._shared.items():
            flows = [flow for flow in ready if flow.direction == direction and not flow.connection.closed
                     and flow.wants(now, ready[flow])]
            if flows:
                self._carry(flows, bucket, rate, shared, now)
        for flow in ready:
            if not flow.connection.closed:
                self._guarded(flow, flow.deliver, now)
                flow.settle(now)

    def _carry(self, flows, bucket, rate, shared, now):
        amounts = [flow.shaper.allow(now, rate, shared, flow.idle) for flow in flows]
        if shared is not None:
            bucket.fill(now, shared, all(flow.idle for flow in flows))
            amounts = share(amounts, bucket.level)
        for flow, amount in zip(flows, amounts, strict=True):
            bucket.level -= self._guarded(flow, flow.carry, amount, now)

    def _guarded(self, flow, action, *arguments):
        """Act on a flow. Where one end has gone, the other one goes too."""
        if flow.connection.closed:
            return 0
        try:
            return action(*arguments) or 0
        except OSError:
            flow.connection.close(reset=True)
            return 0


if __name__ == "__main__":
    with Link(sys.argv[1], **json.loads(sys.argv[2])) as running:
        print(running.url, flush=True)
        sys.stdin.read()
        print(json.dumps(running.record.statistics()), flush=True)
