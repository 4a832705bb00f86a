# cython: language_level=3
"""``download_file`` for boto3's S3 client: resumable, verified, durable, over as many connections as pay.

The first ranged GET is also the stat. Its answer tells size, ETag and digest. One connection then brings all the rest
with one request; more are opened while adding some makes it faster, and then share what is left in parts. All answers
are judged by what they carry, not by what was asked for. What is on disk is vouched for by a journal (cdn_partial), so
that a later call goes on where this one ended.
"""

import contextlib
import hashlib
import os
import re
import stat
import threading
import time

from boto3.s3.transfer import S3Transfer
from botocore.exceptions import ClientError

import cdn_request
import cdn_threads
from cdn_errors import (
    CDNError,
    DeadlineExceededError,
    IntegrityError,
    ObjectChangedError,
    StalledError,
    StoreProtocolError,
    explain,
)
from cdn_partial import Partial
from cdn_request import Attempt, Pace
from cdn_result import TransferResult

from cpython.exc cimport PyErr_CheckSignals

_FIRST = 8 << 20  # bytes asked for before the size is known: the whole of a small object, little of a large one
_CONNECTIONS = 8

# What several connections take at once, of an object of 16 parts and more. Long enough for the latency of a request
# not to count, short enough for the digest to follow and for the data to be in the system's cache when it does.
_PARTS = 16
_PART_MIN = 8 << 20
_PART_MAX = 64 << 20
_SHARED = 4 << 20  # bytes that a range under way must have left for others to take the half of it

# More connections pay if they make the transfer faster by this factor, measured over this many seconds. Otherwise the
# next try is after the pause.
_PAYS = 1.2
_MEASURE = 0.05
_PAUSE = 5.0

_TICK = 0.05  # seconds between two looks of the calling thread
_JOURNAL_INTERVAL = 1.0  # seconds
_STALL_FLOOR = 1024  # bytes a second, below which a connection counts as stalled
_RESTARTS = 3  # after as many replacements of the object during one download it is an error
_PROGRESS = 64 << 10  # bytes after which a range may fail as often again
_BLOCK = 512 << 10  # bytes; the most that is read at once

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def download_file(self, Bucket, Key, Filename, ExtraArgs=None, Callback=None, Config=None):
    """Download an object to a file that is whole or not there. Takes the place of boto3's method of the same name.

    Args:
        Bucket: The bucket.
        Key: The object's key.
        Filename: The path to download to; its directory must exist.
        ExtraArgs: What boto3 allows here, and ``Sha256`` (hex; what the content must have) and ``Deadline`` (seconds
            that the call may take; a connection that is just being opened or has yet to answer may add its timeout).
        Callback: Called in the calling thread with byte counts, whose sum is what is on disk: the first is what an
            earlier call left, and discarded bytes count back.
        Config: A ``boto3.s3.transfer.TransferConfig``, which then binds.

    Returns:
        A ``cdn_result.TransferResult``.

    Raises: as ``CDNManager.fetch`` does.

    Thread-safety: safe from several threads and processes, also for the same file: one downloads, the others wait.
    """
    extra = dict(ExtraArgs or {})
    pinned = _pinned(extra.pop("Sha256", None))
    seconds = extra.pop("Deadline", None)
    for name in extra:
        if name not in S3Transfer.ALLOWED_DOWNLOAD_ARGS:
            raise ValueError(f"ExtraArgs of download_file cannot hold {name!r}")
    deadline = None if seconds is None else time.monotonic() + seconds
    filename = os.path.abspath(os.fspath(Filename))
    if os.path.isdir(filename):
        raise IsADirectoryError(f"cannot download {Key!r} to {filename!r}: a directory is there")
    partial = Partial(filename)
    with partial.locked(seconds):
        download = _Download(self, Bucket, Key, extra, pinned, partial, deadline, Callback, Config)
        return download.already_there() or download.run()


def _pinned(sha256):
    if sha256 is None:
        return None
    if not _SHA256.fullmatch(sha256.lower()):
        raise ValueError("sha256 must be 64 hexadecimal digits")
    return sha256.lower()


def _digest_of(answer):
    """Return the digest that an object's metadata carries. Some stores change the letter case of its name."""
    for name, value in answer.get("Metadata", {}).items():
        if name.lower() == "sha256" and _SHA256.fullmatch(value.lower()):
            return value.lower()
    return None


def _strong_etag(answer):
    """Return the ETag as it stands, None for a missing or a weak one: a weak one does not promise the same bytes."""
    etag = answer.get("ETag")
    return None if not etag or etag.startswith("W/") else etag


