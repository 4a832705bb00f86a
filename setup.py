"""What pyproject.toml cannot say: the extensions, their .pxd in the wheel, the stable ABI, and the manual page."""

import os
import re
import shutil
import sys
from pathlib import Path

from argparse_manpage.manpage import Manpage
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

ABI3 = ("Py_LIMITED_API", "0x030B0000")
# Without debug information, which is nine tenths of a module and names the folders of the machine that built it.
COMPILE_ARGS = [] if os.name == "nt" else ["-g0"]
MODULES = ["constants", "cdn_manager", "cdn_engine._disk"]
MANUAL = "build/cdn-manager.1"


class BuildExtWithPxd(build_ext):
    """Put the .pxd of a root module beside it, where a consumer's ``cimport`` looks for it."""

    def _pxd_files(self):
        if self.inplace or self.editable_mode:
            return {}
        files = (f"{extension.name}.pxd" for extension in self.extensions)
        return {name: os.path.join(self.build_lib, name) for name in files if os.path.exists(name)}

    def run(self):
        super().run()
        for source, target in self._pxd_files().items():
            shutil.copyfile(source, target)

    def get_outputs(self):
        return [*super().get_outputs(), *self._pxd_files().values()]


class BuildWithManual(build):
    """Make the manual page from the parser, which imports the standard library only."""

    def run(self):
        sys.path.insert(0, str(Path(__file__).parent))
        from cdn_cli.parser import build_parser

        about = {
            "project_name": "cdn-manager",
            "version": self.distribution.get_version().partition("+")[0],
            "manual_title": "User Commands",
            "description": "move big files to and from an S3-compatible store",
        }
        parser = build_parser()
        # The help has short lists of its own, which fit a screen; the page has argparse's, with the texts of these.
        parser.description, _, lists = parser.description.partition("\n\ncommands:")
        texts = dict(re.findall(r"(--[\w-]+)(?: [A-Z]+)? {2,}(\S.*?)(?= {2,}|$)", lists, re.MULTILINE))
        for action in parser._actions:
            action.help = texts[action.option_strings[-1]] if action.option_strings else None
        page = str(Manpage(parser, about, format="single-commands-section"))
        Path(MANUAL).parent.mkdir(exist_ok=True)
        for theirs, ours in ((".SH\nPOSITIONAL ARGUMENTS", ".SH COMMANDS"), (".SH COMMENTS", ".SH NOTES")):
            page = page.replace(theirs, ours)
        Path(MANUAL).write_text(page, encoding="utf-8")
        super().run()


setup(
    data_files=[("share/man/man1", [MANUAL])],
    ext_modules=cythonize(
        [
            Extension(
                name,
                [f"{name.replace('.', '/')}.pyx"],
                define_macros=[ABI3],
                py_limited_api=True,
                extra_compile_args=COMPILE_ARGS,
            )
            for name in MODULES
        ],
        build_dir="build",
    ),
    cmdclass={"build_ext": BuildExtWithPxd, "build": BuildWithManual},
    options={"build_ext": {"parallel": os.cpu_count()}, "bdist_wheel": {"py_limited_api": "cp311"}},
)
