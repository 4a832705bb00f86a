"""What one test of the check has found."""

from collections.abc import Callable
from typing import NamedTuple

from botocore.parsers import ResponseParserError

from cdn_engine.errors import explain
from cdn_manager import TRANSFER_ERRORS

__all__ = ["CORRECT_HOST", "Finding", "finding_of"]

CORRECT_HOST = (
    "correct host in the configuration: it is the address and port of the S3 interface, not of a website or console"
)


class Finding(NamedTuple):
    """What one test has found.

    Attributes:
        name: What was tested.
        state: ``ok``, ``warning`` for what is odd but works, ``failed``, or ``skipped`` if it could not be tested.
        text: What was observed.
        advice: What to do about it, or empty.
    """

    name: str
    state: str
    text: str
    advice: str = ""


def finding_of(name: str, test: Callable[[], Finding]) -> Finding:
    """Run a test, and return its finding. An answer that the test is not prepared for is a finding as well."""
    try:
        return test()
    except TRANSFER_ERRORS as error:
        return Finding(name, "failed", explain(error))
    except ResponseParserError:  # its message would quote the whole answer
        return Finding(name, "failed", "the answer is not S3's", CORRECT_HOST)
    except Exception as error:
        return Finding(name, "failed", f"the test itself failed: {type(error).__name__}: {explain(error)}",
                       "report it with the store's name and version")  # fmt: skip
