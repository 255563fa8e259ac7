"""Programs of others that tests need: where they are, and what becomes of a test where they are not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def program(name: str, *places: str) -> str:
    """Where a program is, on the path or in folders (glob patterns) besides.

    If it is nowhere the test is skipped, or fails with KAMAILIO_REQUIRED=1.
    """
    path = shutil.which(name)
    for pattern in places:
        path = path or next((str(p) for p in sorted(Path("/").glob(f"{pattern.lstrip('/')}/{name}"))), None)
    if path is None:
        missing(name)
    return path


def missing(what: str) -> NoReturn:
    """Skip the test for want of something, or fail it with KAMAILIO_REQUIRED=1."""
    if os.environ.get("KAMAILIO_REQUIRED") == "1":
        pytest.fail(f"KAMAILIO_REQUIRED=1, and there is no {what} on this machine")
    pytest.skip(f"needs {what} on this machine")
