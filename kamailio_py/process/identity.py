"""Who the server runs as and where: user, group, root and working directory, the file of its process group."""

from __future__ import annotations

import grp
import os
import pwd
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.process.master import StartError

if TYPE_CHECKING:
    from kamailio_py.options import Options

logger = get_logger()


def take_identity(options: Options, cfg: Any, background: bool) -> None:
    """Apply -G, -t, -w, -g and -u (or the config's own parameters); StartError when the system refuses."""
    try:
        if options.group_file and background:
            Path(options.group_file).write_text(f"{os.getpgid(0)}\n")
        root = options.chroot or cfg.chroot
        if root:
            os.chroot(root)
        os.chdir(options.workdir or cfg.workdir)
        group, user = options.group or cfg.group, options.user or cfg.user
        if group:
            os.setgid(int(group) if group.isdigit() else grp.getgrnam(group).gr_gid)
        if user:
            os.setuid(int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid)
    except (OSError, KeyError) as error:
        raise StartError(f"cannot take the identity the config asks for: {error}") from None


def take_limits(cfg: Any) -> None:
    """Apply open_files_limit and disable_core_dump; what the system refuses is said in the log."""
    wanted = {resource.RLIMIT_NOFILE: cfg.open_files_limit} if cfg.open_files_limit > 0 else {}
    if cfg.disable_core_dump:
        wanted[resource.RLIMIT_CORE] = 0
    for limit, value in wanted.items():
        hard = resource.getrlimit(limit)[1]
        try:
            resource.setrlimit(limit, (value, max(value, hard) if hard != resource.RLIM_INFINITY else hard))
        except (OSError, ValueError) as error:
            logger.warn(f"cannot set a limit of this process to {value}: {error}")
