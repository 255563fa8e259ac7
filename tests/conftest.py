"""Makes tests/kit importable as `kit`, the pair of servers that differential tests run on, networks of their own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kit import namespace
from kit.room import Pairs

from kamailio_py.log import settings as logging


@contextlib.contextmanager
def logging_as_before() -> Iterator[None]:
    """A server in the test's own process sets how that logs; the next test finds it as it was."""
    before = {name: getattr(logging, name) for name in logging.__slots__}
    yield
    for name, value in before.items():
        setattr(logging, name, value)


@pytest.fixture(scope="module", autouse=True)
def logging_of_the_file() -> Iterator[None]:
    with logging_as_before():
        yield


@pytest.fixture(autouse=True)
def logging_of_the_test() -> Iterator[None]:
    with logging_as_before():
        yield


@pytest.fixture(scope="session")
def pairs() -> Iterator[Pairs]:
    servers = Pairs()
    yield servers
    servers.close()


_outcomes = namespace.Outcomes()


def _runs_elsewhere(item: pytest.Item) -> bool:
    """A test that needs a network of its own runs in another pytest; here it becomes what it became there."""
    return not namespace.inside() and item.get_closest_marker("own_network") is not None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and _runs_elsewhere(item):
        item.fixturenames.clear()  # they are made where it runs


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not _runs_elsewhere(pyfuncitem):
        return None
    _outcomes.report(pyfuncitem)
    return True


def pytest_configure(config: pytest.Config) -> None:
    if namespace.inside():
        namespace.loopback_up()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if namespace.inside():
        namespace.write_outcome(report)
