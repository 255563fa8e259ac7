"""Members of profiles whose dialogs other servers follow: counted here because the script says so.

Each has a name (uid) by which it is removed again, or a time when that happens by itself. One lock guards all of them,
given back before the counts of the profiles change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.shm.records import Record, u32, u64
from kamailio_py.sip.hash import core_hash

if TYPE_CHECKING:
    from kamailio_py.modules.dialog.profiles import Profiles
    from kamailio_py.shm.memory import SharedMemory

log = get_logger("dialog")

BUCKETS = 256


class RemoteItem(Record):
    """One member; profile, value and uid follow, with NULs between them."""

    next = u64("next item of the bucket")
    prev = u64("previous item of the bucket")
    expires = u64("when it is removed, seconds since the epoch; 0 for never")
    size = u32("bytes of the names")


class RemoteProfiles:
    """See the head of the file."""

    def __init__(self, shm: SharedMemory, profiles: Profiles) -> None:
        self._profiles = profiles
        self._memory, self._u32, self._u64 = shm.memory, shm.u32, shm.u64
        self._arena = shm.arena
        self._table = shm.table("dialog.remote_profiles", BUCKETS, 1, RemoteItem)
        self._lock = self._table.lock_of(0)
        self._owner = shm.arena.owner("dialog", "member of a remote profile", RemoteItem)

    def add(self, profile: str, value: str, uid: str, expires: int) -> bool:
        """One more member, also of a uid that is known; False without memory."""
        names = self._names(profile, value, uid)
        item = self._arena.alloc(RemoteItem.SIZE + len(names), self._owner)
        if not item:
            log.err("no more shm mem")
            return False
        RemoteItem.STRUCT.pack_into(self._memory, item, 0, 0, max(expires, 0), len(names))
        self._memory[item + RemoteItem.SIZE : item + RemoteItem.SIZE + len(names)] = names
        with self._lock:
            self._table.insert(core_hash(uid, "", BUCKETS), item)
        self._profiles.add(profile, value, 1)
        return True

    def remove(self, profile: str, value: str, uid: str) -> None:
        """Remove one member of this uid, if there is one."""
        names = self._names(profile, value, uid)
        bucket = core_hash(uid, "", BUCKETS)
        with self._lock:
            item = next((item for item in self._table.walk(bucket) if self._read(item) == names), 0)
            if item:
                self._table.remove(bucket, item)
        if item:
            self._arena.free(item)
            self._profiles.add(profile, value, -1)

    def expire(self, now: int) -> None:
        """Remove those whose time is over."""
        over: list[tuple[str, str]] = []
        with self._lock:
            for bucket in list(self._table.filled()):
                for item in list(self._table.walk(bucket)):
                    if 0 < self._u64[(item + RemoteItem.expires) >> 3] < now:
                        profile, value, _ = self._read(item).decode("latin-1").split("\0")
                        over.append((profile, value))
                        self._table.remove(bucket, item)
                        self._arena.free(item)
        for profile, value in over:
            self._profiles.add(profile, value, -1)

    @staticmethod
    def _names(profile: str, value: str, uid: str) -> bytes:
        return "\0".join(text.replace("\0", "") for text in (profile, value, uid)).encode("latin-1")

    def _read(self, item: int) -> bytes:
        start = item + RemoteItem.SIZE
        return bytes(self._memory[start : start + self._u32[(item + RemoteItem.size) >> 2]])
