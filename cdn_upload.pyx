# cython: language_level=3
"""``upload_fileobj`` for boto3's S3 client: taken by any store, verifiable, flat in memory.

A payload of one part is one PutObject; a larger one is a multipart upload over several connections. Bodies go out as
views of the payload, piece by piece: no copy is made, a slow connection can take each piece within its timeout, and
nothing is framed, trailed or announced with ``Expect``.
"""

import contextlib
import hashlib
import mmap
import os
import stat
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta

from boto3.s3.transfer import S3Transfer
from botocore import xform_name
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)

import cdn_request
import cdn_threads
from cdn_errors import (
    DeadlineExceededError,
    ObjectChangedError,
    ObjectExistsError,
    OutcomeUnknownError,
    StoreProtocolError,
    explain,
)
from cdn_request import Attempt, Pace
from cdn_result import TransferResult

from constants cimport logerror
from cpython.exc cimport PyErr_CheckSignals

# Four connections fill two cores; more of them cost a tenth more CPU. A buffer for each keeps a file's upload far
# below 64 MiB of memory, also where the file is so large that its parts have to be larger.
_PART = 8 << 20
_CONNECTIONS = 4
_BUFFERS = 48 << 20

# A payload in memory needs no buffers: fewer, larger parts cost a tenth less.
_PARTS = 16
_LARGEST_PART = 64 << 20

_PARTS_LIMIT = 10_000  # of S3, and of every store that follows it
_BLOCK = 1 << 20  # bytes read at once for the digest
_TICK = 0.05  # seconds between two looks of the calling thread
_PATIENCE = 120.0  # seconds that retries may take, all together, while nothing gets through
_PATIENCE_WITH_ABORT = 10.0  # the same for the farewell, which Ctrl-C waits for

# A piece has to be taken whole within the connect timeout, 10 s: a slow connection gets smaller ones.
_SMALLEST_PIECE = 16 << 10
_LARGEST_PIECE = 256 << 10
_SLOW_PIECE = 2.0  # seconds

# What the answer to each request must carry; without it the request is not done.
_PROOF = {
    "PutObject": "ETag", "CreateMultipartUpload": "UploadId", "UploadPart": "ETag", "CompleteMultipartUpload": "ETag",
}
_REFUSED_BUSY = frozenset({"ServiceUnavailable", "SlowDown"})
_NEVER_ARRIVED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)

_ALLOWED = frozenset(name for name in S3Transfer.ALLOWED_UPLOAD_ARGS if not name.startswith("Checksum")) | {
    "IfNoneMatch"
}


def upload_fileobj(self, Fileobj, Bucket, Key, ExtraArgs=None, Callback=None, Config=None):
    """Upload an object with its SHA-256 as metadata ``sha256``. Takes the place of boto3's method of the same name.

    Args:
        Fileobj: A binary file object, which is read from where it stands and stays open; or bytes-like; or a path.
        Bucket: The bucket.
        Key: The object's key.
        ExtraArgs: What boto3 allows here, checksums excepted, and ``IfNoneMatch`` and ``Deadline`` (seconds that the
            call may take; a connection that is just being opened or has yet to answer may add its timeout).
        Callback: Called in the calling thread with counts of bytes sent; negative for what has to be sent again.
        Config: A ``boto3.s3.transfer.TransferConfig``, which then binds.

    Returns:
        A ``cdn_result.TransferResult``; ``verified`` is False, since a write key cannot look.

    Raises: as ``CDNManager.store`` does.

    Thread-safety: safe from several threads, each with a file object of its own.
    """
    extra = dict(ExtraArgs or {})
    seconds = extra.pop("Deadline", None)
    for name in extra:
        if name not in _ALLOWED:
            raise ValueError(f"ExtraArgs of upload_fileobj cannot hold {name!r}")
    deadline = None if seconds is None else time.monotonic() + seconds
    with _open_source(Fileobj) as source:
        return _Upload(self, source, Bucket, Key, extra, deadline, Callback, Config).run()


