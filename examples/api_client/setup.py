"""Builds one compiled module. Cython finds the .pxd files of cdn_manager and constants in site-packages."""

from Cython.Build import cythonize
from setuptools import setup

setup(ext_modules=cythonize("api_client.pyx", build_dir="build"))