class _Changed(CDNError):
    """The object is not the one that this download began with."""


class _Unranged(CDNError):
    """Ranges cannot be used on this object: it is empty, or nothing would tell a mixture of two versions."""


class _Span:
    """A range of bytes that one connection is bringing.

    Attributes:
        pos: The first byte that is not on disk.
        stop: The byte after the last.
        failures: Attempts that have failed since the last progress.
        attempt: The request under way.
        delivering: True while its body is being read.
        received: Bytes of its body that have come, those to skip included.
        cut_off: The reason why the calling thread has cut the connection, if it has.
    """

    def __init__(self, pos, stop):
        self.pos = pos
        self.stop = stop
        self.failures = 0
        self.retried_at = pos
        self.begin()

    @property
    def left(self):
        return self.stop - self.pos

    def begin(self):
        self.attempt = Attempt()
        self.delivering = False
        self.received = 0
        self.cut_off = None
        self.watch(time.monotonic())

    def watch(self, now):
        self.watched_bytes = self.received
        self.watched_at = now

    def cut(self, reason):
        # In this order: what is read from a TLS connection after the cut is its ciphertext.
        self.cut_off = reason
        self.attempt.cut()


class _Hasher(threading.Thread):
    """Hashes the partial behind the download, as far as it is there without a gap."""

    def __init__(self, download):
        super().__init__(name="cdn-download-sha256", daemon=True)
        self.download = download
        self.digest = hashlib.sha256()
        self.done = False

    def run(self):
        try:
            with self.download.partial.open() as file:
                while block := file.read(self.download.hashable(file.tell())):
                    self.digest.update(block)
        except Exception as error:
            self.download.fail(error)
        self.download.hashed(self)


