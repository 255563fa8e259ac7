"""Serial forking by q: the contacts of a request, put aside in XAVPs and taken up again a group at a time.

t_load_contacts() moves the request-URI and all branches into the XAVP `contacts_avp` names, best first;
t_next_contacts() makes those of the highest q the request-URI and branches again. Of several contacts of one instance
(RFC 5626 flows) only the first is tried; the others wait in `contact_flows_avp` until a branch to that instance fails.
What the script knows of each contact, one value of the XAVP `xavp_contact` each, goes with it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.sip.branch import Branch as Place

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("tm")

LAST_OF_GROUP = 4
"""q_flag of the last contact of a group with the same q."""
NO_MORE = -2
PROPORTIONAL = 1


def places_of(msg: Message) -> list[Place]:
    """The request-URI and the branches of a message as places."""
    first = Place(
        msg.uri, msg.dst_uri, msg.path, msg.q, msg.branch_flags, msg.force_socket, msg.ruid, msg.location_ua,
        msg.instance, msg.reg_id,
    )  # fmt: skip
    return [first, *msg.branches]


def quality(place: Place) -> int:
    """Contacts without a q come last."""
    return -1 if place.q is None else place.q


def in_order(places: list[Place], mode: int, rng: random.Random) -> list[tuple[Place, int]]:
    """Places in the order they are tried, each with its q_flag."""
    if mode == PROPORTIONAL:
        left, drawn = list(places), []
        while left:
            weights = [max(quality(place), 0) for place in left]
            pick = rng.choices(range(len(left)), weights if any(weights) else None)[0]
            drawn.append((left.pop(pick), LAST_OF_GROUP))
        return drawn
    ordered = sorted(places, key=quality)[::-1]
    following = [*ordered[1:], None]
    return [
        (place, LAST_OF_GROUP if after is not None and quality(after) != quality(place) else 0)
        for place, after in zip(ordered, following, strict=True)
    ]


class Contacts:
    """The XAVPs, by the names the parameters give."""

    def __init__(self, core: Core, contacts: str, flows: str, attributes: str) -> None:
        self.core = core
        self.contacts = contacts
        self.flows = flows
        self.attributes = attributes

    def load(self, ctx: Context, mode: int) -> int:
        """Put all contacts of the message aside; 1, also where there is only one."""
        if not self.contacts:
            log.err("feature disabled - contacts_avp xavp name not set")
            return -1
        msg = ctx.msg
        if not msg.branches:
            return 1
        places = places_of(msg)
        known = ctx.xavps.pop(self.attributes, []) if self.attributes else []
        of_place = {id(place): value for place, value in zip(places, known, strict=False)}
        records = []
        for place, flag in in_order(places, mode, self.core.random):
            record = self._record(place, flag)
            if id(place) in of_place:
                record[self.attributes] = [of_place[id(place)]]
            records.append(record)
        ctx.xavps[self.contacts] = records
        msg.branches = []
        return 1

    def next(self, ctx: Context) -> int:
        """Make the next group the request-URI and branches; -2 when there is none."""
        if not self.contacts:
            log.err("feature disabled - contacts_avp xavp name not set")
            return -1
        waiting = ctx.xavps.get(self.contacts)
        if not waiting:
            return NO_MORE
        msg = ctx.msg
        used = 0
        seen = set()
        while waiting:
            record = waiting.pop(0)
            place = self._place(record)
            if place.instance and place.instance in seen:
                ctx.xavps.setdefault(self.flows, []).append(record)
            else:
                seen.add(place.instance)
                self._take_attributes(ctx, record, used)
                msg.branches.append(place) if used else self._use(msg, place)
                used += 1
            if record["q_flag"][0] == LAST_OF_GROUP:
                break
        if not waiting:
            del ctx.xavps[self.contacts]
        return 1

    def next_flow(self, ctx: Context, instance: str) -> int:
        """Make another flow to the instance of the branch that failed the request-URI; -2 when there is none."""
        waiting = ctx.xavps.get(self.flows, [])
        for position, record in enumerate(waiting):
            place = self._place(record)
            if place.instance == instance:
                del waiting[position]
                if not waiting:
                    del ctx.xavps[self.flows]
                self._take_attributes(ctx, record, 0)
                self._use(ctx.msg, place)
                return 1
        return NO_MORE

    def _take_attributes(self, ctx: Context, record: dict[str, list[Any]], position: int) -> None:
        """What is known of a contact goes back to where the script had it, before what is there."""
        kept = record.pop(self.attributes, None)
        if kept:
            ctx.xavps.setdefault(self.attributes, []).insert(position, kept[0])

    @staticmethod
    def _record(place: Place, flag: int) -> dict[str, list[Any]]:
        """The fields Kamailio gives a contact."""
        record: dict[str, list[Any]] = {"uri": [place.uri], "q_flag": [flag]}
        if place.dst_uri:
            record["dst_uri"] = [place.dst_uri]
        if place.path:
            record["path"] = [place.path]
        if place.force_socket is not None:
            record["sock"] = [str(place.force_socket)]
        if place.flags:
            record["flags"] = [place.flags]
        if place.instance:
            record["instance"] = [place.instance]
        if place.ruid:
            record["ruid"] = [place.ruid]
        if place.location_ua:
            record["ua"] = [place.location_ua]
        return record

    def _place(self, record: dict[str, list[Any]]) -> Place:
        def get(name: str, default: Any = None) -> Any:
            return record.get(name, [default])[0]

        socket = None
        if get("sock"):
            socket = next((s for s in self.core.sockets if str(s) == get("sock")), None)
        return Place(
            get("uri"), get("dst_uri"), get("path"), None, get("flags", 0), socket, get("ruid", ""), get("ua", ""),
            get("instance", ""),
        )  # fmt: skip

    @staticmethod
    def _use(msg: Message, place: Place) -> None:
        """Make a place the request-URI of the message."""
        msg.new_uri = place.uri
        msg.dst_uri = place.dst_uri
        msg.path = place.path
        msg.branch_flags = place.flags
        msg.force_socket = place.force_socket or msg.force_socket
        msg.ruid, msg.location_ua, msg.instance = place.ruid, place.location_ua, place.instance
