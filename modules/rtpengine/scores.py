"""Parameters that name where scores of the media's quality would go: accepted, and nothing is put there."""

from __future__ import annotations

from collections.abc import Iterator

from kamailio_py.config.without_effect import NOT_YET
from kamailio_py.module import Param


def score_params() -> Iterator[Param]:
    """Where scores of the media's quality would go: accepted, and nothing is put there."""
    names = ["mos_A_label_pv", "mos_B_label_pv"]
    for score, last in (("min", "_at"), ("max", "_at"), ("average", "_samples")):
        for part in ("", "_packetloss", "_jitter", "_roundtrip", "_roundtrip_leg", last):
            names += [f"mos_{score}{part}{side}_pv" for side in ("", "_A", "_B")]
    for name in names:
        param = Param(str, name=name, unused=NOT_YET)
        param.attribute = name
        yield param


SCORES = {param.name: param for param in score_params()}