def orphans(client, bucket, older_than):
    """List the multipart uploads of a bucket that were begun and not finished.

    Args:
        client: The S3 client.
        bucket: The bucket.
        older_than: Age in seconds; younger ones may still be running.

    Returns:
        A list of (key, upload id, time of initiation), for ``client.abort_multipart_upload``.
    """
    before = datetime.now(UTC) - timedelta(seconds=older_than)
    try:
        pages = list(client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket))
    except ClientError as error:
        if cdn_request.status_of(error) == 403:
            raise PermissionError(
                f"listing the unfinished uploads of {bucket!r} needs the right s3:ListBucketMultipartUploads, "
                "which the uploader's key does not have"
            ) from error
        raise
    uploads = [upload for page in pages for upload in page.get("Uploads", ())]
    return [(found["Key"], found["UploadId"], found["Initiated"]) for found in uploads if found["Initiated"] <= before]


def send_in_pieces(request, **_):
    """Give the connection a signed request's body piece by piece. A handler of ``before-send.s3``."""
    if isinstance(request.body, _Body):
        request.body = request.body.pieces()


@contextlib.contextmanager
def _open_source(source):
    """Open the payload: something with ``blocks()``, which tells its size, ``buffer(size)`` and ``part(...)``."""
    with contextlib.ExitStack() as opened:
        if isinstance(source, (str, os.PathLike)):
            source = opened.enter_context(open(source, "rb", buffering=0))
        # Asked and not tried: while an exception passes through it, compiled code loses a Ctrl-C that is just pending.
        if hasattr(source, "read") and not isinstance(source, mmap.mmap):
            if not isinstance(source.read(0), bytes):
                raise _unfit(source)
            if not _is_seekable(source):
                source = _spool(source, opened.enter_context(tempfile.TemporaryFile()))
            yield _File(source)
            return
        try:
            view = opened.enter_context(memoryview(source))
        except TypeError:
            raise _unfit(source) from None
        if not view.c_contiguous:
            raise TypeError("cannot upload a memoryview with gaps: give bytes(view)")
        yield _Memory(opened.enter_context(view.cast("B")))


def _unfit(source):
    return TypeError(f"cannot upload a {type(source).__name__}: give bytes, a path or a binary file object")


class _Memory:
    """A payload that is in memory. Its parts are views of it."""

    can_change = False

    def __init__(self, view):
        self.view = view
        self.size = len(view)

    def blocks(self):
        for start in range(0, self.size, _PART):
            with self.view[start:start + _PART] as block:
                yield block

    def buffer(self, size):
        return None

    def part(self, start, stop, buffer):
        return self.view[start:stop]


class _File:
    """A payload in a file, from where the file stands to its end. Its parts are read into a buffer."""

    can_change = True
    size = None  # known when the blocks have been read

    def __init__(self, file):
        self.file = file
        self.origin = file.tell()

    def blocks(self):
        size = 0
        block = memoryview(bytearray(_BLOCK))
        while count := _fill(self.file, block):
            size += count
            yield block[:count]
        self.size = size

    def buffer(self, size):
        return memoryview(bytearray(size))

    def part(self, start, stop, buffer):
        self.file.seek(self.origin + start)
        part = buffer[:stop - start]
        if _fill(self.file, part) < len(part):
            raise ObjectChangedError("the source became shorter while it was uploaded: nothing was stored")
        return part

    def has_grown(self):
        self.file.seek(self.origin + self.size)
        return bool(self.file.read(1))


def _fill(file, buffer):
    """Read until the buffer is full or the file is at its end. Return the number of bytes read."""
    done = 0
    while done < len(buffer):
        if hasattr(file, "readinto"):
            count = file.readinto(buffer[done:])
        else:
            block = file.read(len(buffer) - done)
            count = block if block is None else len(block)
            buffer[done:done + len(block or b"")] = block or b""
        if count is None:
            raise BlockingIOError("the source has no bytes yet: give a file object that waits for them")
        if not count:
            break
        done += count
    return done


def _is_seekable(file):
    try:
        # A pipe on Windows says of itself that it can seek (bpo-42602).
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return False
    except (AttributeError, OSError):
        pass  # no file of the system: its own word has to do
    return hasattr(file, "seekable") and file.seekable()


def _spool(stream, file):
    block = memoryview(bytearray(_BLOCK))
    while count := _fill(stream, block):
        file.write(block[:count])
        PyErr_CheckSignals()
    file.seek(0)
    return file


