"""Refuses what cannot be the name of a release, before anything is done."""

from cdn_cli.console import UsageError
from cdn_release import ReleaseError
from cdn_release.manifest import check_name

__all__ = ["check_release_name"]


def check_release_name(name: str) -> None:
    """Refuse what cannot be the name of a release.

    Raises:
        UsageError: It cannot.
    """
    try:
        check_name(name)
    except ReleaseError as error:
        raise UsageError(str(error)) from error
