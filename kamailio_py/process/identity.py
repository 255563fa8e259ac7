"""Who the server runs as and where: user, group, root and working directory, the file of its process group."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamailio_py.process.master import StartError

if TYPE_CHECKING:
    from kamailio_py.options import Options


def take_identity(options: Options, cfg: Any, background: bool) -> None:
    """Apply -G, -t, -w, -g and -u (or the config's own parameters); StartError when the system refuses."""
    try:
        if options.group_file and background:
            Path(options.group_file).write_text(f"{os.getpgid(0)}\n")
        root = options.chroot or cfg.chroot
        if root:
            os.chroot(root)
        if options.workdir or background:
            os.chdir(options.workdir or cfg.workdir)
        group, user = options.group or cfg.group, options.user or cfg.user
        if group:
            os.setgid(int(group) if group.isdigit() else grp.getgrnam(group).gr_gid)
        if user:
            os.setuid(int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid)
    except (OSError, KeyError) as error:
        raise StartError(f"cannot take the identity the config asks for: {error}") from None
