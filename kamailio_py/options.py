"""The command line of kamailio-py: real kamailio's options, taken as it takes them, and a few of its own."""

from __future__ import annotations

import getopt

from kamailio_py import SIGNATURE
from kamailio_py.dataclass import dataclass, field

DEFAULT_CONFIG = "/etc/kamailio/kamailio.cfg"
SHORT = "a:A:b:cdDeEf:g:G:hIKl:L:m:M:n:N:O:P:Q:rRSt:Tu:vVx:X:Y:w:W:"
LONG = [
    "alias=", "atexit=", "cfg-print", "debug=", "help", "loadmodule=", "log-engine=", "modparam=", "server-id=",
    "subst=", "substdef=", "substdefs=", "version",
    # ours
    "create-db=", "keep-crashed", "no-respawn", "python", "strict",
]  # fmt: skip
WITHOUT_MEANING = {
    "--atexit": "there are no libraries with exit handlers",
    "-M": "private memory is Python's own",
    "-O": "a config is compiled",
    "-Q": "SCTP is not served",
    "-S": "SCTP is not served",
    "-X": "private memory is Python's own",
    "-x": "there is one shared memory manager",
    "-r": "nothing comes of looking up the hosts of Vias",
    "-W": "the poll method is chosen by the system",
    "-N": "TCP is not served",
    "-T": "TCP is not served",
}

USAGE = f"""\
version: {SIGNATURE}
Usage: kamailio-py [options]
Runs a kamailio.cfg. Options are those of kamailio:
    -a mode            auto aliases: yes|on or no|off
    --alias=VAL        add an alias, [proto:]hostname[:port]
    -A DEFINE          preprocessor define: -A WITH_AUTH, -A 'FLT_ACC=1', -A 'DBURL="text"'
    -b NR              largest UDP receive buffer in bytes
    -c                 check the config file
    --cfg-print        print the config after includes and ifdefs
    -d                 raise the debug level (several times)
    --debug=LEVEL      set the debug level
    -D                 -D do not fork, -DD do not go into the background, -DDD do (default)
    -e                 colours in the log on the terminal (with -E)
    -E                 log to standard error
    -f FILE            config file, - for standard input (default: {DEFAULT_CONFIG})
    -g GID, -u UID     run as this group, this user
    -G FILE            write the process group id to FILE
    -h, --help         this text
    -I                 more about how this server was built
    -K                 check that a reply's top Via is ours
    -l ADDRESS         listen on [proto:]address[:port][/advertised[:port]] (several times)
    --loadmodule=NAME  load a module before the config is read
    --log-engine=NAME  accepted
    -L PATH            where to look for modules of your own
    -m NR              shared memory in megabytes (default: 64)
    --modparam=MODULE:PARAM:TYPE:VALUE   set a module parameter; TYPE is s or i
    -n NR              processes per UDP address (default: 8)
    -P FILE            write the pid to FILE
    -R                 look up the names of addresses before "received=" is added to a Via
    --server-id=N      set server_id
    --subst=EXP, --substdef=EXP, --substdefs=EXP   as the directives
    -t DIR             change the root directory
    -v, -V, --version  version
    -w DIR             working directory (default: "/")
    -Y DIR             runtime directory
    -M -N -O -Q -r -S -T -W -x -X --atexit   accepted, without a meaning here
and of its own:
    --create-db=FILE   make a sqlite database with Kamailio's tables, and nothing else
    --strict           what would go wrong only at run time is an error
    --python           print the Python code the config becomes
    --no-respawn       stop when a process dies, as Kamailio does, instead of starting it again
    --keep-crashed     keep a copy of the shared memory when a process dies
"""


