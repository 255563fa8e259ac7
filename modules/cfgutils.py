"""The cfgutils module: randomness, waiting, flags and locks that all processes share.

Global flags and the probability are two words in shared memory, written by one store each; the locks are those of a
set of its own, which a script takes by any text. What a script locks, any process may unlock.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, STR, Fixup
from kamailio_py.config.nodes import RouteKind
from kamailio_py.log import Level, get_logger
from kamailio_py.module import Module, ModuleError, Param, RpcFault, function, pvar, rpc
from kamailio_py.shm.records import Record, u64
from kamailio_py.sip.hash import case_hash, core_hash

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner
    from kamailio_py.shm.locks import Lock

log = get_logger("cfgutils")

LARGEST_SET = 14
INVALID = (500, "Invalid Parameters")


class Shared(Record):
    """What all processes share."""

    probability = u64("percentage of rand_event()")
    flags = u64("global flags, 32 bits")


def probability(text: str) -> int:
    if not text.lstrip("-").isdecimal():
        raise ValueError(f"bad number <{text}>")
    number = int(text) & 0xFFFFFFFF if int(text) >= 0 else 0
    if number > 100:
        log.err(f"invalid probability <{number}>")
        raise ValueError(f"invalid probability <{number}>")
    return number


def flag_number(text: str) -> int:
    if not text.isdecimal():
        log.err(f"bad number <{text}>")
        raise ValueError(f"bad number <{text}>")
    if int(text) > 31:
        log.err(f"flag <{text}> out of range [0..31]")
        raise ValueError(f"flag <{text}> out of range [0..31]")
    return 1 << int(text)


PROBABILITY = Fixup("probability", prepare=probability)
FLAG = Fixup("flag", prepare=flag_number)


class Cfgutils(Module):
    """Randomness, waiting, shared flags and locks."""

    name = "cfgutils"

    initial_probability = Param(int, 10)
    initial_gflags = Param(int, 0)
    hash_file = Param(str)
    lock_set_size = Param(int, 0)

    def mod_init(self) -> None:
        self.config_hash = self._hash_config()
        if not 0 <= self.initial_probability <= 100:
            raise ModuleError(f"invalid probability <{self.initial_probability}>")
        shared = self.core.shm.reserve("cfgutils", "records", Shared.SIZE, Shared)
        self._words = self.core.shm.u64
        self._probability = (shared + Shared.probability) >> 3
        self._flags = (shared + Shared.flags) >> 3
        self._words[self._probability] = self.initial_probability
        self._words[self._flags] = self.initial_gflags & 0xFFFFFFFF
        self._locks: list[Lock] = []
        if self.lock_set_size > 0:
            if self.lock_set_size > LARGEST_SET:
                log.warn(f"lock set size too large ({self.lock_set_size}), making it {LARGEST_SET}")
            self._locks = self.core.shm.locks("cfgutils.locks", 1 << min(self.lock_set_size, LARGEST_SET))

    def _hash_config(self) -> str:
        """MD5 of `hash_file`, "" when there is none."""
        if not self.hash_file:
            log.info("no hash_file given, disable hash functionality")
            return ""
        try:
            found = hashlib.md5(Path(self.hash_file).read_bytes()).hexdigest()
        except OSError:
            log.err(f"could not stat file {self.hash_file}")
            raise ModuleError("could not hash the config file") from None
        log.info(f"config file hash is {found}")
        return found

    # randomness

    @function("rand_event")
    def rand_event(self, ctx: Context) -> int:
        """True with the probability that was set."""
        chance = self._words[self._probability]
        if chance == 0:
            return -1
        return 1 if chance == 100 or self.core.random.random() * 100 < chance else -1

    @function("rand_set_prob", PROBABILITY)
    def rand_set_prob(self, ctx: Context, percent: int) -> int:
        self._words[self._probability] = percent
        return 1

    @function("rand_reset_prob")
    def rand_reset_prob(self, ctx: Context) -> int:
        self._words[self._probability] = self.initial_probability
        return 1

    @function("rand_get_prob")
    def rand_get_prob(self, ctx: Context) -> int:
        return self._words[self._probability]

    @pvar("RANDOM", type="int", inner=False)
    def random(self, inner: Inner) -> Getter:
        """$RANDOM: a number between 0 and 2147483647."""
        draw = self.core.random.getrandbits
        return lambda ctx: draw(31)

    # waiting

    @function("sleep", INT)
    def sleep(self, ctx: Context, seconds: int) -> int:
        """Let this process sleep."""
        time.sleep(seconds & 0xFFFFFFFF)
        return 1

    @function("usleep", INT)
    def usleep(self, ctx: Context, microseconds: int) -> int:
        time.sleep((microseconds & 0xFFFFFFFF) / 1e6)
        return 1

    # global flags

    @function("set_gflag", FLAG)
    def set_gflag(self, ctx: Context, flag: int) -> int:
        self._words[self._flags] |= flag
        return 1

    @function("reset_gflag", FLAG)
    def reset_gflag(self, ctx: Context, flag: int) -> int:
        self._words[self._flags] &= ~flag
        return 1

    @function("is_gflag", FLAG)
    def is_gflag(self, ctx: Context, flag: int) -> int:
        return 1 if self._words[self._flags] & flag else -1

    # RPC; flags are given as bits there

    @rpc("cfgutils.set_gflag", "d", "Sets global flags: the sum of their bits.", missing=INVALID)
    def rpc_set_gflag(self, call: Call, flags: int) -> None:
        self._words[self._flags] |= flags & 0xFFFFFFFF

    @rpc("cfgutils.reset_gflag", "d", "Resets global flags: the sum of their bits.", missing=INVALID)
    def rpc_reset_gflag(self, call: Call, flags: int) -> None:
        self._words[self._flags] &= ~(flags & 0xFFFFFFFF)

    @rpc("cfgutils.is_gflag", "d", "Whether all of these global flags are set.", missing=INVALID)
    def rpc_is_gflag(self, call: Call, flags: int) -> str:
        wanted = flags & 0xFFFFFFFF
        return "TRUE" if self._words[self._flags] & wanted == wanted else "FALSE"

    @rpc("cfgutils.get_gflags", "", "The global flags.")
    def rpc_get_gflags(self, call: Call) -> str:
        flags = self._words[self._flags]
        return f"0x{flags:X} ({flags})"

    @rpc("cfgutils.rand_set_prob", "d", "Sets the probability of rand_event(), in percent.", missing=INVALID)
    def rpc_rand_set_prob(self, call: Call, percent: int) -> None:
        if not 0 <= percent <= 100:
            log.err(f"incorrect probability <{percent}>")
            raise RpcFault(500, "Invalid Percent")
        self._words[self._probability] = percent

    @rpc("cfgutils.rand_reset_prob", "", "Sets the probability of rand_event() to what it was at the start.")
    def rpc_rand_reset_prob(self, call: Call) -> None:
        self._words[self._probability] = self.initial_probability

    @rpc("cfgutils.rand_get_prob", "", "The probability of rand_event().")
    def rpc_rand_get_prob(self, call: Call) -> str:
        return f"actual probability: {self._words[self._probability]} percent"

    @rpc("cfgutils.get_config_hash", "", "MD5 of the file `hash_file` as it was at the start.")
    def rpc_get_config_hash(self, call: Call) -> str:
        return self.config_hash

    @rpc("cfgutils.check_config_hash", "", "Whether the file `hash_file` is still what it was.")
    def rpc_check_config_hash(self, call: Call) -> str:
        if not self.hash_file:
            raise RpcFault(500, "No hash file")
        try:
            now = hashlib.md5(Path(self.hash_file).read_bytes()).hexdigest()
        except OSError:
            raise RpcFault(500, "Failed to hash the file") from None
        return "Identical hash" if now == self.config_hash else "Different hash"

    # locks

    @function("lock", STR)
    def lock(self, ctx: Context, key: str) -> int:
        """Wait for the lock that this text stands for."""
        lock = self._lock_of(key, 0)
        if lock is None:
            return -1
        lock.acquire()
        return 1

    @function("unlock", STR)
    def unlock(self, ctx: Context, key: str) -> int:
        lock = self._lock_of(key, 1)
        if lock is None:
            return -1
        if lock.holder >= 0:
            lock.release()
        return 1

    @function("trylock", STR)
    def trylock(self, ctx: Context, key: str) -> int:
        """Take the lock if nobody has it."""
        lock = self._lock_of(key, 2)
        return 1 if lock is not None and lock.attempt() else -1

    def _lock_of(self, key: str, operation: int) -> Lock | None:
        if not self._locks:
            log.err(f"lock set not initialized (attempt to do op: {operation} on: {key}) - see param lock_set_size")
            return None
        return self._locks[case_hash(key, "", len(self._locks))]

    # routes

    @function("check_route_exists", STR)
    def check_route_exists(self, ctx: Context, name: str) -> int:
        return 1 if self.core.program.find(RouteKind.REQUEST, name) is not None else -1

    @function("route_if_exists", STR)
    def route_if_exists(self, ctx: Context, name: str) -> int:
        """Run the route if there is one of that name; its result."""
        entry = self.core.program.find(RouteKind.REQUEST, name)
        return -1 if entry is None else entry.call(ctx)

    # the rest

    @function("core_hash", STR, STR, INT)
    def core_hash(self, ctx: Context, first: str, second: str, size: int) -> int:
        """Hash of one or two texts, from 1 to two to the power of `size` (2 if that is not positive)."""
        return core_hash(first, second, 1 << (size & 31) if size > 0 else 2) + 1

    @function("abort")
    def abort(self, ctx: Context) -> int:
        """End this process at once, with SIGABRT."""
        log.crit("abort called")
        os.abort()

    @function("pkg_status")
    @function("pkg_summary")
    def pkg_status(self, ctx: Context) -> int:
        """Private memory is Python's own here: nothing to say."""
        return 1

    @function("shm_status")
    @function("shm_summary")
    def shm_status(self, ctx: Context) -> int:
        """Log how shared memory is used, by owner, where `memlog` lets it through."""
        if log.enabled(max(int(self.core.cfg.memlog), Level.NONE)):
            arena = self.core.shm.arena
            log.alert(f"shared memory: total {arena.total}, used {arena.used}, largest use {arena.peak}")
            for owner, (blocks, size) in arena.by_owner().items():
                log.alert(f"shared memory of {owner}: {blocks} blocks, {size} bytes")
        return 1
