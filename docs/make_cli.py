"""Renews in docs/cli.md what ``--help`` says; with ``--check``, only tells whether that changes the page."""

import contextlib
import io
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from cdn_cli import build_parser

PAGE = Path(__file__).parent / "cli.md"
SCREEN = re.compile(r"(```text\n\$ cdn-manager ((?:\w+ )?--help)\n).*?(```\n)", re.DOTALL)


def screen(match):
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        build_parser().parse_args(match[2].split())
    return match[1] + text.getvalue() + match[3]


def main():
    page = PAGE.read_text(encoding="utf-8")
    renewed = SCREEN.sub(screen, page)
    if "--check" not in sys.argv:
        PAGE.write_text(renewed, encoding="utf-8")
    elif renewed != page:
        sys.exit("docs/cli.md does not show what --help says: python docs/make_cli.py")


if __name__ == "__main__":
    main()
