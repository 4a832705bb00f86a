"""Tells what a command has found or done: a line for people, or a JSON object."""

from collections.abc import Mapping

from cdn_cli.console import Output, complain, print_event, printable, say
from cdn_cli.log_file import record
from cdn_engine.errors import explain

__all__ = ["Report"]

_LISTED = ("object", "release")  # what was only listed, and nothing has happened to: not for the log file


class Report:
    """Writes to stdout what was found or done, and to stderr what failed.

    Args:
        output: How much to write, and in which form.
        bucket: The bucket that it is about.

    Attributes:
        failed: How many failures were told.

    Thread-safety: for one thread.
    """

    def __init__(self, output: Output, bucket: str) -> None:
        self.output = output
        self.bucket = bucket
        self.failed = 0

    def tell(self, event: str, text: str, members: Mapping[str, object], is_error: bool = False) -> None:
        """Write what was found or done.

        Args:
            event: The name of the JSON object.
            text: What people read; empty for nothing.
            members: The other members of the JSON object.
            is_error: Even ``--quiet`` shows it, on stderr.

        Raises:
            OSError: The output cannot be written; ``BrokenPipeError`` if its reader has gone.
        """
        if event not in _LISTED:
            record({"event": event, **members})
        try:
            if self.output.json:
                print_event({"event": event, **members})
            elif self.output.quiet and is_error:
                say(text)
            elif text and not self.output.quiet:
                print(printable(text), flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(error.errno, f"the output cannot be written: {error.strerror}") from error

    def fail(self, key: str, error: Exception, path: str | None = None) -> None:
        """Write what has failed for one object.

        Args:
            key: Its key.
            error: Why.
            path: The local file; None without one.
        """
        self.failed += 1
        names = {"bucket": self.bucket, "key": key, "path": path}
        self.tell("failed", "", {**names, "error": type(error).__name__, "reason": explain(error)})
        complain(error, f"{self.bucket}/{key}: ", self.output.verbose)
