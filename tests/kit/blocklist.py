"""The list of blocked destinations of a scene's server: noted as dst_blocklist.debug shows it, and emptied."""

from __future__ import annotations

from .agent import Agent
from .kamcmd import kamcmd
from .scene import Scene


def note_blocked(s: Scene, *agents: Agent) -> None:
    """Note who is on it, over what, for how many seconds (to the next five) and why; only these agents should be."""
    names = {str(agent.port): agent.name for agent in agents}
    said = kamcmd(s.server.ctl, "dst_blocklist.debug").split()
    entries = [said[at : at + 5] for at in range(0, len(said) - 4, 5)]  # protocol, address, port, seconds, flags
    s.note(f"blocked {sorted((names.get(e[2], e[2]), e[0], (int(e[3]) + 3) // 5 * 5, e[4]) for e in entries)}")


def unblock(s: Scene) -> None:
    """Let all of them be reached again."""
    kamcmd(s.server.ctl, "dst_blocklist.delete_all")
