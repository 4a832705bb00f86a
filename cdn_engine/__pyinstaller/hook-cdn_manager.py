"""What PyInstaller cannot see in a compiled module: its imports, and the metadata with the version."""

from PyInstaller.utils.hooks import copy_metadata

datas = copy_metadata("cdn-manager")
hiddenimports = ["cdn_engine.clients", "cdn_engine.host", "cdn_engine.upload.orphans", "constants"]
