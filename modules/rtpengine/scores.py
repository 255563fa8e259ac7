"""The scores rtpengine gives to the quality of media (MOS), and the pseudo-variables they go into.

What the answer to a delete or a query says of each source of media (SSRC) becomes the lowest, the highest and the
average score: of the whole call, and of the two sides whose labels `mos_A_label_pv` and `mos_B_label_pv` give.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Format, PVar

log = get_logger("rtpengine")

SIDES = ("", "_A", "_B")
PARTS = {
    "": "MOS",
    "_packetloss": "packet loss",
    "_jitter": "jitter",
    "_roundtrip": "round-trip time",
    "_roundtrip_leg": "round-trip time leg",
}
"""Part of a parameter's name -> key in the answer."""
SCORES = {"max": ("highest MOS", "_at"), "min": ("lowest MOS", "_at"), "average": ("average MOS", "_samples")}
"""Part of a parameter's name -> key in the answer, and the part that it has besides PARTS."""
MORE = {"_at": "reported at", "_samples": "samples"}
COUNTS = {"max": range(10_000), "min": range(1, 100), "average": range(1, 10_000)}
"""Which scores, in tenths, are any."""
SOURCES = 4
"""So many sources are looked at for one label."""


def score_params() -> Iterator[Param]:
    names = ["mos_A_label_pv", "mos_B_label_pv"]
    for score, (_, last) in SCORES.items():
        names += [f"mos_{score}{part}{side}_pv" for part in (*PARTS, last) for side in SIDES]
    for name in names:
        param = Param(str, name=name)
        param.attribute = name
        yield param


SCORE_PARAMS = {param.name: param for param in score_params()}


class Side:
    """The call, or one side of it: which pseudo-variables get its scores."""

    def __init__(self, module: Module, side: str) -> None:
        registry = module.core.registry
        self.targets: dict[str, list[tuple[str, PVar]]] = {}
        for score, (_, last) in SCORES.items():
            for part in (*PARTS, last):
                name = f"mos_{score}{part}{side}_pv"
                text = getattr(module, name)
                if not text:
                    continue
                try:
                    target = registry.pvar(text, True)
                except ValueError as error:
                    raise ModuleError(f"rtpengine: {name}: malformed PV string: {text} ({error})") from None
                if not target.writable:
                    raise ModuleError(f"rtpengine: {name}: {text} cannot be written")
                self.targets.setdefault(score, []).append((part, target))
        label = getattr(module, f"mos{side}_label_pv") if side else ""
        self._label: Format | None = registry.format(label) if label else None

    def fill(self, ctx: Context, answer: dict[str, Any]) -> None:
        """Put the scores of an answer where they are wanted; where it says nothing, nothing is changed."""
        wanted: set[int] | None = None
        if self._label is not None:
            wanted = labelled(answer, self._label.evaluate(ctx))
            if not wanted:
                return
        sources = answer.get("SSRC")
        if not isinstance(sources, dict):
            return
        of_source = [data for ssrc, data in sources.items() if wanted is None or _number(ssrc) in wanted]
        created = _int(answer, "created", 0)
        for score, targets in self.targets.items():
            key = SCORES[score][0]
            said = [data[key] for data in of_source if isinstance(data, dict) and isinstance(data.get(key), dict)]
            said = [one for one in said if _int(one, "MOS", -1) in COUNTS[score]]
            for part, target in targets if said else ():
                target.set(ctx, shown(score, part, said, created))


class Scores:
    """What of an answer goes into pseudo-variables; false where no parameter asks for it."""

    def __init__(self, module: Module) -> None:
        self._sides = [side for side in (Side(module, suffix) for suffix in SIDES) if side.targets]

    def __bool__(self) -> bool:
        return bool(self._sides)

    def fill(self, ctx: Context, answer: dict[str, Any]) -> None:
        for side in self._sides:
            side.fill(ctx, answer)


def labelled(answer: dict[str, Any], label: str) -> set[int]:
    """The SSRCs of the first stream of each media of those who carry this label."""
    found: list[int] = []
    tags = answer.get("tags")
    for tag in tags.values() if isinstance(tags, dict) else ():
        if not isinstance(tag, dict) or tag.get("label") != label:
            continue
        for media in _list(tag, "medias"):
            streams = _list(media, "streams") if isinstance(media, dict) else []
            ssrc = _int(streams[0], "SSRC", -1) if streams and isinstance(streams[0], dict) else -1
            if ssrc != -1:
                found.append(ssrc)
    return set(found[:SOURCES])


def shown(score: str, part: str, said: list[dict[str, Any]], created: int) -> str:
    """A number as the pseudo-variable gets it; `said` are the scores of each source."""
    key = PARTS.get(part) or MORE[part]
    if score == "average":
        total = sum(_int(one, key, -1) for one in said)
        value = _quotient(total, len(said))
    else:
        extreme = max if score == "max" else min
        value = _int(extreme(said, key=lambda one: one["MOS"]), key, -1)
    if part == "":
        return f"{value // 10}.{value % 10}"
    if part == "_at":
        seconds = value - created
        return f"{_quotient(seconds, 60)}:{abs(seconds) % 60:02d}"
    return str(value)


def _quotient(value: int, by: int) -> int:
    """Rounded to zero, as C divides."""
    return -(-value // by) if value < 0 else value // by


def _int(data: dict[str, Any], key: str, default: int) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else default


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else []


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
