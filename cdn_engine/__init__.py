"""The transfers below ``cdn_manager``: private, and free to change with every release.

Python callers import from ``cdn_manager``, Cython callers ``cimport`` it.
"""

import importlib.machinery


def _require_our_constants() -> None:
    """Name a stray module ``constants``, which would otherwise end in a puzzling AttributeError.

    The name is common: a file in the working directory or another distribution may come before ours on ``sys.path``.
    """
    try:
        import constants

        if {"log", "logerror"} <= getattr(constants, "__pyx_capi__", {}).keys():
            return
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "constants":
            raise  # there is none at all: the installation is broken
    spec = importlib.machinery.PathFinder.find_spec("constants")
    path = spec.origin if spec else None
    raise ImportError(
        f"cdn-manager needs its own module 'constants', but Python finds {path!r} first: rename that file, remove its "
        "folder from sys.path, or install the package it belongs to in another virtual environment",
        name="constants",
        path=path,
    )


_require_our_constants()