class _Download:
    """One download, from its first request to the installed file."""

    def __init__(self, client, bucket, key, extra, pinned, partial, deadline, callback, config):
        self.client = client
        self.bucket = bucket
        self.key = key
        self.extra = extra
        self.pinned = pinned
        self.partial = partial
        self.deadline = deadline
        self.callback = callback
        self.stall = client.meta.config.read_timeout
        self.first = _FIRST if config is None else max(config.multipart_threshold, config.multipart_chunksize)
        self.part = None if config is None else config.multipart_chunksize
        self.most = _CONNECTIONS if config is None else config.max_concurrency if config.use_threads else 1
        self.pace = Pace(None if config is None else config.max_bandwidth)

        # It guards everything below, and is taken as itself: a Ctrl-C in Condition.__enter__ would leave it locked.
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.ranged = True
        self.if_match = True
        self.failure = None  # the last one, for the deadline's message
        self.transferred = 0
        self.reported = 0
        self.resumed_from = 0
        self._forget()

    def _forget(self):
        """Know nothing about the object."""
        self.size = None
        self.etag = None
        self.sha256 = self.pinned
        self.version_id = None
        self.missing = [(0, self.first)]
        self.active = []
        self.on_disk = 0
        self.saved = None

    def already_there(self):
        """Return the result if the final file has the object's digest, None otherwise."""
        if not os.path.lexists(self.partial.final):
            return None
        found = os.lstat(self.partial.final)
        if not stat.S_ISREG(found.st_mode):
            return None
        try:
            head = self._head(time.sleep)
        except ClientError as error:
            if cdn_request.status_of(error) >= 500:
                raise
            return None  # the GET says it better, with the store's own words
        sha256 = self.pinned or _digest_of(head)
        if sha256 is None or head["ContentLength"] != found.st_size or self._digest_of_final() != sha256:
            return None
        self.partial.discard()
        self.size, self.etag, self.sha256 = found.st_size, _strong_etag(head), sha256
        self.version_id = head.get("VersionId")
        self.on_disk = self.size
        self._report()
        return self._result(verified=True)

    def _digest_of_final(self):
        digest = hashlib.sha256()
        with open(self.partial.final, "rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                PyErr_CheckSignals()  # nothing in this loop would notice a Ctrl-C
                self._watch(time.monotonic())
        return digest.hexdigest()

    def run(self):
        """Download, verify, install."""
        self._restore()
        for _ in range(_RESTARTS + 1):
            try:
                self._transfer()
            except _Changed:
                continue
            except _Unranged:
                self.ranged = False
            else:
                return self._result(verified=self.sha256 is not None)
        raise ObjectChangedError(
            f"{self.bucket}/{self.key} was replaced again and again while it was downloaded: try again later"
        )

    def _result(self, verified):
        etag = self.etag and self.etag.strip('"')
        return TransferResult(
            self.bucket, self.key, self.size, etag, self.sha256, verified,
            self.transferred, self.resumed_from, self.version_id,
        )

    # The state on disk

    def _identity(self):
        return {
            "host": self.client.meta.endpoint_url,
            "bucket": self.bucket,
            "key": self.key,
            "version": self.extra.get("VersionId"),
        }

    def _restore(self):
        """Take up what an earlier call has left, if its journal is about this object."""
        journal = self.partial.read_journal()
        if journal is None or journal["identity"] != self._identity() or self.partial.size() != journal["size"]:
            self.partial.discard()
            return
        self.partial.create()
        self.size, self.etag, self.sha256 = journal["size"], journal["etag"], self.pinned or journal["sha256"]
        self.partial.reserve(self.size)
        self.missing = _gaps(journal["finished"], self.size)
        self.on_disk = self.size - sum(stop - start for start, stop in self.missing)
        self.resumed_from = self.saved = self.on_disk
        if not self.missing:  # ended between the last byte and the installation: any byte will do as the stat
            self.missing = [(self.size - 1, self.size)]
            self.on_disk -= 1
        self._report()

    def _save(self):
        """Write the journal, after the data that it names. Go on without where only the journal cannot be written."""
        with self.lock:
            on_disk = self.on_disk
            left = sorted(self.missing + [(span.pos, span.stop) for span in self.active])
        if on_disk == self.saved or not self._resumable():
            return
        self.partial.create()  # an installation that failed has let go of it
        self.partial.sync()
        # A full disk, on which the object's own space is reserved; on Windows, a scanner that has the file open.
        with contextlib.suppress(OSError):
            self.partial.write_journal({
                "identity": self._identity(),
                "size": self.size,
                "etag": self.etag,
                "sha256": self.sha256,
                "finished": _gaps(left, self.size),
            })
            self.saved = on_disk

    def _resumable(self):
        """Return True if bytes of two requests can be told to be of the same object."""
        return self.size is not None and (self.etag is not None or self.sha256 is not None)

    def _keep(self):
        """Leave on disk what a later call can go on with, and nothing else."""
        if self.on_disk and self._resumable():
            self._save()
        else:
            self._discard()

    def _discard(self):
        """Discard everything that is here of the object, and everything that is known of it."""
        self.partial.discard()
        self.resumed_from = 0
        with self.lock:
            self._forget()

    def _report(self):
        with self.lock:
            count, self.reported = self.on_disk - self.reported, self.on_disk
        if count and self.callback is not None:
            self.callback(count)

    # The calling thread

    def _transfer(self):
        """Bring all missing bytes, verify, install. What came before a failure is kept for the next call."""
        self.error = None
        self.stopping = False
        self.hasher = None
        self.workers = []
        self.target = 1
        self.limit = self.most
        self.quiet_until = 0.0
        self.rate_before = 0.0  # bytes a second before the last growth; 0.0 if none is on trial
        self.grow_after = 0.0
        self._measure_anew()
        self.partial.create()
        try:
            self._supervise()
            self._join()
            self._verify()
            self.partial.install()
        except (_Changed, _Unranged):
            self._stop()
            self._discard()
            self._report()
            raise
        except BaseException as error:
            self._stop()
            if self.partial.installed:
                raise
            with contextlib.suppress(CDNError, OSError):  # the first failure is the one to tell
                if isinstance(error, IntegrityError):
                    self._discard()
                else:
                    self._keep()
            self._report()
            raise

    def _supervise(self):
        """Look after the connections, the callback, the deadline and the journal until all bytes are here."""
        saved_at = time.monotonic()
        while not self._over():
            self._open_connections()
            with self.lock:
                self.changed.wait_for(self._over, _TICK)
            self._report()
            now = time.monotonic()
            self._watch(now)
            self._grow(now)
            if now - saved_at >= _JOURNAL_INTERVAL and not self._over():
                self._save()
                saved_at = time.monotonic()
        self._report()
        if self.error is not None:
            raise self.error

    def _over(self):
        with self.lock:
            if self.error is not None:
                return True
            here = self.size is not None and not self.missing and not self.active
            return here and (self.hasher is None or self.hasher.done)

    def _open_connections(self):
        with self.lock:
            self.workers = [worker for worker in self.workers if worker.is_alive()]
            if self.error is not None or not (self.missing or any(map(self._can_share, self.active))):
                return
            count = self.target - len(self.workers)
        for _ in range(count):
            worker = threading.Thread(target=self._work, name="cdn-download", daemon=True)
            self.workers.append(worker)
            worker.start()

    def _stop(self):
        """End all threads. What they have written by then counts."""
        with self.lock:
            self.stopping = True
            for span in self.active:
                span.cut("the download ends")
            self.changed.notify_all()
        self._join()

    def _join(self):
        cdn_threads.join(filter(None, [*self.workers, self.hasher]))

    def _watch(self, now):
        """Keep the deadline, and cut connections that deliver next to nothing."""
        if self.deadline is not None and now > self.deadline:
            reason = "" if self.failure is None else f"the last failure: {explain(self.failure)}; "
            raise DeadlineExceededError(f"the deadline passed; {reason}{self._what_stays()}")
        if not self.stall:
            return
        with self.lock:
            for span in self.active:
                if not span.delivering or now - span.watched_at < self.stall:
                    continue
                if span.received - span.watched_bytes < _STALL_FLOOR * self.stall:
                    span.cut(f"fewer than {_STALL_FLOOR} bytes a second came for {self.stall:g} s")
                span.watch(now)

    def _what_stays(self):
        if not self.on_disk or not self._resumable():
            return "nothing came that can be kept"
        return f"{self.on_disk} of {self.size} bytes are kept for the next call"

    def _grow(self, now):
        """Open twice as many connections while that pays, and go back where it did not."""
        with self.lock:
            delivering = sum(span.delivering for span in self.active)
            if self.size is None or now < self.grow_after or delivering < self.target:
                return self._measure_anew()
            if now - self.measured_at < _MEASURE:
                return None
            rate = (self.transferred - self.measured_bytes) / (now - self.measured_at)
            if rate < self.rate_before * _PAYS:
                self.rate_before = 0.0
                self.target = max(1, self.target // 2)
                self.grow_after = now + _PAUSE
            elif self.target < self.limit:
                self.rate_before = rate
                self.target = min(2 * self.target, self.limit)
            else:
                self.rate_before = 0.0
            return self._measure_anew()

    def _measure_anew(self):
        self.measured_at = time.monotonic()
        self.measured_bytes = self.transferred

    def _verify(self):
        """Compare the digest of what is on disk, once all of it is."""
        if self.sha256 is None:
            return
        if self.hasher is None:
            self.hasher = _Hasher(self)
            self.hasher.run()
            if self.error is not None:
                raise self.error
        found = self.hasher.digest.hexdigest()
        if found != self.sha256:
            raise IntegrityError(
                f"{self.bucket}/{self.key} was to have the SHA-256 {self.sha256}, but {found} came: "
                "nothing was installed"
            )

    def hashable(self, done):
        """Wait until bytes behind ``done`` are on disk; return how many to hash next, 0 at the end."""
        with self.lock:
            while True:
                if self._ending() or done == self.size:
                    return 0
                starts = [start for start, _ in self.missing] + [span.pos for span in self.active]
                there = min(starts, default=self.size) - done
                if there > 0:
                    return min(there, _BLOCK)
                self.changed.wait(_TICK)

    def hashed(self, hasher):
        with self.lock:
            hasher.done = True
            self.changed.notify_all()

    # The threads with a connection each

    def _work(self):
        try:
            with self.partial.open() as file:
                while (span := self._take()) is not None:
                    self._bring(span, file)
        except Exception as error:
            self.fail(error)

    def _ending(self):
        return self.stopping or self.error is not None

    def _can_share(self, span):
        """Return True if others may take a part of what this connection brings. An object of one part is not shared."""
        one_part = self.size is None or self.size <= self.first
        return self.ranged and self.part is None and not one_part and span.left >= _SHARED

    def _take(self):
        """Return the next span, None if there is no more to do for this connection."""
        with self.lock:
            if self._ending() or len(self.active) >= self.target:
                return None
            if not self.missing:
                self._share()
            if not self.missing:
                return None
            start, stop = self.missing.pop(0)
            longest = self._longest()
            if stop - start > longest and self.ranged:
                self.missing.insert(0, (start + longest, stop))
                stop = start + longest
            span = _Span(start, stop)
            self.active.append(span)
            return span

    def _share(self):
        """Take from the largest range under way what is more than a part, or the half."""
        for span in sorted(filter(self._can_share, self.active), key=lambda span: span.left)[-1:]:
            # Far behind what its own connection is just writing.
            stop = span.pos + min(span.left // 2, self._part_length())
            self.missing.append((stop, span.stop))
            span.stop = stop

    def _part_length(self):
        return min(max(self.size // _PARTS, _PART_MIN), _PART_MAX)

    def _longest(self):
        """Return how much one connection may take."""
        if self.size is None:
            return self.first
        return self.part or (self.size if self.target == 1 else self._part_length())

    def _bring(self, span, file):
        """Bring one span, with as many attempts as make sense."""
        pause = 0.0
        while True:
            if not self._wait(max(pause, self.quiet_until - time.monotonic())):
                try:
                    self._attempt(span, file)
                    pause = 0.0
                except Exception as error:
                    pause = self._after_failure(span, error)
            with self.lock:
                if span.left and not self._ending() and len(self.active) <= self.target:
                    continue
                self.active.remove(span)
                if span.left:
                    self.missing.append((span.pos, span.stop))
                    self.missing.sort()
                self.changed.notify_all()
                return

    def _after_failure(self, span, error):
        """Return the pause before the next attempt at ``span``, or make ``error`` the download's own."""
        with self.lock:
            if self._ending():
                return 0.0
            if span.cut_off is not None:
                error = StalledError(f"{self.bucket}/{self.key}: {span.cut_off}")
            if self.size is not None and not self._resumable():
                self.on_disk -= span.pos
                span.pos = 0
            elif span.pos - span.retried_at >= _PROGRESS:
                span.failures = 0
            span.retried_at = span.pos
            span.failures += 1
            self.failure = error
            if cdn_request.is_busy(error):
                self.target = max(1, len(self.active) - 1)
                self.rate_before = 0.0
                self.grow_after = time.monotonic() + _PAUSE
            pause = cdn_request.delay(error, span.failures, f"{self.bucket}/{self.key}")
            if pause is None:
                self.fail(error)
                return 0.0
            self.quiet_until = max(self.quiet_until, time.monotonic() + cdn_request.retry_after(error))
            try:
                self._check_deadline(pause, error)
            except DeadlineExceededError as exceeded:
                self.fail(exceeded)
            return pause

    def _check_deadline(self, pause, error):
        if self.deadline is not None and time.monotonic() + pause > self.deadline:
            raise DeadlineExceededError(
                f"the deadline leaves no time to try again after: {explain(error)}; {self._what_stays()}"
            ) from error

    def fail(self, error):
        """Make ``error`` the reason why the download ends, if it is the first one."""
        with self.lock:
            if not self._ending():
                self.error = error
            self.changed.notify_all()

    def _attempt(self, span, file):
        """Make one request for what is missing of ``span``, and write what comes."""
        span.begin()
        arguments = dict(self.extra)
        if self.ranged:
            arguments["Range"] = f"bytes={span.pos}-{span.stop - 1}"
        if self.etag is not None and self.if_match:
            arguments["IfMatch"] = self.etag
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.key, Attempt=span.attempt, **arguments)
        except ClientError as error:
            status = cdn_request.status_of(error)
            if status == 412 and "IfMatch" in arguments:
                self.if_match = False  # replaced, or a store without ETags: the next answer's own ETag tells
                return
            if status == 416 and self.ranged:
                raise (_Unranged if self.size is None else _Changed)(str(error)) from error
            raise
        try:
            skip = self._judge(span, answer)
            self._write(span, skip, file)
        finally:
            # Gives the connection back if the body was read to its end, and drops it if not.
            answer["Body"].close()

    def _judge(self, span, answer):
        """Compare an answer with what is known, or learn from it. Return how many bytes of its body to skip."""
        first, last, total = self._extent(answer)
        if self.size is None:  # then this is the only connection
            self._learn(span, answer, total)
        with self.lock:
            self._compare(answer, total)
            if last is None:
                self._take_the_rest(span)
            elif not first <= span.pos <= last < total:
                raise StoreProtocolError(
                    f"the store was asked for byte {span.pos} of {self.bucket}/{self.key} and sent {first}-{last} "
                    f"of {total}"
                )
            # An object of one part is hashed when it is here: a thread would cost more than it wins.
            if self.sha256 is not None and self.hasher is None and self.size > self.first:
                self.hasher = _Hasher(self)
                self.hasher.start()
            span.watch(time.monotonic())
            span.delivering = True
        return span.pos - first

    def _extent(self, answer):
        """Return the first and last byte of an answer's body, and the object's size. Last is None for a whole one."""
        match = _CONTENT_RANGE.fullmatch(answer.get("ContentRange") or "")
        if match:
            first, last, total = int(match[1]), int(match[2]), match[3] != "*" and int(match[3])
        elif answer["ResponseMetadata"]["HTTPStatusCode"] == 206:
            raise StoreProtocolError(f"the store sent a part of {self.bucket}/{self.key} and not which one")
        else:
            first, last, total = 0, None, answer.get("ContentLength", False)
        if total is False:
            head = self._head(self._wait)
            if head.get("ETag") != answer.get("ETag") or "ContentLength" not in head:
                raise StoreProtocolError(f"the store does not tell the size of {self.bucket}/{self.key}")
            total = head["ContentLength"]
        return first, last, total

    def _head(self, wait):
        """Ask for an object's metadata, with as many attempts as make sense."""
        failures = 0
        while True:
            try:
                return self.client.head_object(Bucket=self.bucket, Key=self.key, Attempt=Attempt(), **self.extra)
            except Exception as error:
                failures += 1
                pause = cdn_request.delay(error, failures, f"{self.bucket}/{self.key}")
                if pause is None:
                    raise
                self._check_deadline(pause, error)
                if wait(pause):
                    raise

    def _learn(self, span, answer, total):
        """Take size, ETag and digest from the first answer, and plan the rest."""
        etag, carried = _strong_etag(answer), _digest_of(answer)
        if self.pinned is not None and carried is not None and carried != self.pinned:
            raise IntegrityError(
                f"{self.bucket}/{self.key} was to have the SHA-256 {self.pinned}, but carries {carried}: "
                "nothing was downloaded"
            )
        sha256 = self.pinned or carried
        if self.ranged and etag is None and sha256 is None and total > span.stop:
            raise _Unranged("no ETag and no digest")
        self.partial.reserve(total)
        with self.lock:
            self.size, self.etag, self.sha256 = total, etag, sha256
            if total > span.stop:
                self.missing = [(span.stop, total)]
            span.stop = min(span.stop, total)

    def _compare(self, answer, total):
        """Make sure that an answer is about the object that this download began with."""
        carried = _digest_of(answer)
        self.sha256 = self.sha256 or carried
        if total != self.size or _strong_etag(answer) != self.etag or carried not in (None, self.sha256):
            raise _Changed("another size, ETag or digest")
        self.version_id = answer.get("VersionId")

    def _take_the_rest(self, span):
        """Let one connection bring everything from ``span`` on: the store ignores ranges, or was asked for none."""
        self.limit = self.target = 1
        if len(self.active) > 1:
            raise StoreProtocolError(f"the store ignored the range of {self.bucket}/{self.key}")
        span.pos = self.on_disk = min([span.pos] + [start for start, _ in self.missing])
        self.resumed_from = min(self.resumed_from, self.on_disk)
        span.stop = self.size
        self.missing = []

    def _write(self, span, skip, file):
        """Write the body at its place until the span, or the body, is at its end."""
        file.seek(span.pos)
        while span.left and not self._ending():
            # read1 gives what is there: a slow connection is seen to move, and a broken one loses nothing.
            block = span.attempt.raw.read1(min(_BLOCK, skip or span.left))
            if self._ending() or span.cut_off is not None or not block:
                raise StoreProtocolError(f"the body of {self.bucket}/{self.key} ended at byte {span.pos}")
            written = 0 if skip else len(block)
            if written:
                self._to_disk(file, block)
            else:
                skip -= len(block)
            with self.lock:
                span.received += len(block)
                span.pos += written
                self.on_disk += written
                self.transferred += len(block)
            self._keep_pace(span, len(block))

    def _keep_pace(self, span, amount):
        def wait(seconds):
            span.delivering = False  # nor is it stalled
            return self._wait(seconds)

        self.pace.keep(amount, span, wait)
        if not span.delivering:
            with self.lock:
                span.watch(time.monotonic())
                span.delivering = True

    def _to_disk(self, file, block):
        view = memoryview(block)
        try:
            while view:
                view = view[file.write(view):]
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; {self._what_stays()}", self.partial.final) from error

    def _wait(self, seconds):
        """Wait, and return True as soon as the download is over."""
        with self.lock:
            return self.changed.wait_for(self._ending, seconds)


def _gaps(ranges, size):
    """Return what sorted ``ranges`` leave of ``size`` bytes: the finished ranges of the missing ones, and back."""
    gaps, done = [], 0
    for start, stop in ranges:
        if start > done:
            gaps.append((done, start))
        done = max(done, stop)
    if done < size:
        gaps.append((done, size))
    return gaps
