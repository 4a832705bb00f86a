"""Settings in environment variables: each name of ``cdn.yaml`` in capitals, with ``CDN_`` before it. Private.

Other programs have variables that begin with ``CDN_`` too. Nothing is said about those; only a name that can hardly be
anyone else's is called a misspelt one of ours.
"""

import difflib
from collections.abc import Mapping

from cdn_config.error import ConfigError
from cdn_config.values import NAMES, missing, objection_to

__all__ = ["is_complete", "read_environment", "require_none", "set_variables", "variable"]

_PREFIX = "CDN_"

# CDN_REGION or CDN_DEADLINE may be another program's; these can only be ours.
_OURS = [name for name in NAMES if "_" in name]
_SIMILARITY_CUTOFF = 0.85  # of a misspelt one: finds two exchanged or two missing letters


def variable(name: str) -> str:
    """Return the variable of a setting."""
    return _PREFIX + name.upper()


def set_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables of ours that are set. An empty one counts as not set, as containers often have those."""
    return [name for name in map(variable, NAMES) if environment.get(name)]


def is_complete(environment: Mapping[str, str]) -> bool:
    """Return True if the settings are to come from the environment: it says where the store is."""
    return bool(environment.get(variable("host")))


def read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the settings.

    Raises:
        ConfigError: Some are invalid or missing; the message names all of the variables, and no value.
    """
    values = {name: environment[variable(name)] for name in NAMES if environment.get(variable(name))}
    problems = _misspelt(environment)
    for name, text in values.items():
        if problem := objection_to(name, text):
            problems.append(f"{variable(name)} {problem}")
    problems += missing(values, values.get("anonymous", "false") != "false", variable, variable)
    if problems:
        raise ConfigError("; ".join(problems))
    return values


def require_none(environment: Mapping[str, str]) -> None:
    """Make sure that nobody expects the environment to count, although it does not say where the store is.

    Raises:
        ConfigError: A variable is set that can only be meant for us.
    """
    problems = _misspelt(environment)
    if ours := [name for name in map(variable, _OURS) if environment.get(name)]:
        verb, pronoun = ("is", "it") if len(ours) == 1 else ("are", "them")
        problems.append(
            f"{' and '.join(ours)} {verb} set, but {variable('host')} is not: set it too, or unset {pronoun} to use a "
            "file"
        )
    if problems:
        raise ConfigError("; ".join(problems))


def _misspelt(environment: Mapping[str, str]) -> list[str]:
    """Return a problem for each variable whose name is nearly one of ours."""
    problems = []
    for name in sorted(environment):
        if not name.startswith(_PREFIX) or name in map(variable, NAMES) or not environment[name]:
            continue
        nearest = difflib.get_close_matches(name.removeprefix(_PREFIX).lower(), _OURS, 1, _SIMILARITY_CUTOFF)
        if nearest:
            problems.append(f"unknown variable {name} (did you mean {variable(nearest[0])}?)")
    return problems
