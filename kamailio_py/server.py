"""The `kamailio-py` command: from the command line to a running server, or to what was asked instead of one."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from kamailio_py import SIGNATURE, __version__, log
from kamailio_py.options import USAGE, WITHOUT_MEANING, Options, UsageError, parse

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

logger = log.get_logger()

FAILED = 255


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit codes are kamailio's: 0, or 255 for whatever kept the server from starting."""
    arguments = sys.argv[1:] if arguments is None else arguments
    early = {"-h", "--help", "-v", "-V", "--version", "-I"}.intersection(arguments)
    if early:
        print(USAGE if early & {"-h", "--help"} else version(), end="")
        return 0
    try:
        options = parse(arguments)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    if options.create_db:
        return create_db(options.create_db)
    log.configure(level=(options.debug or 0) + options.debug_steps, stderr=True, colour=options.colour)
    path = options.config if options.config == "-" else os.path.abspath(options.config)
    if path != "-" and not os.access(path, os.R_OK):
        reason = os.strerror(13 if os.path.exists(path) else 2)
        sys.stderr.write(f"ERROR: loading config file({path}): {reason}, check file and directory permissions\n")
        return FAILED
    # What a start makes is there to stay: looking through it again and again for garbage is in vain. The processes
    # that serve switch collecting on again.
    gc.disable()
    return start(path, options, arguments)


def start(path: str, options: Options, arguments: list[str]) -> int:
    """Load the engine, which is most of the program, and the config; do what the options ask for."""
    from kamailio_py.engine.boot import ConfigRejected
    from kamailio_py.engine.core import Core

    core = Core()
    core.arguments = [os.path.basename(sys.argv[0]), *arguments]
    try:
        return run(core, path, options)
    except ConfigRejected as rejected:
        for wrong in rejected.errors:
            log.emit(log.Level.CRIT, f"<core>: {wrong}")
        sys.stderr.write(f"ERROR: bad config file ({len(rejected.errors)} errors)\n")
        return FAILED


def run(core: Core, path: str, options: Options) -> int:
    """Do with the config what the options ask for."""
    if options.cfg_print:
        from kamailio_py.config.cfg_print import cfg_print

        sys.stdout.write(cfg_print(path, options.defines))
        return 0
    from kamailio_py.engine.boot import boot

    config = boot(core, path, options)
    for name in options.unused:
        logger.dbg(f"option {name} is accepted and has no effect: {WITHOUT_MEANING[name]}")
    for warning in config.warnings:
        logger.warn(str(warning))
    if options.python:
        from kamailio_py.config.program import source

        sys.stdout.write(source(core.program))
        return 0
    print(core.addresses.summary(), flush=True)
    if options.check:
        sys.stderr.write("config file ok, exiting...\n")
        return 0
    return serve(core, options)


def serve(core: Core, options: Options) -> int:
    """Run the server until it is told to stop."""
    from kamailio_py.process.daemon import PidFileError, daemonize, write_pid_file
    from kamailio_py.process.identity import take_identity, take_limits
    from kamailio_py.process.master import Master, StartError

    cfg = core.cfg
    stderr = options.stderr or bool(cfg.log_stderror)
    background = cfg.fork and options.daemon in (0, 3)
    reporter = daemonize(stderr) if background else None
    core.instance = f"{os.path.splitext(os.path.basename(options.config))[0]}-{os.getpid()}"
    log.configure(
        level=log.settings.level, stderr=stderr, colour=options.colour or bool(cfg.log_color),
        name=cfg.log_name or "kamailio", facility=cfg.log_facility,
    )  # fmt: skip
    pid_file = os.path.abspath(options.pid_file) if options.pid_file else ""
    master = Master(core, options)
    try:
        if pid_file:
            write_pid_file(pid_file)
        take_limits(cfg)
        take_identity(options, cfg, background)
        master.initialise()
        master.fork_all()
    except (StartError, PidFileError) as error:
        logger.crit(str(error))
        master.close()
        if pid_file and not isinstance(error, PidFileError):
            os.unlink(pid_file)
        return FAILED
    if reporter is not None:
        os.write(reporter, b"+")
        os.close(reporter)
    try:
        return master.supervise()
    finally:
        if pid_file and os.path.exists(pid_file):
            os.unlink(pid_file)


def create_db(path: str) -> int:
    from kamailio_py.db.errors import DbError
    from kamailio_py.db.tables import create_sqlite

    try:
        count = create_sqlite(path)
    except DbError as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return FAILED
    print(f"{path}: {count} tables; in a config it is sqlite:///{os.path.abspath(path)}")
    return 0


def version() -> str:
    python = ".".join(str(part) for part in sys.version_info[:3])
    return f"version: {SIGNATURE}\nkamailio-py {__version__} on Python {python}\n"


if __name__ == "__main__":
    sys.exit(main())
