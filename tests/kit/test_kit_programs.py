"""Programs that a machine may lack: tests are skipped, or fail where everything is required."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.programs import program


def test_found_on_the_path_or_in_other_folders(tmp_path: Path) -> None:
    (tmp_path / "1.2").mkdir()
    (tmp_path / "1.2" / "only-here").touch()
    assert program("sh").endswith("/sh")
    assert program("only-here", "/nowhere", f"{tmp_path}/*") == f"{tmp_path}/1.2/only-here"


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_one_that_is_nowhere(monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]) -> None:
    monkeypatch.setenv("KAMAILIO_REQUIRED", required)
    with pytest.raises(outcome, match="no-such-program"):
        program("no-such-program", "/usr/*/nowhere")
