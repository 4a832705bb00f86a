"""How Sphinx makes the documentation site: ``make docs``."""

import re
from importlib.metadata import version as version_of
from pathlib import Path

project = "cdn-manager"
version = release = version_of("cdn-manager").split("+")[0]
html_title = f"cdn-manager {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3  # as GitHub has them
autodoc_member_order = "bysource"
add_module_names = False  # everything is imported from cdn_manager, cdn_config or cdn_release
autodoc_typehints = "none"  # the docstrings have the types
napoleon_google_docstring = True
exclude_patterns = ["_static"]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = html_copy_source = html_show_copyright = False

_OUTSIDE = re.compile(r"\[([^]]+)\]\(\.\./([\w./-]+)\)")


def _name_files_outside(app, docname, source):
    """Where a page links to a file that is not in the site, say where that file is; GitHub follows the link."""

    def name(link):
        text, path = link.groups()
        if not Path(app.srcdir, "..", path).exists():
            return link[0]  # Sphinx will complain
        page = Path(app.srcdir, "included", Path(path).name.lower())
        return f"[{text}](included/{page.name})" if page.exists() else f"{text} (`{path}` in the sources)"

    source[0] = _OUTSIDE.sub(name, source[0])


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", _name_files_outside)
