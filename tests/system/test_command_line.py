"""Every option that `kamailio -h` lists is taken as kamailio takes it; what is wrong is refused with 255."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kit.server import our_command

CFG = """#!KAMAILIO
#!ifdef WITH_PORT
listen=udp:127.0.0.1:WITH_PORT
#!else
listen=udp:127.0.0.1:5070
#!endif
loadmodule "sl.so"
loadmodule "pv.so"
request_route { sl_send_reply("200", "word"); }
"""


def run(tmp_path: Path, *options: str, cfg: str = CFG) -> subprocess.CompletedProcess[str]:
    """`kamailio-py -f cfg -c options...`"""
    path = tmp_path / "test.cfg"
    path.write_text(cfg)
    command = [*our_command(), "-f", str(path), "-c", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    "options",
    [
        "-a no", "-a yes", "--alias=example.test", "--alias=udp:example.test:5060", "--atexit=no", "-A X -A Y=1",
        "-b 300000",
        "-d", "-ddd", "--debug=2", "-D", "-DD", "-DDD", "-e", "-E", "-g 0", "-G pgid", "-K", "-l 127.0.0.1",
        "-l udp:127.0.0.1:5080", "-l udp:127.0.0.1:5080/1.2.3.4:5060", "-l (127.0.0.1,127.0.0.2):5065", "-l lo:5062",
        "--loadmodule=xlog", "--log-engine=json:x", "-L /tmp", "-m 32", "--modparam=sl:default_code:i:480",
        "--modparam=sl:default_reason:s:later", "-M 8", "-n 3", "-N 2", "-O 1", "-P pid", "-Q 2", "-r", "-R", "-rR",
        "--server-id=7", "--subst=/word/other/", "--substdef=!A!b!g", "--substdefs=!A!b!g", "-S", "-t /", "-T", "-u 0",
        "-x fm", "-X qm", "-Y run", "-w /tmp", "-W poll", "--no-respawn", "--keep-crashed", "--strict",
    ],
)  # fmt: skip
def test_accepted(tmp_path: Path, options: str) -> None:
    done = run(tmp_path, *options.split(" "))
    assert (done.returncode, "config file ok, exiting..." in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-Z", "Unknown option '-Z'. Use -h for help."),
        ("-f", "Option '-f' requires an argument. Use -h for help."),
        ("-m many", "bad number: -m many"),
        ("-n x", "bad number: -n x"),
        ("--debug=loud", "bad number: --debug loud"),
        ("--modparam=sl:default_code", "invalid modparam option"),
        ("--modparam=sl:nothing:i:1", "nothing"),
        ("--loadmodule=nothing", "failed to load module"),
        ("-l udp:127.0.0.1:port", ""),
        ("stray", "stray"),
    ],
)
def test_refused(tmp_path: Path, options: str, words: str) -> None:
    done = run(tmp_path, *options.split(" "))
    assert done.returncode == 255
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        (["-A", "WITH_PORT=5099"], "udp: 127.0.0.1:5099"),
        (["-l", "udp:127.0.0.1:5081"], "udp: 127.0.0.1:5081"),
        (["-l", "udp:127.0.0.1:5081"], "udp: 127.0.0.1:5070"),
        (["--alias=udp:example.test:5060"], "udp: example.test:5060"),
        (["-a", "no"], "Aliases: \n\n"),
    ],
)
def test_effect_on_addresses(tmp_path: Path, options: list[str], printed: str) -> None:
    assert printed in run(tmp_path, *options).stdout


@pytest.mark.parametrize(("options", "text"), [(["--subst=/word/other/"], "other"), ([], "word")])
def test_subst_changes_strings(tmp_path: Path, options: list[str], text: str) -> None:
    assert f"'{text}'" in run(tmp_path, "--python", *options).stdout


def test_unused_options_say_so_at_debug_level(tmp_path: Path) -> None:
    done = run(tmp_path, "-x", "fm", "--debug=3")
    assert "option -x is accepted and has no effect" in done.stderr


def test_the_config_is_printed_after_includes_and_ifdefs(tmp_path: Path) -> None:
    printed = run(tmp_path, "--cfg-print", "-A", "WITH_PORT=5099").stdout
    assert "listen=udp:127.0.0.1:WITH_PORT" in printed
    assert "5070" not in printed


@pytest.mark.parametrize("option", ["-h", "--help", "-v", "-V", "--version", "-I"])
def test_texts(option: str) -> None:
    done = subprocess.run([*our_command(), option], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0
    assert "kamailio 5.6.3" in done.stdout


def test_strict_refuses_what_is_otherwise_a_warning(tmp_path: Path) -> None:
    cfg = CFG.replace("request_route {", "request_route { exit;")
    accepted, refused = run(tmp_path, cfg=cfg), run(tmp_path, "--strict", cfg=cfg)
    assert (accepted.returncode, refused.returncode) == (0, 255)
    assert "never reached" in accepted.stderr
    assert "never reached" in refused.stderr
