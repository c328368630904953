"""The real paths of many files in few folders, each folder resolved once."""

import os
from pathlib import Path


class RealPaths:
    """`os.path.realpath`, which asks the system about every folder on the way, with a memory of folders.

    For one listing: a folder that becomes a link later is not noticed.
    """

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: Path) -> str:
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if name in ("", ".", ".."):
            return os.path.realpath(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)
