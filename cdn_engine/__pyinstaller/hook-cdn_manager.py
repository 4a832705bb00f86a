"""What PyInstaller cannot see in a compiled module: its imports, and the metadata with the version."""

from PyInstaller.utils.hooks import collect_submodules, copy_metadata

datas = copy_metadata("cdn-manager")
hiddenimports = ["constants", *collect_submodules("cdn_engine")]
