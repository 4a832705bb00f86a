"""The error of this package."""

from cdn_manager import CDNError

__all__ = ["ConfigError"]


class ConfigError(CDNError, ValueError):
    """The configuration is invalid. The message names lines, settings or variables, never values."""
