"""A connection over a modelled link: its two flows of bytes; and one that the link does not serve.

The loop of ``link.Link`` calls them; nothing here waits.
"""

import contextlib
import fcntl
import math
import selectors
import socket
import struct
import sys
import termios
from collections import deque

from link_shaper import READ, SLICE, Shaper

BUFFER = 128 << 10  # bytes; of each socket, so that few bytes are where the link does not count them

_IN_FLIGHT = 4 << 20  # bytes; about the largest receive window of Linux's TCP
_RESET = struct.pack("ii", 1, 0)  # lingering for no time: close() sends RST
_BUSY = b"<Error><Code>SlowDown</Code></Error>"


def _unsent(end):
    """Return how many bytes the system has taken and not handed on, where it tells: a reset would lose them."""
    try:
        return int.from_bytes(fcntl.ioctl(end, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def _close(end, reset):
    if reset:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.close()


class Flow:
    """One direction of a connection.

    Args:
        link: The link.
        connection: The connection.
        direction: ``"up"``, to the store, or ``"down"``.
        limit: Bytes after which the flow ends.
        silent: True to end in silence, False to end in a reset.

    Attributes:
        idle: The source had nothing to send when it was last asked.
        blocked: The sink takes nothing at the moment.
    """

    def __init__(self, link, connection, direction, limit=math.inf, silent=False):
        self.connection = connection
        self.direction = direction
        self.source, self.sink = connection.ends if direction == "up" else reversed(connection.ends)
        self.shaper = Shaper(link.conditions, connection.number, direction)
        self.idle = True
        self.blocked = False
        self._link, self._limit, self._silent = link, limit, silent
        self._under_way = deque()  # (when it is due, data)
        self._in_flight = 0
        self._ended = False
        self._resume_at = 0.0
        self._wake_at = math.inf

    @property
    def may_read(self):
        return not self._ended and not self.blocked and self._limit > 0 and self._in_flight < _IN_FLIGHT

    @property
    def listens(self):
        """True if data at the source is to wake the loop."""
        return self.may_read and self.idle

    def wants(self, now, readable):
        """Tell whether there may be something to carry. ``readable`` tells that data is at the source for sure."""
        return self.may_read and now >= self._resume_at and (readable or not self.idle)

    def carry(self, allowed, now):
        """Read at most so many bytes, and send them on their way. Return how many there were."""
        wanted = min(allowed, self._limit)
        data = b""
        if wanted:
            with contextlib.suppress(BlockingIOError):
                data = self.source.recv(wanted)
                self._ended = not data
        self.idle = len(data) < wanted
        if data:
            self._limit -= len(data)
            self._in_flight += len(data)
            rtt = self._link.conditions.rtt
            self._under_way.append((max(now, self.connection.opened + rtt) + rtt / 2, memoryview(data)))
            self.shaper.spend(len(data))
            self._link.record.carried(self.connection.number, self.direction, len(data), now)
        if len(data) == allowed < READ:
            self._resume_at = (now // SLICE + 1) * SLICE
        return len(data)

    def deliver(self, now):
        """Hand on what is due."""
        self.blocked = False
        while self._under_way and self._under_way[0][0] <= now:
            due, data = self._under_way[0]
            sent = 0
            with contextlib.suppress(BlockingIOError):
                sent = self.sink.send(data)
            self._in_flight -= sent
            if sent < len(data):
                self._under_way[0] = due, data[sent:]
                self.blocked = True
                return
            self._under_way.popleft()
        if self._under_way:
            return
        if self._ended:
            self.connection.close()  # a client that has ended its side has left
        elif self._limit <= 0 and not self._silent:
            if _unsent(self.sink):
                self._link.at(now + SLICE, self._wake)
            else:
                self.connection.close(reset=True)

    def settle(self, now):
        """Have the loop come back when there is something to do."""
        self.connection.watch()
        times = [self._resume_at] if self.may_read and not self.idle else []
        if self._under_way and not self.blocked:
            times.append(self._under_way[0][0])
        if times and min(times) < self._wake_at:
            self._wake_at = max(now, min(times))
            self._link.at(self._wake_at, self._wake)

    def _wake(self, _):
        self._wake_at = math.inf
        self._link.ready.setdefault(self, False)


class Connection:
    """A connection that is served: the client's end, the store's end, and the two flows between them."""

    def __init__(self, link, client, number, now):
        self.number = number
        self.opened = now
        self.closed = False
        self._link = link
        store = socket.socket(link.family)
        store.setblocking(False)
        store.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        store.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        store.connect_ex(link.store)
        self.ends = client, store
        conditions, end = link.conditions, {}
        if conditions.silent is not None and conditions.silent[0] == number:
            end = {"limit": conditions.silent[1], "silent": True}
        elif conditions.reset_every is not None:
            end = {"limit": conditions.reset_every}
        self.up, self.down = Flow(link, self, "up"), Flow(link, self, "down", **end)
        self._masks = dict.fromkeys(self.ends, 0)
        self.watch()

    def watch(self):
        """Have the selector wait for what the two flows can use."""
        for end, reader, writer in ((self.ends[0], self.up, self.down), (self.ends[1], self.down, self.up)):
            mask = 0 if self.closed else selectors.EVENT_READ * reader.listens | selectors.EVENT_WRITE * writer.blocked
            if mask == self._masks[end]:
                continue
            if not self._masks[end]:
                self._link.selector.register(end, mask, (reader, writer))
            elif mask:
                self._link.selector.modify(end, mask, (reader, writer))
            else:
                self._link.selector.unregister(end)
            self._masks[end] = mask

    def close(self, reset=False):
        """Close both ends, or reset them."""
        if not self.closed:
            self.closed = True
            self.watch()
            self._link.closed(self)
            for end in self.ends:
                _close(end, reset)


class Surplus:
    """A connection that is not served, but treated as the link's conditions say."""

    def __init__(self, link, client, now):
        self.closed = False
        self._link, self._client, self._opened, self._asked = link, client, now, False
        link.selector.register(client, selectors.EVENT_READ, self)
        if link.conditions.surplus == "reset":
            link.at(now + link.conditions.rtt, lambda _: self.close(reset=True))

    def read(self, now):
        """Discard what the client sends, until it leaves."""
        data = b""
        with contextlib.suppress(OSError):
            data = self._client.recv(READ)
        if not data:
            self.close()
        elif self._link.conditions.surplus == "503" and not self._asked:
            self._asked = True
            rtt = self._link.conditions.rtt
            self._link.at(max(now, self._opened + rtt) + rtt, self._answer)

    def _answer(self, _):
        after = self._link.conditions.retry_after
        fields = "" if after is None else f"Retry-After: {after}\r\n"
        head = f"HTTP/1.1 503 Slow Down\r\nContent-Length: {len(_BUSY)}\r\n{fields}Connection: close\r\n\r\n"
        with contextlib.suppress(OSError):  # the client may have left
            self._client.sendall(head.encode() + _BUSY)
            self._client.shutdown(socket.SHUT_WR)

    def close(self, reset=False):
        """Close the connection, or reset it."""
        if not self.closed:
            self.closed = True
            self._link.selector.unregister(self._client)
            self._link.closed(self)
            _close(self._client, reset)
