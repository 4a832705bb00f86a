"""Where a machine's credentials and settings come from: ``cdn.yaml``, or the environment.

Error messages name settings, lines and variables but never values, because they end up in logs and tickets. PyYAML's
own messages quote the file, so they are replaced. Nor does the exception lead to one: the public functions raise it
anew, because exception trackers record the whole chain and the local variables of every frame.
"""

from cdn_config.configuration import (
    Configuration,
    Settings,
    load_configuration,
    load_credentials,
    open_manager,
    parse_credentials,
)
from cdn_config.error import ConfigError

__all__ = [
    "ConfigError",
    "Configuration",
    "Settings",
    "load_configuration",
    "load_credentials",
    "open_manager",
    "parse_credentials",
]
