"""What an exception tracker sees of an error: all exceptions that led to it, and the variables of their frames."""

import traceback
from pathlib import Path

_TESTS = Path(__file__).parents[1]


def exceptions_of(error):
    """Yield an exception and all that it was raised from or during."""
    seen, pending = set(), [error]
    while pending:
        error = pending.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            pending += [error.__cause__, error.__context__]
            yield error


def _text_of(value):
    return value.decode("latin-1") if type(value) is bytes else repr(value)  # which takes long for a payload


def secrets_shown(error, *secrets):
    """Return where the text of an error, or the variables of its frames, those of tests excepted, show a secret."""
    found = []
    for one in exceptions_of(error):
        texts = [str(one), repr(one), *getattr(one, "__notes__", ())]
        found += [f"{text}: the text" for text in texts if any(secret in text for secret in secrets)]
        found += [
            f"{name} in {frame.f_code.co_qualname} at {frame.f_code.co_filename}:{line}"
            for frame, line in traceback.walk_tb(one.__traceback__)
            if _TESTS not in Path(frame.f_code.co_filename).parents
            for name, value in frame.f_locals.items()
            if any(secret in _text_of(value) for secret in secrets)
        ]
    return found
