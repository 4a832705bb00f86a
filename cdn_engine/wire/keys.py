"""The keys that a client signs with, which fresh ones can replace while requests are under way."""

import functools
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

from botocore.exceptions import ClientError

from cdn_engine import threads
from cdn_engine.wire.attempt import TICK, Attempt, Ended
from cdn_engine.wire.retry import code_of, status_of

__all__ = ["EXPIRED", "NO_KEYS", "Frozen", "Hidden", "Keys", "NotRenewed", "Renewal", "frozen", "may_be_expired"]

# What stores answer when keys are valid no more. AWS and SeaweedFS say ExpiredToken; AWS' other services, and gateways
# that pass their answers on, ExpiredTokenException. MinIO forgets a key that expires, and says that there is none.
EXPIRED = frozenset({
    "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidTokenId", "TokenRefreshRequired",
})  # fmt: skip

_UNEXPLAINED = frozenset({400, 401, 403})  # what they answer to HEAD, without a body that could say why


class Hidden(str):
    """A text that a traceback with variables does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


class Frozen(NamedTuple):
    """An access key, its secret and its session token, as they belong together. No ``repr`` shows them."""

    access_key: str | None  # None for no keys at all
    secret_key: str | None
    token: str | None
    account_id: None = None  # botocore asks for it

    def __repr__(self) -> str:
        return "<keys>"


# Takes a tuple of the four. No frame of Python code holds the secret meanwhile.
frozen: Callable[[tuple[str | None, str | None, str | None, None]], Frozen] = functools.partial(tuple.__new__, Frozen)

NO_KEYS = frozen((None, None, None, None))


class Keys:
    """The keys of one client, for botocore's requests and for our own.

    Args:
        keys: The keys to begin with.
        renewal: Replaces them when they have expired; None if nothing can.

    Attributes:
        frozen: The keys; replaced as a whole.
        renewal: See above.

    Thread-safety: safe.
    """

    def __init__(self, keys: Frozen, renewal: "Renewal | None" = None) -> None:
        self.frozen = keys
        self.renewal = renewal


class NotRenewed(ClientError):  # type: ignore[misc]
    """The keys have expired, and no fresh ones could be had. For transfers, it is the store's refusal.

    Attributes:
        reason: What the caller's function has raised, which is what callers see.
    """

    def __init__(self, refusal: ClientError, reason: BaseException) -> None:
        super().__init__(refusal.response, refusal.operation_name)
        self.reason = reason


def may_be_expired(error: BaseException) -> bool:
    """Return True if a refused HEAD, whose answer has no room for a reason, may have had expired keys."""
    return status_of(error) in _UNEXPLAINED and code_of(error) == str(status_of(error))


_lock = threading.Lock()  # held for a few lines, within which nothing waits
_process = object()


def _note_fork() -> None:
    global _lock, _process
    _lock, _process = threading.Lock(), object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


class _Asking(threading.Thread):
    """Asks for fresh keys once."""

    def __init__(self, renew: Callable[[], object]) -> None:
        super().__init__(name="cdn-renew", daemon=True)
        self._renew = renew
        self._busy = threading.Lock()  # not waited for with ``join``, which Ctrl-C may spoil for others
        self._busy.acquire()
        self.process = _process
        self.asker: int | None = None  # the thread that ``renew`` runs in
        self.done = False
        self.error: BaseException | None = None

    def begin(self) -> None:
        if not threads.start_if_possible(self):
            self.run()

    def run(self) -> None:
        self.asker = threading.get_ident()
        try:
            self._renew()
        except BaseException as error:
            self.error = error
        self.done = True
        self._busy.release()

    def wait(self, seconds: float) -> None:
        if self._busy.acquire(timeout=seconds):
            self._busy.release()


class Renewal:
    """Has the keys of all clients of one manager replaced, once for all threads that wait for it.

    Args:
        renew: Replaces them, in a thread of its own: what waits for it goes on reporting, and sees Ctrl-C.

    Thread-safety: safe, and safe to use in a child after a fork.
    """

    def __init__(self, renew: Callable[[], object]) -> None:
        self._renew = renew
        self._asking: _Asking | None = None

    def renew(self, keys: Keys, refused: Frozen, running: Attempt) -> BaseException | None:
        """Have the keys replaced, unless that has been done since the refused ones were read.

        Args:
            keys: The client's keys.
            refused: Those that the store has refused.
            running: The request, which pulses meanwhile; when it is cut, nobody waits any more.

        Returns:
            Why there are no fresh keys: what ``renew`` has raised. None if there are some.

        Raises:
            BaseException: What the pulse has raised.
        """
        while keys.frozen is refused:
            asking = self._ask()
            if asking.asker == threading.get_ident() and not asking.done:
                return RuntimeError("refresh has used the manager that waits for it: that would never end")
            try:
                while not asking.done and not running.is_cut:
                    asking.wait(TICK)
                    running.beat()
            except Ended as error:
                raise error.reason from error.reason.__cause__
            if asking.error is not None or running.is_cut:
                return asking.error
        return None

    def _ask(self) -> _Asking:
        """Return what asks for fresh keys: what does so already, or a new one."""
        begun = None
        try:
            with _lock:
                asking = self._asking
                if asking is None or asking.done or asking.process is not _process:
                    asking = begun = _Asking(self._renew)
                    self._asking = asking
            if begun is not None:
                begun.begin()
        except BaseException:
            if begun is not None:
                begun.done = True  # or others would wait for what may never have begun; one of them asks anew
            raise
        return asking
