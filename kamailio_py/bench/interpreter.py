"""Which Python runs our server, how it was built, and how to run the server with another one.

A CPython built without profile-guided optimisation takes about one and a half times as long for the same work, so a
figure says little without this.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]

_BOOT = (
    "import site, sys; [site.addsitedir(path) for path in %r]; sys.argv[0] = 'kamailio-py'; "
    "from kamailio_py.server import main; sys.exit(main())"
)

_ASK = """
import json, platform, sys, sysconfig, time
def work(count):
    table, total = {}, 0
    for number in range(count):
        table[number & 255] = str(number)
        total += len(table[number & 255])
    return total
best = 1e9
for turn in range(5):
    start = time.process_time()
    work(50000)
    best = min(best, time.process_time() - start)
flags = " ".join(str(sysconfig.get_config_var(name) or "")
                 for name in ("CONFIG_ARGS", "PY_CFLAGS", "PY_CFLAGS_NODIST", "PY_LDFLAGS_NODIST", "PY_CORE_CFLAGS"))
print(json.dumps({
    "version": platform.python_version(), "new_enough": sys.version_info >= (3, 11),
    "implementation": platform.python_implementation(), "release": "%d.%d.%d" % sys.implementation.version[:3],
    "compiler": platform.python_compiler(), "flags": flags, "debian": "deb_system" in sysconfig.get_scheme_names(),
    "debug": bool(sysconfig.get_config_var("Py_DEBUG")), "threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "loop_ns": best / 50000 * 1e9}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One Python: of which language version, by whom, and how it was built.

    `optimised` and `lto` are None where the build does not tell; `loop_ns` is one turn of a small fixed loop.
    """

    path: str
    version: str
    implementation: str
    optimised: bool | None
    lto: bool | None
    build: str
    loop_ns: float

    def __str__(self) -> str:
        return f"Python {self.version} ({self.path}; {self.build})"


class InterpreterError(Exception):
    """It cannot run our server; the text says why."""


def describe(path: str) -> Interpreter:
    """Ask the interpreter what it is."""
    try:
        asked = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, text=True, timeout=60)
        told = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise InterpreterError(f"{path} is no Python that can be run") from None
    if not told["new_enough"]:
        raise InterpreterError(f"{path} is Python {told['version']}, and kamailio-py needs 3.11 or later")
    flags = told["flags"]
    optimised: bool | None = "--enable-optimizations" in flags or "-fprofile-use" in flags
    lto: bool | None = "--with-lto" in flags or "-flto" in flags
    if told["implementation"] != "CPython":
        # What flags tell of a C compiler's optimisation says nothing of a just-in-time compiler.
        optimised, lto, build = None, None, f"{told['implementation']} {told['release']}"
        if told["compiler"]:
            build += f", built with {told['compiler']}"
    elif told["debug"]:
        build = "a debug build"
    elif told["debian"]:
        # Debian's and Ubuntu's rules build with profiles and take the flags out of what sysconfig tells afterwards.
        optimised, lto, build = True, None, "optimised with profiles, as Debian builds it"
    elif optimised:
        build = "optimised with profiles" + (", LTO" if lto else "")
    else:
        build = "NOT optimised with profiles" + (", LTO" if lto else "")
    if told["threaded"]:
        build += ", free-threaded"
    return Interpreter(path, told["version"], told["implementation"], optimised, lto, build, round(told["loop_ns"], 1))


def command(path: str) -> list[str]:
    """The command that runs our server with this interpreter: with this installation, or with one made for it.

    One made for it is kept under the user's cache directory, by interpreter and version of the project.
    """
    if os.path.realpath(path) == os.path.realpath(sys.executable) and path == sys.executable:
        return [path, "-m", "kamailio_py.server"]
    places = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), str(_ROOT)]
    here = [path, "-c", _BOOT % list(dict.fromkeys(places))]
    if _works(here):
        return here
    made = _installed(path)
    if _works(made):
        return made
    raise InterpreterError(f"{path} cannot run kamailio-py, not even in a virtual environment of its own: {said(made)}")


def _works(command: list[str]) -> bool:
    return subprocess.run([*command, "-v"], capture_output=True, timeout=60).returncode == 0


def said(command: list[str]) -> str:
    """The last line the command says instead of its version."""
    asked = subprocess.run([*command, "-v"], capture_output=True, text=True, timeout=60)
    return (asked.stderr.strip() or asked.stdout.strip() or "it said nothing").splitlines()[-1]


def _installed(path: str) -> list[str]:
    from kamailio_py import __version__

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kambench"
    mark = hashlib.sha256(f"{os.path.realpath(path)} {_ROOT} {__version__}".encode()).hexdigest()[:12]
    folder = cache / f"venv-{mark}"
    python = folder / "bin" / "python"
    made = [str(python), "-m", "kamailio_py.server"]
    if python.exists() and _works(made):
        return made
    print(f"kambench: a virtual environment for {path} is made, {folder}", file=sys.stderr)
    source = ["-e", str(_ROOT)] if (_ROOT / "setup.cfg").exists() else [f"kamailio-py=={__version__}"]
    for step in (
        [path, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *source],
    ):
        done = subprocess.run(step, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise InterpreterError(f"{' '.join(step)} failed: {(done.stderr or done.stdout)[-500:]}")
    return made
