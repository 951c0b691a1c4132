"""A disk in user space that logs every write and every flush; run with Debian's Python.

Call: `logging_disk.py FOLDER IMAGE LOG`. FOLDER/disk has the content of IMAGE. LOG gets, in the
order of arrival, `W offset length` and the data of each write, and `F` of each flush.
"""

import errno
import os
import stat
import sys

from fusepy import FUSE, FuseOSError, Operations

NAME = "/disk"


class LoggingDisk(Operations):
    """One file. The kernel asks one thing after another."""

    def __init__(self, image: str, log: str) -> None:
        self._image = os.open(image, os.O_RDWR)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def getattr(self, path, _fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != NAME:
            raise FuseOSError(errno.ENOENT)
        size = os.fstat(self._image).st_size
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": size}

    def read(self, _path, size, offset, _fh):
        return os.pread(self._image, size, offset)

    def write(self, _path, data, offset, _fh):
        os.write(self._log, b"W %d %d\n" % (offset, len(data)) + data)
        return os.pwrite(self._image, data, offset)

    def fsync(self, _path, _datasync, _fh):
        os.write(self._log, b"F\n")
        return 0


FUSE(
    LoggingDisk(*sys.argv[2:]),
    sys.argv[1],
    foreground=True,
    nothreads=True,
    direct_io=True,
    big_writes=True,
)
