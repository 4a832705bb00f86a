"""The objects that ``--json`` prints and ``--log-file`` keeps."""

from typing import Any

from cdn_cli.motion import Motion
from cdn_cli.transfer import ReleaseResult, Transfer
from cdn_engine.errors import explain
from cdn_manager import TransferResult

__all__ = ["done_event", "failed_event", "progress_event"]


def done_event(transfer: Transfer, result: TransferResult, seconds: float) -> dict[str, Any]:
    """Return what is told of a transfer that has succeeded."""
    more = result.more if isinstance(result, ReleaseResult) else {}
    return {"event": "done", "path": transfer.path, **result._asdict(), **more, "seconds": round(seconds, 3)}


def failed_event(bucket: str, transfer: Transfer, error: BaseException) -> dict[str, Any]:
    """Return what is told of a transfer that has failed."""
    return {
        "event": "failed", "bucket": bucket, "key": transfer.key, "path": transfer.path,
        "error": type(error).__name__, "reason": explain(error),
    }  # fmt: skip


def progress_event(motion: Motion, **names: Any) -> dict[str, Any]:
    """Return what is told of a transfer that runs, or of all of them.

    Args:
        motion: Its state.
        names: What it is about.
    """
    rate, left = motion.rate, motion.left
    return {
        "event": "progress", **names, "phase": motion.phase, "bytes": max(0, motion.bytes), "size": motion.size,
        "read": motion.read, "rate": None if rate is None else round(rate),
        "seconds_left": None if left is None else round(left, 1),
    }  # fmt: skip
