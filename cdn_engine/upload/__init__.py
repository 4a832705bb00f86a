"""``upload_fileobj`` for boto3's S3 client: accepted by any store, verifiable, flat in memory. Private.

A payload of one part is one PutObject; a larger one is a multipart upload over several connections. Bodies go out as
views of the payload, piece by piece; nothing is framed, trailed or announced with ``Expect``.
"""

from collections.abc import Callable
from typing import Any

from boto3.s3.transfer import S3Transfer, TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from cdn_engine.errors import CDNError, printable
from cdn_engine.result import TransferResult
from cdn_engine.sha256 import parse_sha256
from cdn_engine.upload.opening import open_source
from cdn_engine.upload.request import Requests
from cdn_engine.upload.state import State
from cdn_engine.upload.transfer import Transfer
from cdn_engine.upload.unchanged import Replacement
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.keys import NotRenewed

__all__ = ["upload_fileobj"]

_ALLOWED = frozenset(name for name in S3Transfer.ALLOWED_UPLOAD_ARGS if not name.startswith("Checksum")) | {
    "IfNoneMatch"
}


def upload_fileobj(
    self: Any,
    Fileobj: Any,
    Bucket: str,
    Key: str,
    ExtraArgs: dict[str, Any] | None = None,
    Callback: Callable[[int], object] | None = None,
    Config: TransferConfig | None = None,
) -> TransferResult:
    """Upload an object with its SHA-256 as the metadata ``sha256``. Replaces boto3's method of the same name.

    Args:
        Fileobj: A binary file object, which is read from its current position and stays open; or bytes-like; or a path.
        Bucket: The bucket.
        Key: The object's key.
        ExtraArgs: What boto3 allows here except checksums, and ``IfNoneMatch``, ``Deadline`` (seconds that the call
            may take), ``Keep`` (False to abort an upload in parts that does not end, and not to go on with one),
            ``Overwrite`` (as in ``CDNManager.store``), ``Reader`` (a client of the same store that may read) and
            ``Sha256`` (in hex, without which nothing is sent).
            ``Overwrite="changed"`` compares the content, and nothing else that is given here.
        Callback: Called in the calling thread with counts of bytes sent, at least about twice a second: 0 when nothing
            has moved, negative for what has to be sent again. An exception in it ends the upload. If it has a
            method ``phase``, that is called as ``CDNManager.store`` says.
        Config: A ``boto3.s3.transfer.TransferConfig``, all of whose values then apply.

    Returns:
        A ``TransferResult``; ``verified`` is False, since a write key cannot look.

    Raises: as ``CDNManager.store`` does.

    Thread-safety: safe from several threads, each with a file object of its own.
    """
    extra = dict(ExtraArgs or {})
    seconds, keep = extra.pop("Deadline", None), extra.pop("Keep", True)
    overwrite, reader = extra.pop("Overwrite", True), extra.pop("Reader", None)
    pinned = parse_sha256(extra.pop("Sha256", None))
    for name in extra:
        if name not in _ALLOWED:
            raise ValueError(f"ExtraArgs of upload_fileobj cannot contain {name!r}")
    if overwrite not in (True, False, "changed"):
        raise ValueError(f"overwrite must be True, False or 'changed', not {overwrite!r}")
    name = printable(f"{Bucket}/{Key}")
    aftermath = State(name, Deadline(None))
    state = State(name, Deadline(seconds), Config and Config.max_bandwidth, Callback, aftermath)
    ask = None if reader is None else Requests(reader.store, Bucket, Key, dict(extra), state)
    replacement = Replacement(self.store.url, Bucket, Key, state, overwrite, ask)
    if not overwrite:
        extra["IfNoneMatch"] = "*"

    def on_read(amount: int) -> None:
        state.read += amount
        state.report()

    try:
        with open_source(Fileobj, on_read) as source:
            transfer = Transfer(self.store, source, Bucket, Key, extra, state, Config, keep, pinned)
            return replacement.carry_out(transfer.run)
    except CDNError as error:
        error.subject = name
        raise
    except NotRenewed as error:
        raise error.reason from error.reason.__cause__
    except (BotoCoreError, ClientError, HTTPError) as error:
        error.add_note(f"{name}, with the uploader key")
        raise
