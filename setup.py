"""What pyproject.toml cannot say: the extensions, their .pxd beside them in the wheel, and the stable ABI."""

import os
import shutil

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ABI3 = ("Py_LIMITED_API", "0x030B0000")
# Without debug information, which is nine tenths of a module and names the folders of the machine that built it.
COMPILE_ARGS = [] if os.name == "nt" else ["-g0"]
MODULES = ["constants", "cdn_manager", "cdn_engine._disk"]


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


setup(
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
    cmdclass={"build_ext": BuildExtWithPxd},
    options={"build_ext": {"parallel": os.cpu_count()}, "bdist_wheel": {"py_limited_api": "cp311"}},
)
