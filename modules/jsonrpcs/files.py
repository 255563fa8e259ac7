"""What FIFOs and sockets in the file system have in common: their path, owner and mode."""

from __future__ import annotations

import grp
import os
import pwd
import stat

from kamailio_py.module import ModuleError


def user_id(user: int | str) -> int:
    """-1 for nobody in particular."""
    if isinstance(user, int):
        return user
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ModuleError(f"Bad user name {user}") from None


def group_id(group: int | str) -> int:
    if isinstance(group, int):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ModuleError(f"Bad group name {group}") from None


def hand_over(path: str, mode: int, user: int, group: int) -> None:
    """Give a file this mode and, where they are not -1, these owners."""
    os.chmod(path, mode)
    if user != -1 or group != -1:
        os.chown(path, user, group)


def remove(path: str, kind: int) -> None:
    """Remove a FIFO or socket (stat.S_IFIFO, S_IFSOCK) that is there; ModuleError for a file of another kind."""
    try:
        found = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_IFMT(found) != kind:
        raise ModuleError(f"{path} exists and is no {'FIFO' if kind == stat.S_IFIFO else 'socket'}")
    os.unlink(path)
