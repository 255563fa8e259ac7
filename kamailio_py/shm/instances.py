"""Which instances have a segment on this machine, and whether their server is still there.

A segment belongs to a server that lives if the main process it names exists and is the one that was started then: a
pid alone may have been given to somebody else since. Left-over segments stay until someone removes them or a server of
the same name starts. No lock.
"""

from __future__ import annotations

import contextlib
import mmap
import os

import posix_ipc

from kamailio_py.dataclass import dataclass
from kamailio_py.shm import layout
from kamailio_py.shm.errors import InstanceRunning, SharedMemoryError

PREFIX = "kamailio_py."
SEEK_DATA, SEEK_HOLE = 3, 4
"""Of Linux's <unistd.h>; not every Python has them."""
DIRECTORY = "/dev/shm"


@dataclass(frozen=True, slots=True)
class Instance:
    """A segment found on this machine."""

    name: str
    master: int
    started: float
    size: int
    live: bool


def object_name(instance: str) -> str:
    """The name of an instance's shared-memory object."""
    if not instance or "/" in instance:
        raise SharedMemoryError(f"not a name for an instance: {instance!r}")
    return f"/{PREFIX}{instance}"


def process_start(pid: int) -> int:
    """When a process was started, in clock ticks since boot; 0 if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def is_live(master: int, master_start: int) -> bool:
    """Whether the main process that made a segment still runs."""
    return master != 0 and process_start(master) == master_start != 0


def find(instance: str) -> Instance | None:
    """What is known of one instance's segment; None if it has none. A torn or foreign one has master 0."""
    try:
        shared = posix_ipc.SharedMemory(object_name(instance), read_only=True)
    except (posix_ipc.ExistentialError, posix_ipc.PermissionsError):
        return None
    try:
        size = os.fstat(shared.fd).st_size
        if size < layout.LAYOUT_SIZE:
            return Instance(instance, 0, 0.0, size, False)
        with mmap.mmap(shared.fd, layout.LAYOUT_SIZE, access=mmap.ACCESS_READ) as memory:
            header = layout.read_header(memory)
    except SharedMemoryError:
        return Instance(instance, 0, 0.0, size, False)
    finally:
        shared.close_fd()
    # a copy that was kept names the server it is of
    live = layout.as_text(header.instance) == instance and is_live(header.master, header.master_start)
    return Instance(instance, header.master, header.started / 1000, size, live)


def instances() -> list[Instance]:
    """All instances with a segment on this machine, in order of their names."""
    try:
        names = sorted(os.listdir(DIRECTORY))
    except OSError:
        return []
    found = (find(name.removeprefix(PREFIX)) for name in names if name.startswith(PREFIX))
    return [instance for instance in found if instance is not None]


def remove(instance: str) -> bool:
    """Remove the segment a dead server left; False if there is none, InstanceRunning if its server lives."""
    found = find(instance)
    if found is None:
        return False
    if found.live:
        raise InstanceRunning(f"instance {instance} is running with pid {found.master}")
    with contextlib.suppress(posix_ipc.ExistentialError):
        posix_ipc.unlink_shared_memory(object_name(instance))
    return True


def keep(instance: str, name: str) -> str:
    """Copy a segment under another instance name, so that it stays for inspection; the new name."""
    copy(DIRECTORY + object_name(instance), DIRECTORY + object_name(name))
    return name


def copy(source: str, target: str) -> None:
    """Copy a segment from file to file, which must not exist; pages that nobody wrote stay unallocated."""
    with (
        open(source, "rb") as read,
        open(target, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as write,
    ):
        size = os.fstat(read.fileno()).st_size
        write.truncate(size)
        at = 0
        while at < size:
            try:
                at = os.lseek(read.fileno(), at, SEEK_DATA)
            except OSError:  # only holes follow
                break
            end = os.lseek(read.fileno(), at, SEEK_HOLE)
            os.pwrite(write.fileno(), os.pread(read.fileno(), end - at, at), at)
            at = end
