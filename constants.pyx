# cython: language_level=3
"""The one place where the application writes its log.

Both functions write to the standard library's logger ``cdn_manager`` and configure nothing: where the lines go is
the application's decision (``logging.basicConfig()``, a handler of its own, or nothing at all).
"""

import logging

__all__ = ["log", "logerror"]

_logger = logging.getLogger("cdn_manager")
_logger.addHandler(logging.NullHandler())


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
