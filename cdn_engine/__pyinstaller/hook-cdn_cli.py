"""What PyInstaller cannot see in the command: its commands, each of which is imported when it runs."""

from PyInstaller.utils.hooks import collect_submodules, copy_metadata

datas = copy_metadata("cdn-manager")
hiddenimports = collect_submodules("cdn_cli")
