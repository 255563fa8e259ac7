"""kamshm top on a real server, driven by textual's own pilot: lists, keys, drilling down, a server that goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from kamailio_py.inspector.top import VIEWS, Top
from tests.kit.server import Server, our_command
from tests.kit.waiting import until
from tests.system.test_kamshm import CFG, MORE, Client, name_of, plain

SIZE = (160, 40)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Server, str]]:
    """A server with two suspended transactions and an answered one; the Call-ID of the first."""
    made = Server("kamshm", our_command(), CFG)
    (made.directory / "more.cfg").write_text(MORE)
    made.start()
    client = Client(made)
    first = client.send("INFO")
    until(lambda: plain(made, "tm", "stats")["states"]["suspended"] == 1)
    time.sleep(0.002)  # so that it is older
    client.send("INFO")
    client.ask("MESSAGE")
    until(lambda: plain(made, "tm", "stats")["states"]["suspended"] == 2)
    yield made, first
    made.stop()


def rows(app: Top) -> list[list[str]]:
    return [[str(cell) for cell in app.listed.get_row_at(number)] for number in range(app.listed.row_count)]


def text_of(app: Top, id: str) -> str:
    return str(app.screen.query_one(id, Static).render())


def drive(app: Top, steps: Any) -> None:
    async def run() -> None:
        async with app.run_test(size=SIZE) as pilot:
            await steps(pilot)

    asyncio.run(run())


def test_each_key_leads_to_its_list(server: tuple[Server, str]) -> None:
    running, first = server

    async def steps(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, Top)
        await pilot.pause()
        assert [row[1] for row in rows(app)][:2] == [
            "main process - attendant",
            f"udp receiver child=0 sock=127.0.0.1:{running.port}",
        ]
        sums = text_of(app, "#sums")
        assert name_of(running) in sums
        assert "2 suspended, 1 completed" in sums
        await pilot.press("s")
        await pilot.pause()
        assert len(rows(app)) == 2
        assert rows(app)[0][1:4] == ["suspended", "INFO", first]
        assert "route[LATER]" in rows(app)[0]
        await pilot.press("t")
        assert len(rows(app)) == 3
        await pilot.press("u")
        assert [row[0] for row in rows(app)] == ["async:default", "async:slow", "async"]
        await pilot.press("i")
        assert {row[0]: row[1] for row in rows(app)} == {"tm.fr": "2", "async": "2", "tm.wait": "1"}
        await pilot.press("l")
        assert "tm.locks" in [row[0] for row in rows(app)]
        await pilot.press("m")
        assert {row[0]: row[1] for row in rows(app)}["tm:cell"] == "3"

    drive(Top(name_of(running)), steps)


def test_enter_and_r_lead_to_all_of_a_transaction_and_back(server: tuple[Server, str]) -> None:
    running, first = server

    async def steps(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, Top)
        await pilot.press("s", "enter")
        await pilot.pause()
        shown = app.export_screenshot()
        for part in (first, "suspended", "armed", "failure_route"):
            assert part in shown
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        await pilot.press("r")
        await pilot.pause()
        assert "received" in app.export_screenshot()
        await pilot.press("escape", "p", "enter")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        await pilot.press("q")

    drive(Top(name_of(running)), steps)


def test_it_goes_on_by_itself_and_keeps_the_cursor(server: tuple[Server, str]) -> None:
    running, _ = server

    async def steps(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, Top)
        await pilot.press("t", "down", "down")
        assert app.listed.cursor_row == 2
        before = len(rows(app))
        Client(running).ask("REGISTER")
        for _ in range(200):
            await pilot.pause(0.05)
            if len(rows(app)) == before + 1:
                break
        assert len(rows(app)) == before + 1
        assert app.listed.cursor_row == 2
        assert "/s" in text_of(app, "#sums")

    drive(Top(name_of(running), 0.1), steps)


def test_a_server_that_is_gone_is_said(server: tuple[Server, str]) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, Top)
        await pilot.pause()
        assert "no instance not-there" in text_of(app, "#sums")
        await pilot.press(*"psuilmr")
        assert app.query_one("#list", DataTable).row_count == 0

    drive(Top("not-there"), steps)


def test_every_list_has_its_columns() -> None:
    assert all(view.columns and view.title for view in VIEWS.values())
