# cython: language_level=3
"""The one place where the application writes its log.

Both functions write to the standard library's logger ``cdn_manager`` and configure nothing: where the lines go is
the application's decision (``logging.basicConfig()``, or a handler of its own). Where it has made none, Python writes
the errors to stderr, and nothing else.
"""

import logging

__all__ = ["log", "logerror"]

_logger = logging.getLogger("cdn_manager")


cpdef log(str message):
    """Write one line at level INFO.

    Args:
        message: The line; it must not contain a secret.

    Thread-safety: safe from several threads, as ``logging`` is.
    """
    _logger.info("%s", message)


cpdef logerror(str message):
    """Write one line at level ERROR.

    Args:
        message: The line; it must not contain a secret.

    Thread-safety: safe from several threads, as ``logging`` is.
    """
    _logger.error("%s", message)
