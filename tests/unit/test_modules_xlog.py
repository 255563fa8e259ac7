"""The xlog module: what is printed at which level, and what is not even evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.local import Local
from kit.requests import request

from kamailio_py import log
from kamailio_py.engine.boot import ConfigRejected
from kamailio_py.log import Level
from kamailio_py.module import ModuleError

OPTIONS = request()


@pytest.fixture(autouse=True)
def restore_log() -> Iterator[None]:
    level, colour, colours = log.settings.level, log.settings.colour, dict(log._COLOURS)
    yield
    log.settings.level, log.settings.colour = level, colour
    log._COLOURS.clear()
    log._COLOURS.update(colours)


def lines(
    capfd: pytest.CaptureFixture[str], actions: str, params: str = "", debug: int = 2, blocks: str = ""
) -> list[str]:
    """What the script prints, without the process's prefix."""
    cfg = f'debug={debug}\nloadmodule "xlog"\nloadmodule "pv"\n{params}\nrequest_route {{ {actions} }}\n{blocks}'
    with Local(cfg) as server:
        capfd.readouterr()
        server.inject(OPTIONS)
    return [line.split(") ", 1)[1] for line in capfd.readouterr().err.splitlines()]


def test_each_level_has_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    printed = lines(
        capfd,
        """xalert("a\\n"); xbug("b\\n"); xcrit("c\\n"); xerr("e\\n"); xwarn("w\\n"); xnotice("n\\n"); xinfo("i\\n");
           xdbg("d\\n"); xlog("plain\\n"); xlog("L_NOTICE", "level\\n");
           xlog("LOG_LOCAL1", "L_WARN", "facility\\n");""",
    )
    assert printed == [
        "ALERT: <script>: a", "BUG: <script>: b", "CRITICAL: <script>: c", "ERROR: <script>: e", "WARNING: <script>: w",
        "NOTICE: <script>: n", "INFO: <script>: i", "ERROR: <script>: plain", "NOTICE: <script>: level",
        "WARNING: <script>: facility",
    ]  # fmt: skip


def test_only_the_third_character_of_a_level_counts(capfd: pytest.CaptureFixture[str]) -> None:
    assert lines(capfd, 'xlog("L_ERROR", "a"); xlog("xxW", "b");') == ["ERROR: <script>: a", "WARNING: <script>: b"]


def test_level_in_a_variable(capfd: pytest.CaptureFixture[str]) -> None:
    printed = lines(
        capfd,
        """$var(l) = 1; xlog("$var(l)", "notice\\n"); $var(l) = 3; xlog("$var(l)", "debug\\n");
           $var(l) = "x"; $var(r) = xlog("$var(l)", "none\\n"); xlog("r=$var(r)\\n");""",
    )
    assert printed[0] == "NOTICE: <script>: notice"
    assert "invalid log level value [4]" in printed[1]
    assert printed[2:] == ["ERROR: <script>: r=-1"]


def test_what_is_not_printed_is_not_evaluated(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kamailio_py.script.pvars import Format

    evaluated = []
    evaluate = Format.evaluate
    monkeypatch.setattr(Format, "evaluate", lambda self, ctx: evaluated.append(1) or evaluate(self, ctx))
    lines(capfd, 'xdbg("$rm"); xlog("L_DBG", "$rm"); xdbgl("$rm"); xlogm("L_ERR", "$rm");')
    assert evaluated == []
    lines(capfd, 'xinfo("$rm");')
    assert evaluated == [1]


def test_cfg_line_in_long_format(capfd: pytest.CaptureFixture[str]) -> None:
    actions = '\nxlogl("one\\n"); xlogl("L_WARN", "two\\n"); xlogl("LOG_USER", "L_INFO", "three\\n");'
    assert lines(capfd, actions) == ["ERROR: <script>: 7:one", "WARNING: <script>: 7:two", "INFO: <script>: 7:three"]
    long = lines(capfd, 'xlogl("one\\n");', 'modparam("xlog", "long_format", 1)')
    assert long[0].endswith(".cfg:6:one")


def test_prefix_with_pseudo_variables(capfd: pytest.CaptureFixture[str]) -> None:
    params = 'modparam("xlog", "prefix", "<$rm>")'
    assert lines(capfd, 'xlog("a");', params) == ["ERROR: <$rm>a"]
    params += '\nmodparam("xlog", "prefix_mode", 1)'
    assert lines(capfd, 'xlog("a"); xlogl("b");', params) == ["ERROR: <OPTIONS>a", "ERROR: <$rm>7:b"]


def test_text_too_long_for_the_buffer(capfd: pytest.CaptureFixture[str]) -> None:
    printed = lines(capfd, 'xlog("12345678901"); xlog("$rc");', 'modparam("xlog", "buf_size", 10)')
    assert "buffer overflow -- increase the buffer size" in printed[0]
    assert printed[1:] == ["ERROR: <script>: -1"]


@pytest.mark.parametrize(("mask", "printed"), [(-1, []), (512, []), (2, ["ERROR: <script>: OPTIONS"])])
def test_methods_filter(capfd: pytest.CaptureFixture[str], mask: int, printed: list[str]) -> None:
    assert lines(capfd, 'xlogm("L_ERR", "$rm");', f'modparam("xlog", "methods_filter", {mask})') == printed


def test_colours_of_the_script(capfd: pytest.CaptureFixture[str]) -> None:
    [line] = lines(capfd, 'xlog("$C(rg)a$C(Bx)b$C(xx)");')
    assert line == "ERROR: <script>: \033[0;31;42ma\033[1;34;49mb\033[0;39;49m"


def test_no_colours_in_syslog_unless_forced() -> None:
    for forced, code in ((0, ""), (1, "\033[0;31;42m")):
        cfg = f'loadmodule "xlog"\nmodparam("xlog", "force_color", {forced})\nrequest_route {{ ; }}'
        with Local(cfg) as server:
            text = server.core.registry.format("$C(rg)")
            log.settings.stderr = False
            try:
                assert text.evaluate(server.core.faked_context()) == code
            finally:
                log.settings.stderr = True


def test_log_colors(capfd: pytest.CaptureFixture[str]) -> None:
    with Local('loadmodule "xlog"\nmodparam("xlog", "log_colors", "L_ERR=cr;l_info=Bx;")\nrequest_route { ; }'):
        assert log._COLOURS[Level.ERR] == "\033[0;36;41m"
        assert log._COLOURS[Level.INFO] == "\033[1;34;49m"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('request_route { xlog("L_FOO", "x"); }', "unknown log level"),
        ('request_route { xlog("X", "x"); }', "wrong log level"),
        ('request_route { xlog("LOG_FOO", "L_ERR", "x"); }', "invalid syslog facility LOG_FOO"),
        ('request_route { xlog("$C(r)"); }', "color name must have two chars"),
        ('request_route { xlog("$C(qx)"); }', "invalid color name"),
        ('modparam("xlog", "log_colors", "L_FOO=cr")\nrequest_route { ; }', "Can't set module parameter"),
        ('modparam("xlog", "log_colors", "L_ERR=c")\nrequest_route { ; }', "Can't set module parameter"),
    ],
)
def test_mistakes_of_the_cfg_author(config: str, words: str) -> None:
    with pytest.raises(ConfigRejected) as caught:
        Local(f'loadmodule "xlog"\n{config}')
    assert words in str(caught.value.errors[0])


def test_unknown_facility_stops_the_start() -> None:
    with pytest.raises(ModuleError, match="invalid syslog facility LOG_FOO"):
        Local('loadmodule "xlog"\nmodparam("xlog", "log_facility", "LOG_FOO")\nrequest_route { ; }')
