"""Updates the ``--help`` screens in docs/cli.md; with ``--check``, fails if they are out of date."""

import contextlib
import io
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from cdn_cli.parser import build_parser

PAGE = Path(__file__).parent / "cli.md"
SCREEN = re.compile(r"(```text\n\$ cdn-manager ((?:\w+ )?--help)\n).*?(```\n)", re.DOTALL)


def screen(match: re.Match[str]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        build_parser().parse_args(match[2].split())
    return match[1] + text.getvalue() + match[3]


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    updated = SCREEN.sub(screen, page)
    if "--check" not in sys.argv:
        PAGE.write_text(updated, encoding="utf-8")
    elif updated != page:
        sys.exit("docs/cli.md does not show what --help prints: run python docs/make_cli.py")


if __name__ == "__main__":
    main()
