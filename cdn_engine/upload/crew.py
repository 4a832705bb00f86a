"""The threads that send the parts of a multipart upload, each over a connection of its own."""

import threading
import time

from cdn_engine import budget, threads
from cdn_engine.tuner import Tuner
from cdn_engine.upload.gauge import Gauge
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.parts import Parts
from cdn_engine.upload.request import Requests
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry

__all__ = ["Crew"]

_TICK = 0.05  # seconds between two looks of the tuner,
_FIRST_TICK = 0.002  # sooner while the upload is young: on a fast link it is over soon
_OF_AGE = 0.1  # and in between, this share of its age
_LONG = 60.0  # seconds; a wait that is renewed

_BUSY = (429, 503)


class Crew:
    """Sends parts over as many connections as pay, or as the system and the store allow, down to one.

    Each worker needs a place, of which there are as many as the tuner wants connections. A worker whose request fails
    while others have a place gives up its own: the upload ends only if the last one fails for good.

    Args:
        requests: Makes the requests.
        parts: The parts.
        state: The upload's shared state.
        upload_id: The upload's id.
        layout: How the payload is cut, and how many connections may send it.
        gauge: Shows the tuner how the upload moves.

    Thread-safety: for one thread.
    """

    def __init__(
        self, requests: Requests, parts: Parts, state: State, upload_id: str, layout: Layout, gauge: Gauge
    ) -> None:
        self._requests = requests
        self._parts = parts
        self._state = state
        self._upload_id = upload_id
        self._layout = layout
        self._gauge = gauge
        self._share = budget.enter()
        self._began = time.monotonic()
        self._tuner = self._new_tuner()
        self._carrying = 0  # places that are taken
        self._workers: list[threading.Thread] = []

    def run(self) -> None:
        """Send all parts. No worker is left afterwards.

        Raises:
            Over: The upload has ended.
        """
        try:
            while not self._parts.is_over():
                self._start_workers()
                self._state.wait_for(self._parts.is_over, self._tick())
                self._tune()
                self._parts.save()
        except BaseException as error:
            self._state.end(error)
        finally:
            threads.join(self._workers)
            self._share.leave()
        self._state.check()

    def _new_tuner(self) -> Tuner:
        most = self._layout.connections
        if self._layout.is_callers:
            return Tuner.fixed(most, self._began)
        return Tuner(self._share.ask(most), self._began, self._state.sent, self._layout.part)

    def _tick(self) -> float:
        """Return how many seconds to wait until the tuner looks again."""
        return min(_TICK, max(_FIRST_TICK, (time.monotonic() - self._began) * _OF_AGE))

    def _tune(self) -> None:
        """Adapt the number of places."""
        with self._state.lock:
            now = time.monotonic()
            if not self._layout.is_callers:
                missing = self._layout.count - len(self._parts.arrived)
                self._tuner.most = self._share.ask(min(self._layout.connections, missing))
            self._parts.cut_silent(now)
            self._gauge.show(self._tuner, now)
            self._change_places()

    def _change_places(self) -> None:
        """Let the connections beyond the target pause, and wake who can take a place or go on."""
        self._state.pause(self._parts.bodies()[self._tuner.target:])

    def _start_workers(self) -> None:
        """Start a worker for each place. Without a single one, this thread is the only worker."""
        while len(self._workers) < self._tuner.target:
            self._workers.append(threading.Thread(target=self._work, name="cdn-upload", daemon=True))
            try:
                threads.start(self._workers[-1])
            except RuntimeError:
                self._workers.pop()
                with self._state.lock:
                    self._tuner.refuse(time.monotonic(), len(self._workers))
                if not self._workers:
                    self._work()
                return

    def _work(self) -> None:
        """Send parts whenever there is a place, until none is left."""
        try:
            while self._take_place():
                self._carry()
        except Over:
            pass
        except BaseException as error:
            self._state.end(error)

    def _take_place(self) -> bool:
        """Wait for a place. Return False if none is needed any more."""

        def is_free() -> bool:
            return self._carrying < self._tuner.target

        while not self._parts.is_over():
            with self._state.lock:
                if is_free():
                    self._carrying += 1
                    return True
            self._state.wait_for(lambda: is_free() or self._parts.is_over(), _LONG)
        return False

    def _carry(self) -> None:
        """Send parts over one connection until none is left, or the place is given up."""
        failures, proven = 0, False
        while (sending := self._parts.take()) is not None:
            try:
                answer = self._requests.attempt(
                    "UploadPart", sending.body, sending.attempt,
                    UploadId=self._upload_id, PartNumber=sending.number,
                )  # fmt: skip
            except Over:
                raise
            except Exception as error:
                self._parts.give_back(sending)
                if self._parts.lose(error):
                    return
                failures += 1
                if self._rest(error, failures, proven):
                    return
            else:
                self._parts.finish(sending, answer["ETag"])
                failures, proven = 0, True
                if self._is_surplus():
                    return

    def _is_surplus(self) -> bool:
        """Give up the place if there are to be fewer; return whether this is so."""
        with self._state.lock:
            surplus = self._carrying > self._tuner.target
            self._carrying -= surplus
            self._change_places()
            return surplus

    def _rest(self, error: Exception, failures: int, proven: bool) -> bool:
        """Wait after a failed request. Return True if the place has been left to the others that have one.

        Args:
            error: Why it failed.
            failures: Failures in a row.
            proven: True if this connection has sent a part before.

        Raises:
            Exception: There is to be no other attempt.
        """
        pause, verdict = self._requests.judge(error, failures)
        if verdict is not None and not retry.is_transient(error):
            raise verdict
        is_refused = verdict is not None or failures > 1 or not proven or retry.status_of(error) in _BUSY
        with self._state.lock:
            others = max(self._carrying, self._tuner.target) - 1  # those included that are about to take a place
            gives_way = is_refused and others > 0
            if gives_way:
                self._carrying -= 1
                self._tuner.refuse(time.monotonic(), others, retry.retry_after(error))
                self._change_places()
        if verdict is not None and not gives_way:
            raise verdict
        self._state.wait_for(self._parts.is_over, pause)
        return gives_way