class _Over(Exception):
    """The upload has ended, by ``_Upload.ended_by``."""


class _Body:
    """The body of one request, readable for the signature, and sent piece by piece."""

    def __init__(self, view, upload):
        self.view = view
        self.upload = upload
        self.piece = view[:0]
        self.position = 0
        self.sent = 0

    def __len__(self):
        return len(self.view)

    def read(self, amount=-1):
        stop = len(self.view) if amount is None or amount < 0 else self.position + amount
        block = self.view[self.position:stop]
        self.position += len(block)
        return block

    def seek(self, offset, whence=os.SEEK_SET):
        self.position = offset + (0, self.position, len(self.view))[whence]
        return self.position

    def tell(self):
        return self.position

    def pieces(self):
        size = _SMALLEST_PIECE
        while self.sent < len(self.view):
            self.piece = self.view[self.sent:self.sent + size]
            began = self.upload.about_to_send(len(self.piece), self)
            yield self.piece
            self.sent += len(self.piece)
            took = self.upload.count_sent(len(self.piece)) - began
            size = min(size * 2, _LARGEST_PIECE) if took < _SLOW_PIECE else max(size // 2, _SMALLEST_PIECE)

    def release(self):
        """Let go of the payload, which an exception that the caller keeps would hold otherwise."""
        self.piece.release()


class _Upload:
    """One upload, from the digest to the store's last word."""

    def __init__(self, client, source, bucket, key, extra, deadline, callback, config):
        self.client = client
        self.source = source
        self.bucket = bucket
        self.key = key
        self.extra = extra
        self.callback = callback
        self.deadline = deadline
        self.config = config
        self.pace = Pace(None if config is None else config.max_bandwidth)
        self.patience = _PATIENCE
        self.caller = threading.get_ident()
        self.failure = None  # the last one, for the deadline's message
        self.lost = None  # the failure after which the object may be stored, and asking again cannot tell
        self.reading = threading.Lock()  # guards the two below
        self.next_part = 1
        self.second_pass = None
        # It guards everything below, and is taken as itself: a Ctrl-C in Condition.__enter__ would leave it locked.
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.ended_by = None  # the exception that ends all of it
        self.sent = 0
        self.counted = 0
        self.reported = 0
        self.moved_at = time.monotonic()

    def run(self):
        """Upload. After a failure no unfinished upload is left at the store, or the log names it."""
        try:
            self.sha256 = self._digest()
            self.extra["Metadata"] = {**self.extra.get("Metadata", {}), "sha256": self.sha256}
            threshold = _PART if self.config is None else self.config.multipart_threshold
            answer = self._put() if self.source.size <= threshold else self._multipart()
            return TransferResult(
                self.bucket, self.key, self.source.size, answer["ETag"].strip('"'), self.sha256, False,
                self.sent, 0, answer.get("VersionId"),
            )
        except _Over:
            error = self.ended_by
        except Exception as failure:
            error = failure
        raise self._verdict(error)

    def _digest(self):
        digest = hashlib.sha256()
        for block in self.source.blocks():
            digest.update(block)
            PyErr_CheckSignals()  # nothing in this loop would notice a Ctrl-C
            self._check_deadline()
        self.moved_at = time.monotonic()
        return digest.hexdigest()

    def _verdict(self, error):
        """Tell an object that was there from one that may be ours."""
        if self.lost is not None:
            unknown = OutcomeUnknownError(
                f"{self.bucket}/{self.key}: an answer of the store was lost ({explain(self.lost)}), and asking again "
                f"could not tell ({explain(error)}): the object may be stored; look with a read key"
            )
            unknown.__cause__ = error
            return unknown
        if cdn_request.status_of(error) == 412 and "IfNoneMatch" in self.extra:
            exists = ObjectExistsError(f"{self.bucket}/{self.key} is already there, and was not replaced")
            exists.__cause__ = error
            return exists
        return error

    def _put(self):
        """Upload in one request; by parts where the connection breaks twice.

        A store that refuses a request without taking its body may reset the connection before its answer is read. The
        first request of a multipart upload has no body, so that a refusal arrives.
        """
        self.second_pass = hashlib.sha256()
        with self._read_part(0, self.source.size, self.source.buffer(self.source.size)) as view:
            self._compare_passes()
            answer = self._call("PutObject", view, breaks=2 if self.source.size else None)
        return self._multipart() if answer is None else answer

    def _multipart(self):
        upload_id = self._call("CreateMultipartUpload")["UploadId"]
        try:
            parts = self._send_parts(upload_id)
            self._compare_passes()
            return self._call("CompleteMultipartUpload", UploadId=upload_id, MultipartUpload={"Parts": parts})
        except BaseException as error:
            self._end(error)  # for workers that a Ctrl-C has left behind
            self._abort(upload_id)
            raise

    def _layout(self):
        """Return the size of a part, the number of parts, and the number of connections for them."""
        if self.config is not None:
            size, most = self.config.multipart_chunksize, self.config.max_concurrency if self.config.use_threads else 1
        else:
            size = _PART if self.source.can_change else min(max(_PART, self.source.size // _PARTS), _LARGEST_PART)
            most = _CONNECTIONS
        size = max(size, -(-self.source.size // _PARTS_LIMIT))
        count = -(-self.source.size // size)
        if self.source.can_change and self.config is None:
            most = max(1, min(most, _BUFFERS // size))
        return size, count, min(most, count)

    def _send_parts(self, upload_id):
        """Send all parts over several connections. Return what CompleteMultipartUpload wants to know of them."""
        size, count, connections = self._layout()
        self.next_part, self.second_pass = 1, hashlib.sha256()
        parts = []
        workers = [
            threading.Thread(target=self._work, args=(upload_id, size, count, parts), name="cdn-upload", daemon=True)
            for _ in range(connections)
        ]
        try:
            for worker in workers:
                worker.start()
            while len(parts) < count and self.ended_by is None:
                with self.lock:
                    self.changed.wait_for(lambda: len(parts) == count or self.ended_by is not None, _TICK)
                self._report()
        except BaseException as error:
            self._end(error)
            raise
        finally:
            cdn_threads.join(workers)
        if self.ended_by is not None:
            raise self.ended_by
        self._report()
        return sorted(parts, key=lambda part: part["PartNumber"])

    def _work(self, upload_id, size, count, parts):
        """Send parts over one connection until none is left."""
        try:
            buffer = self.source.buffer(size)
            while (part := self._next_part(size, count, buffer)) is not None:
                number, view = part
                with view:
                    answer = self._call("UploadPart", view, UploadId=upload_id, PartNumber=number)
                with self.lock:
                    parts.append({"PartNumber": number, "ETag": answer["ETag"]})
                    self.changed.notify_all()
        except _Over:
            pass
        except BaseException as error:
            self._end(error)

    def _next_part(self, size, count, buffer):
        """Read the next part. In order, so that the digest of the second pass can run along."""
        with self.reading:
            number = self.next_part
            if number > count or self.ended_by is not None:
                return None
            self.next_part += 1
            start = (number - 1) * size
            return number, self._read_part(start, min(start + size, self.source.size), buffer)

    def _read_part(self, start, stop, buffer):
        view = self.source.part(start, stop, buffer)
        if self.source.can_change:
            self.second_pass.update(view)
        return view

    def _compare_passes(self):
        if self.source.can_change and (self.source.has_grown() or self.second_pass.hexdigest() != self.sha256):
            raise ObjectChangedError("the source changed while it was uploaded: nothing was stored")

    def _abort(self, upload_id):
        """Take the unfinished upload back. A second Ctrl-C ends the attempt, and the upload id is logged."""
        # An upload of its own, as this one has ended, with what that means for its workers.
        farewell = _Upload(self.client, self.source, self.bucket, self.key, self.extra, None, None, self.config)
        farewell.patience = _PATIENCE_WITH_ABORT
        try:
            farewell._call("AbortMultipartUpload", UploadId=upload_id)
        except BaseException as error:
            if cdn_request.status_of(error) != 404:
                logerror(
                    f"the unfinished upload {upload_id} of {self.bucket!r}/{self.key!r} is left at the store: "
                    f"{explain(error)}"
                )
            if not isinstance(error, Exception):
                raise

    def _call(self, operation, view=None, breaks=None, **arguments):
        """Make one request until it is through. Return its answer, or None after ``breaks`` broken connections."""
        accepted = self.client.meta.service_model.operation_model(operation).input_shape.members
        arguments.update({name: value for name, value in self.extra.items() if name in accepted})
        failures = broken = 0
        while True:
            body = _Body(view, self) if view else None
            try:
                return self._attempt(operation, body, arguments)
            except Exception as error:
                if self.ended_by is not None:
                    raise _Over from None  # botocore wraps what a body raises, as if the network had failed
                failures += 1
                self.failure = error
                self._note_lost(operation, body, error)
                pause = self._pause_after(error, failures)
                broken += isinstance(error, (HTTPClientError, SSLError))
                if broken == breaks:
                    return None
                if self._wait(pause):
                    raise _Over from None
            finally:
                if body is not None:
                    body.release()

    def _attempt(self, operation, body, arguments):
        if "Body" in self.client.meta.service_model.operation_model(operation).input_shape.members:
            arguments["Body"] = b"" if body is None else body
        try:
            answer = getattr(self.client, xform_name(operation))(
                Bucket=self.bucket, Key=self.key, Attempt=Attempt(), **arguments
            )
            proof = _PROOF.get(operation)
            if proof is not None and not answer.get(proof):
                raise StoreProtocolError(f"the store's answer to {operation} carries no {proof}: it is not done")
            if body is not None and body.sent < len(body):
                raise StoreProtocolError(f"the store answered {operation} before it had taken all of the body")
        except BaseException:
            if body is not None:
                self._count(-body.sent)
            raise
        self.moved_at = time.monotonic()
        return answer

    def _note_lost(self, operation, body, error):
        """Remember a failure after which the store may have the object, and will refuse to be asked again."""
        if operation != "CompleteMultipartUpload" and (operation != "PutObject" or "IfNoneMatch" not in self.extra):
            return
        status = cdn_request.status_of(error)
        if status is None:
            lost = not isinstance(error, _NEVER_ARRIVED) and (body is None or body.sent == len(body))
        else:
            # A store that refuses for want of time says so by its code; a bare status is a proxy's, which has asked it.
            lost = status >= 500 and error.response.get("Error", {}).get("Code") not in _REFUSED_BUSY
        if lost:
            self.lost = error

    def _pause_after(self, error, failures):
        """Return the seconds to wait before the request is made again, or raise why it is not."""
        pause = cdn_request.delay(error, failures, f"{self.bucket}/{self.key}")
        if pause is None or time.monotonic() + pause > self.moved_at + self.patience:
            raise error
        self._check_deadline(pause)
        return pause

    def about_to_send(self, amount, body):
        """Go on at the pace allowed, or raise why the upload is over. Return the time."""
        if self.ended_by is not None:
            raise _Over
        self._check_deadline()
        self.pace.keep(amount, body, self._wait)
        return time.monotonic()

    def count_sent(self, amount):
        """Count bytes that a connection has taken; tell the caller where this is its own thread. Return the time."""
        self.moved_at = now = time.monotonic()
        self._count(amount)
        if threading.get_ident() == self.caller:
            try:
                self._report()
            except Exception as error:
                self._end(error)
                raise _Over from error
        return now

    def _count(self, amount):
        with self.lock:
            self.counted += amount
            self.sent += max(amount, 0)

    def _report(self):
        with self.lock:
            amount, self.reported = self.counted - self.reported, self.counted
        if amount and self.callback is not None:
            self.callback(amount)

    def _check_deadline(self, pause=0.0):
        if self.deadline is not None and time.monotonic() + pause > self.deadline:
            reason = "" if self.failure is None else f"; the last failure: {explain(self.failure)}"
            self._end(DeadlineExceededError(f"the upload of {self.bucket}/{self.key} did not end in time{reason}"))
            raise _Over

    def _end(self, error):
        with self.lock:
            self.ended_by = self.ended_by or error
            self.changed.notify_all()

    def _wait(self, seconds):
        """Wait, and return True as soon as the upload is over."""
        with self.lock:
            return self.changed.wait_for(lambda: self.ended_by is not None, seconds)