@dataclass
class Options:
    """The command line, taken apart."""

    config: str = DEFAULT_CONFIG
    check: bool = False
    cfg_print: bool = False
    python: bool = False
    create_db: str = ""
    strict: bool = False
    respawn: bool = True
    keep_crashed: bool = False
    daemon: int = 0  # number of -D
    debug: int | None = None
    debug_steps: int = 0
    stderr: bool = False
    colour: bool = False
    defines: list[str] = field(default_factory=list)
    substs: list[tuple[str, str]] = field(default_factory=list)
    listens: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    module_params: list[tuple[str, str, int | str]] = field(default_factory=list)
    module_path: str = ""
    globals: dict[str, int | str] = field(default_factory=dict)
    shm_megabytes: int | None = None
    pid_file: str = ""
    group_file: str = ""
    workdir: str = ""
    rundir: str = ""
    chroot: str = ""
    user: str = ""
    group: str = ""
    unused: list[str] = field(default_factory=list)


class UsageError(Exception):
    """The command line cannot be understood."""


def parse(arguments: list[str]) -> Options:
    """Take the command line apart; UsageError with Kamailio's words."""
    try:
        given, rest = getopt.getopt(arguments, SHORT, LONG)
    except getopt.GetoptError as error:
        name = f"-{error.opt}" if len(error.opt) == 1 else f"--{error.opt}"
        if "requires argument" in error.msg:
            raise UsageError(f"Option '{name}' requires an argument. Use -h for help.") from None
        raise UsageError(f"Unknown option '{name}'. Use -h for help.") from None
    options = Options()
    for name, value in given:
        if name in WITHOUT_MEANING:
            options.unused.append(name)
        else:
            _apply(options, name, value)
    if options.python and rest:
        options.config = rest.pop(0)
    if rest:
        raise UsageError(f"Non-option argument '{rest[0]}'. Use -h for help.")
    return options


TEXTS = {
    "-f": "config", "-L": "module_path", "-P": "pid_file", "-G": "group_file", "-w": "workdir", "-Y": "rundir",
    "-t": "chroot", "--create-db": "create_db", "-u": "user", "-g": "group",
}  # fmt: skip
FLAGS = {
    "-c": "check", "--cfg-print": "cfg_print", "--python": "python", "--strict": "strict", "-E": "stderr",
    "-e": "colour", "--keep-crashed": "keep_crashed",
}  # fmt: skip
LISTS = {"-A": "defines", "-l": "listens", "--alias": "aliases", "--loadmodule": "modules"}
GLOBALS = {"-n": "children", "-b": "maxbuffer", "--server-id": "server_id"}


def _apply(options: Options, name: str, value: str) -> None:
    if name in TEXTS:
        setattr(options, TEXTS[name], value)
    elif name in FLAGS:
        setattr(options, FLAGS[name], True)
    elif name in LISTS:
        getattr(options, LISTS[name]).append(value)
    elif name in GLOBALS:
        options.globals[GLOBALS[name]] = _number(name, value)
    elif name in ("--subst", "--substdef", "--substdefs"):
        options.substs.append((name[2:], value))
    elif name == "--modparam":
        options.module_params.append(_module_param(value))
    elif name == "--debug":
        options.debug = _number(name, value)
    elif name == "-d":
        options.debug_steps += 1
    elif name == "-D":
        options.daemon += 1
    elif name == "-m":
        options.shm_megabytes = _number(name, value)
    elif name == "-K":
        options.globals["check_via"] = 1
    elif name == "-R":
        options.globals["rev_dns"] = 1
    elif name == "-a":
        options.globals["auto_aliases"] = 1 if value in ("yes", "on") else 0
    elif name == "--no-respawn":
        options.respawn = False
    elif name == "--log-engine":
        options.globals["log_engine_type"], _, options.globals["log_engine_data"] = value.partition(":")


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"bad number: {name} {value}") from None


def _module_param(text: str) -> tuple[str, str, int | str]:
    parts = text.split(":", 3)
    if len(parts) != 4 or parts[2] not in ("s", "i"):
        raise UsageError(f"invalid modparam option: {text} (it is MODULE:PARAM:TYPE:VALUE, with s or i as TYPE)")
    return parts[0], parts[1], _number("--modparam", parts[3]) if parts[2] == "i" else parts[3]
