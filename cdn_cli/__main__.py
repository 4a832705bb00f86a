"""Runs the command as ``python -m cdn_cli``."""

import sys

from cdn_cli import main

sys.exit(main())
