"""The threads that send the parts of a multipart upload, each over a connection of its own."""

import threading

from cdn_engine import threads
from cdn_engine.upload.parts import Parts
from cdn_engine.upload.request import Requests
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry

__all__ = ["Crew"]

# So many of its own failures a worker carries over when another one's part has arrived in between: it then waits long
# between its attempts, as the store does not want it, but does not count as hopeless.
_CARRIED_FAILURES = 6


class Crew:
    """Sends parts over several connections, or over those that the system and the store allow, down to one.

    A failure ends the upload only if nothing else gets through: a worker without hope waits until another worker's part
    has arrived, and the upload ends when all of them are without hope.

    Args:
        requests: Makes the requests.
        parts: The parts.
        state: The upload's shared state.
        upload_id: The upload's id.

    Thread-safety: for one thread, which becomes one of the workers.
    """

    def __init__(self, requests: Requests, parts: Parts, state: State, upload_id: str) -> None:
        self._requests = requests
        self._parts = parts
        self._state = state
        self._upload_id = upload_id
        self._working = 1
        self._hopeless = 0

    def run(self, size: int) -> None:
        """Send all parts with up to ``size`` workers, this thread included. No worker is left afterwards.

        Raises:
            Over: The upload has ended.
        """
        workers: list[threading.Thread] = []
        try:
            for _ in range(size - 1):
                workers.append(threading.Thread(target=self._work, name="cdn-upload", daemon=True))
                self._count_worker(1)
                try:
                    threads.start(workers[-1])
                except RuntimeError:  # no more threads: those that run will do
                    self._count_worker(-1)
                    break
        except BaseException as error:
            self._state.end(error)
        self._work()
        threads.join(workers)
        self._state.check()

    def _count_worker(self, change: int) -> None:
        with self._state.lock:
            self._working += change

    def _work(self) -> None:
        """Send parts over one connection until none is left."""
        failures = arrived = 0
        try:
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
                    if len(self._parts.arrived) > arrived:
                        failures = min(failures, _CARRIED_FAILURES)
                    failures, arrived = failures + 1, len(self._parts.arrived)
                    self._rest(error, failures, arrived)
                else:
                    self._parts.finish(sending, answer["ETag"])
                    failures = 0
        except Over:
            pass
        except BaseException as error:
            self._state.end(error)

    def _rest(self, error: Exception, failures: int, arrived: int) -> None:
        """Wait until the next attempt.

        Args:
            error: Why the last attempt failed.
            failures: This worker's failures in a row.
            arrived: Number of parts that had arrived then.

        Raises:
            Exception: There is to be no other attempt, or nobody's.
        """
        pause, verdict = self._requests.judge(error, failures)
        if verdict is not None:
            self._lose_hope(error, verdict)
        self._state.wait_for(self._parts.is_over, pause)
        if verdict is not None:
            while not self._state.wait_for(lambda: len(self._parts.arrived) > arrived or self._parts.is_over(), 60.0):
                pass
            self._regain_hope()

    def _lose_hope(self, error: Exception, verdict: Exception) -> None:
        with self._state.lock:
            self._hopeless += 1
            if self._hopeless == self._working or not retry.is_transient(error):
                raise verdict

    def _regain_hope(self) -> None:
        with self._state.lock:
            self._hopeless -= 1
