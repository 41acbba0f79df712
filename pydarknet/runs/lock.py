# SPDX-License-Identifier: Apache-2.0
"""Lock of a run folder: one writer at a time, on all machines and in all containers that reach the folder.

Two mechanisms, since neither suffices alone.  ``flock`` on the open file ``RUN/lock`` holds between all
processes of one kernel, whatever PID namespace they are in, and the kernel frees it the moment its owner
dies; but some drives do not have it, or do not share it between machines.  Therefore the owner also writes
its token into the file, and changes the file at every heartbeat.

A process that finds a token whose owner may be alive watches the file: if it changes, the owner lives; if it
stays the same for more than two heartbeats, the lock is taken over.  No clocks are compared.  An owner
that finds another's token, because it was suspended for too long, stops writing.  Each deletes only its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

from pydarknet.errors import FileError
from pydarknet.system.notify import Notify

BEAT = 10.0  # seconds between heartbeats
WATCH = 2.5  # heartbeats to wait for a sign of life of an unknown owner
SETTLE = 0.05  # of a heartbeat: after a take-over, the time in which another machine's claim would show

_NO_FLOCK = (errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ENOLCK)
_Sign = tuple[bytes, int]  # content and modification time of the lock: any change is a sign of life


class FolderLock:
    """A lock that this process holds; :func:`acquire` makes it.

    Attributes:
        usurper: description of the process that took the lock over; "" while it is ours.
    """

    def __init__(self, path: Path, handle: int, flocked: bool) -> None:
        self.path, self.usurper = path, ""
        self._handle = handle
        self._facts: dict[str, Any] = {
            "token": secrets.token_hex(8),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "kernel": _kernel(handle) if flocked else "",
            "beat": 0,
        }
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="pydarknet-lock", daemon=True)

    def claim(self) -> None:
        """Write the token."""
        os.ftruncate(self._handle, 0)
        self._write()

    def start(self) -> None:
        """Begin the heartbeat."""
        self._heart.start()

    def release(self) -> None:
        """End the heartbeat, and delete the file if it is still ours."""
        self._over.set()
        if self._heart.ident is not None:
            self._heart.join()
        with contextlib.suppress(OSError):
            if self.is_ours():
                self.path.unlink()
        self.close()

    def close(self) -> None:
        """Give up the file without deleting it."""
        os.close(self._handle)

    def is_ours(self) -> bool:
        """Whether the file has our token."""
        return bool(_facts(self.path).get("token") == self._facts["token"])

    def _write(self) -> None:
        # One small write in place: readers see the old or the new text, and the inode keeps its flock.
        os.pwrite(self._handle, json.dumps(self._facts).encode() + b"\n", 0)
        os.fsync(self._handle)  # network drives would keep it back

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with contextlib.suppress(OSError):
                found = _facts(self.path)
                if found.get("token", self._facts["token"]) != self._facts["token"]:
                    self.usurper = _described(found)
                    return
                self._facts["beat"] += 1
                self._write()


def acquire(path: Path, notify: Notify) -> FolderLock:
    """Take the lock of a folder and begin its heartbeat.

    Args:
        path: of the lock file.
        notify: receives a notice if the call has to wait, and if a lock is taken over.

    Raises:
        FileError: another process holds it.
        OSError: the file cannot be made or read.
    """
    while True:
        handle, created = _opened(path)
        try:
            flocked = _flock(handle)
            if flocked is None:
                raise _refusal(path)
            if not _is_same_file(handle, path):  # deleted by its owner since it was opened
                os.close(handle)
                continue
            lock = FolderLock(path, handle, bool(flocked))
            waited = not created and _wait_for_silence(path, handle, bool(flocked), notify)
            lock.claim()
            if waited or not flocked:
                time.sleep(SETTLE * BEAT)
                if not lock.is_ours():
                    raise _refusal(path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(handle)
            raise
        lock.start()
        return lock


def owner(path: Path) -> str:
    """Description of the process that seems to hold a lock; "" if there is none, without waiting.

    For the lock of another machine the last heartbeat decides, by the clock.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        found = _facts(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                return _described(found)
        if found.get("kernel") and found["kernel"] == _kernel(handle):
            return ""
        silent = time.time() - os.fstat(handle).st_mtime
        return _described(found) if silent < 3 * BEAT else ""
    finally:
        os.close(handle)


def _opened(path: Path) -> tuple[int, bool]:
    """Open the lock; also whether it was made now."""
    for _ in range(100):
        with contextlib.suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        with contextlib.suppress(FileNotFoundError):  # deleted in between
            return os.open(path, os.O_RDWR), False
    raise FileError(f"{path}: other processes keep making and deleting it")


def _flock(handle: int) -> bool | None:
    """True: locked; False: this drive has no flock; None: another process holds it."""
    for _ in range(10):  # a reader of `owner` holds it for an instant
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in _NO_FLOCK:
                return False
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            time.sleep(0.01)
    return None


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _wait_for_silence(path: Path, handle: int, flocked: bool, notify: Notify) -> bool:
    """Wait until the owner of an old lock is known to be gone; returns whether that took any time.

    Raises:
        FileError: the owner gave a sign of life.
    """
    first, found = _sign(path), _facts(path)
    if flocked and found.get("kernel") and found["kernel"] == _kernel(handle):
        return False  # its flock would still hold
    # An empty file was made an instant ago, or its owner died in that instant.
    limit = WATCH * BEAT if first[0] else 2 * SETTLE * BEAT
    who = _described(found)
    if first[0]:
        notify(f"{path}: left by {who}; waiting up to {limit:.0f} s for a sign that it is still alive")
    begun, waited = time.monotonic(), 0.0
    while waited < limit:
        time.sleep(min(limit / 50, 0.5))
        waited = time.monotonic() - begun
        if _sign(path) != first:  # also after the last wait, in which this process may have been suspended
            raise _refusal(path)
    if first[0]:
        notify(f"{path}: {who} gave no sign in {limit:.0f} s, so its lock is taken over")
    return True


def _sign(path: Path) -> _Sign:
    """Content and modification time; the file is opened each time, since network drives cache open ones."""
    try:
        with path.open("rb") as file:
            return file.read(4096), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return b"", 0


def _facts(path: Path) -> dict[str, Any]:
    """Content of the lock; empty if it cannot be read."""
    try:
        found = json.loads(_sign(path)[0])
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _described(facts: dict[str, Any]) -> str:
    if "pid" not in facts:
        return "another process"
    return f"process {facts['pid']} on {facts.get('host', '?')} (since {facts.get('time', '?')})"


def _refusal(path: Path) -> FileError:
    return FileError(
        f"{path.parent}: {_described(_facts(path))} is writing into this folder; two runs in one folder "
        "destroy each other. Stop that process, or use another --out; the lock is free within "
        f"{WATCH * BEAT:.0f} s after its end"
    )


def _kernel(handle: int) -> str:
    """Identity of the running kernel and of the mounted drive: where both are equal, flock is shared."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
    return f"{boot}/{os.fstat(handle).st_dev}"
