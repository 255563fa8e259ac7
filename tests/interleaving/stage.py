"""A stage: actors, each a forked process of one server, that move from one named point of the code to the next.

    stage = Stage(house)
    stage.actor("resume", lambda: house.tm.api.resume(index, label, entry))
    stage.actor("cancel", lambda: house.request("CANCEL", "a"))
    stage.play(["resume", "cancel", "resume"])

Between two points an actor runs alone; which one moves next is in the order given, and once that is used up those that
are left run to their end one after the other. `walk()` plays many orders, all of them or a seeded choice, and says by
which order something went wrong, to be written down as a test.

Every actor has its own virtual clock and its own list of what it sent; `stage.sent` has it all, in order.
"""

from __future__ import annotations

import marshal
import os
import random
import select
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from kit.cells import House

from kamailio_py import points

PATIENCE = 20.0
_HEAD = 5


class Hang(AssertionError):
    """An actor neither came to a point nor ended."""


class Actor:
    """One forked process, waiting at a point or before its start."""

    def __init__(self, stage: Stage, name: str, play: Callable[[], Any], slot: int) -> None:
        self.name = name
        self.at = "start"
        self.done = False
        self.result: Any = None
        orders, self._orders = os.pipe()
        self._news, news = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._orders)
            os.close(self._news)
            self._act(stage, play, slot, orders, news)
        os.close(orders)
        os.close(news)

    def _act(self, stage: Stage, play: Callable[[], Any], slot: int, orders: int, news: int) -> None:
        """The life of the child."""
        house = stage.house
        code = 0
        try:
            house.shm.processes.slot = slot
            house.shm.processes.enter(slot, self.name, 0)
            house.sent.clear()

            def tell(kind: str, what: Any) -> None:
                data = marshal.dumps((kind, what, [text for text, _ in house.sent]))
                house.sent.clear()
                os.write(news, len(data).to_bytes(_HEAD, "big") + data)

            def stop(point: str) -> None:
                if point.startswith(stage.watched):
                    tell("at", point)
                    if not os.read(orders, 1):
                        os._exit(3)

            os.read(orders, 1)
            points.set_hook(stop)
            try:
                tell("end", play())
            except Exception:
                tell("error", traceback.format_exc())
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            os._exit(code)

    def step(self) -> list[str]:
        """Let it run to its next point or its end; what it sent meanwhile."""
        os.write(self._orders, b"g")
        size = int.from_bytes(self._read(_HEAD), "big")
        kind, what, sent = marshal.loads(self._read(size))
        if kind == "at":
            self.at = what
        else:
            self.done = True
            self.result = what
            self.leave()
            if kind == "error":
                raise AssertionError(f"{self.name}: {what}")
        return sent

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            ready, _, _ = select.select([self._news], [], [], PATIENCE)
            if not ready:
                raise Hang(f"{self.name} hangs after {self.at}")
            piece = os.read(self._news, size - len(data))
            if not piece:
                raise Hang(f"{self.name} died after {self.at}")
            data += piece
        return data

    def leave(self) -> None:
        """End the process if it has not ended, and collect it."""
        for handle in (self._orders, self._news):
            if handle >= 0:
                os.close(handle)
        self._orders = self._news = -1
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0


class Stage:
    """See the head of the file."""

    def __init__(self, house: House, watched: tuple[str, ...] = ("tm.",)) -> None:
        self.house = house
        self.watched = watched
        self.cast: list[tuple[str, Callable[[], Any]]] = []
        self.sent: list[str] = []
        self.order: list[str] = []
        self.results: dict[str, Any] = {}

    def actor(self, name: str, play: Callable[[], Any]) -> None:
        self.cast.append((name, play))

    def play(self, order: list[str] | None = None, choose: Callable[[list[str]], str] | None = None) -> None:
        """Play one order: by `choose` among the names of those not done, or as listed and then to the end."""
        self.order = []
        self.sent = []
        self.results = {}
        listed = list(order or ())
        actors = {name: Actor(self, name, play, slot) for slot, (name, play) in enumerate(self.cast, 10)}
        try:
            while any(not actor.done for actor in actors.values()):
                alive = [name for name, actor in actors.items() if not actor.done]
                if choose is not None:
                    name = choose(alive)
                else:
                    name = next((n for n in [listed.pop(0)] if n in alive), "") if listed else alive[0]
                    if not name:
                        continue
                self.order.append(name)
                self.sent += actors[name].step()
        finally:
            for actor in actors.values():
                if actor.pid:
                    os.kill(actor.pid, 9)
                    actor.leave()
        self.results = {name: actor.result for name, actor in actors.items()}


def orders(limit: int, seed: int) -> Iterator[Callable[[list[str]], str]]:
    """`limit` different ways to choose: first those that let one run to its end, then seeded random ones.

    Runs that switch rarely find the coarse races, those that switch at every point the fine ones: both kinds come.
    """
    rng = random.Random(seed)
    for number in range(limit):
        stay = (0.0, 0.3, 0.6, 0.85)[number % 4]
        own = random.Random(rng.random())
        last: list[str] = []

        def choose(alive: list[str], own: random.Random = own, stay: float = stay, last: list[str] = last) -> str:
            if last and last[0] in alive and own.random() < stay:
                return last[0]
            last[:] = [own.choice(alive)]
            return last[0]

        yield choose


def every_order(play: Callable[[Callable[[list[str]], str]], None], limit: int = 400) -> int:
    """Call `play` with a way to choose for every order there is, depth first; the number of orders."""
    prefix: list[int] = []
    count = 0
    while True:
        taken: list[tuple[int, int]] = []

        def choose(alive: list[str], taken: list[tuple[int, int]] = taken, prefix: list[int] = prefix) -> str:
            at = len(taken)
            pick = prefix[at] if at < len(prefix) else 0
            taken.append((pick, len(alive)))
            return alive[pick]

        play(choose)
        count += 1
        if count >= limit:
            return count
        while taken and taken[-1][0] + 1 >= taken[-1][1]:
            taken.pop()
        if not taken:
            return count
        prefix = [pick for pick, _ in taken[:-1]] + [taken[-1][0] + 1]
