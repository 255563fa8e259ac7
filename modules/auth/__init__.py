"""The auth module: digest authentication of requests, with passwords that the script or another module has.

Lives here: finding credentials, checking them, challenging. Nonces are made and read in nonce.py, what is remembered of
them lies in shared memory (in_flight.py). Which credentials were used is noted for $Au and consume_credentials().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kamailio_py.config.arguments import FIRST, INT, PVAR, STR, VALUE
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import SAME
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, function
from kamailio_py.modules.auth.in_flight import InFlight, Verdict, power_of_two
from kamailio_py.modules.auth.nonce import COUNTED, ONE_TIME, POOL, Check, Nonces
from kamailio_py.sip import digest
from kamailio_py.sip.digest import ALGORITHMS, Credentials, parse_credentials
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("auth")

WWW, PROXY = "authorization", "proxy-authorization"
"""Headers of credentials, by their canonical names."""
NEVER_CHALLENGED = ("ACK", "CANCEL", "PRACK")
CHALLENGING = RouteType.REQUEST | RouteType.FAILURE | RouteType.ONREPLY
SECRET_SIZE = 32

PASSWORD_IS_HA1, NO_QOP, QOP_AUTH, QOP_AUTH_INT = 1, 2, 4, 8
"""Flags of pv_www_authenticate() and its like; of the last three each asks for a challenge in an AVP."""
CHALLENGE_QOP_AUTH, CHALLENGE_QOP_AUTH_INT, CHALLENGE_NO_ERROR_REPLY, CHALLENGE_STALE = 1, 2, 4, 16
CHECK_ID = 1


class Result:
    """Return codes of authentication, plain numbers for scripts."""

    OK = 1
    ERROR = -1
    INVALID_PASSWORD = -2
    USER_UNKNOWN = -3
    STALE_NONCE = -4
    NO_CREDENTIALS = -5
    NONCE_REUSED = -6
    USER_MISMATCH = -8


_RESULT_OF = {
    Check.INVALID: Result.ERROR,
    Check.STALE: Result.STALE_NONCE,
    Check.REUSED: Result.NONCE_REUSED,
}


class Found(NamedTuple):
    """Credentials of a request, and the header they are in."""

    credentials: Credentials
    header: str
    value: str


class Auth(Module):
    """Digest authentication."""

    name = "auth"
    requires = ("sl",)

    secret = Param(str)
    nonce_expire = Param(int, 300)
    nonce_auth_max_drift = Param(int, 3)
    protect_contacts = Param(int, 0, unused=SAME)
    challenge_attr = Param(str, "$digest_challenge")
    proxy_challenge_header = Param(str, "Proxy-Authenticate")
    www_challenge_header = Param(str, "WWW-Authenticate")
    qop = Param(str, "auth")
    auth_checks_register = Param(int, 0)
    auth_checks_no_dlg = Param(int, 0)
    auth_checks_in_dlg = Param(int, 0)
    nonce_count = Param(int, 0)
    nc_array_size = Param(int, 0)
    nc_array_order = Param(int, 0)
    one_time_nonce = Param(int, 0)
    otn_in_flight_no = Param(int, 0)
    otn_in_flight_order = Param(int, 0)
    nid_pool_no = Param(int, 0)
    force_stateless_reply = Param(int, 0)
    realm_prefix = Param(str, "")
    use_domain = Param(int, 0)
    algorithm = Param(str, "")
    add_authinfo_hdr = Param(int, 0)

    def mod_init(self) -> None:
        self._sl = self.core.module("sl")
        if self._sl is None:
            raise ModuleError("auth: cannot bind to SL API (is the sl module loaded?)")
        if self.algorithm and self.algorithm not in ALGORITHMS:
            raise ModuleError('Invalid algorithm provided. Possible values are "", "MD5" or "SHA-256"')
        if not self.challenge_attr.startswith("$"):
            raise ModuleError("Invalid value of challenge_attr module parameter")
        if self.qop and self.qop not in ("auth", "auth-int"):
            raise ModuleError("Unsupported qop parameter value")
        self._hash = self.algorithm or "MD5"
        self._digits = ALGORITHMS[self._hash](b"").digest_size * 2
        self._now = self.core.clock.now
        self._up_since = int(self._now())
        self._nonces = Nonces(*self._secrets())
        self._counting = bool(self.nonce_count and self.qop)
        if self.nonce_count and not self.qop:
            log.warn("nonce-count support enabled, but qop not set")
        elif self.qop and not self.nonce_count:
            log.info("qop set, but nonce-count (nonce_count) support disabled")
        self._in_flight: InFlight | None = None
        if self._counting or self.one_time_nonce:
            self._in_flight = InFlight(
                self.core.shm,
                self.core.random,
                power_of_two(0, min(self.nid_pool_no or 1, POOL + 1)),
                power_of_two(self.nc_array_order, self.nc_array_size) if self._counting else 0,
                power_of_two(self.otn_in_flight_order, self.otn_in_flight_no) if self.one_time_nonce else 0,
            )

    def _secrets(self) -> tuple[str, str]:
        """What proves a nonce, and what proves the parts of the request it was made for."""
        if self.secret is None:
            made = "".join(chr(self.core.random.randrange(32, 127)) for _ in range(2 * SECRET_SIZE))
            return made[:SECRET_SIZE], made[SECRET_SIZE:]
        if not (self.auth_checks_register or self.auth_checks_in_dlg or self.auth_checks_no_dlg):
            return self.secret, ""
        half = len(self.secret) // 2
        if half < 16:
            log.warn("consider a longer secret when extra auth checks are enabled (the config secret is divided in 2!)")
        return self.secret[: len(self.secret) - half], self.secret[len(self.secret) - half :]

    # nonces

    def _checks(self, msg: Message) -> int:
        """Which parts of this request its nonce is bound to."""
        if msg.method == "REGISTER":
            return self.auth_checks_register
        try:
            return self.auth_checks_in_dlg if msg.to.tag else self.auth_checks_no_dlg
        except BadMessage:
            return self.auth_checks_no_dlg

    def new_nonce(self, msg: Message | None) -> str:
        """A nonce for the answer to this request; None is bound to none."""
        now = int(self._now())
        checks = self._checks(msg) if msg is not None else 0
        number, flags = 0, None
        if self._in_flight is not None:
            pool = self.core.shm.identity.slot % self._in_flight.pools
            number = self._in_flight.new(pool)
            flags = pool | (COUNTED if self._counting else 0) | (ONE_TIME if self.one_time_nonce else 0)
        return self._nonces.make(now, now + self.nonce_expire, checks, msg, number, flags)

    def check_nonce(self, credentials: Credentials, msg: Message) -> Check:
        """Is the nonce ours, for this request, not over, and not used before? This use counts."""
        checks = self._checks(msg)
        nonce = self._nonces.read(credentials["nonce"], checks)
        if nonce is None:
            return Check.INVALID
        now = int(self._now())
        if nonce.since < self._up_since and nonce.since < now:
            return Check.STALE
        if nonce.since > now + self.nonce_auth_max_drift:
            return Check.STALE
        if self.one_time_nonce and not nonce.flags & ONE_TIME:
            return Check.STALE
        if not self._nonces.is_ours(nonce):
            return Check.INVALID
        pool = nonce.flags & POOL
        nc = credentials.get("nc")
        if self._in_flight is not None and self._counting and nonce.flags & COUNTED and nc:
            try:
                number = int(nc, 16) if len(nc) == 8 and nc.isalnum() else -1
            except ValueError:
                number = -1
            if number < 0:
                log.err(f"bad nc value {nc}")
                return Check.INVALID
            if self._in_flight.check_count(nonce.number, pool, number) is not Verdict.OK:
                return Check.STALE
        else:
            once = self._in_flight if self.one_time_nonce and nonce.flags & ONE_TIME else None
            if once is not None and once.check_once(nonce.number, pool) is not Verdict.OK:
                return Check.REUSED
            if checks and not self._nonces.is_for(nonce, checks, msg):
                return Check.STALE
        return Check.STALE if nonce.expire < now else Check.OK

    # what other modules use

    def strip_realm(self, realm: str) -> str:
        return realm.removeprefix(self.realm_prefix)

    def find(self, msg: Message, realm: str, header: str) -> Found | None:
        """Credentials for a realm in headers of one kind; BadMessage if there are some that cannot be read."""
        for value in msg.headers(header):
            found = parse_credentials(value)
            if found is not None and found.get("realm", "").lower() == realm.lower():
                return Found(found, header, value)
        return None

    def pre_auth(self, ctx: Context, realm: str, header: str) -> int | Found:
        """All that is checked before a password is needed: a code of Result if it ends there, else the credentials."""
        msg = ctx.msg
        if msg.method in NEVER_CHALLENGED:
            return Result.OK
        try:
            found = self.find(msg, self.strip_realm(realm), header)
        except BadMessage:
            log.err("Error while looking for credentials")
            return Result.ERROR
        if found is None:
            return Result.NO_CREDENTIALS
        credentials = found.credentials
        notes = ctx.note(self.name, {})
        notes.update(credentials)
        ctx.note("auth.used", []).append(found)
        needed = ["username", "realm", "nonce", "uri", "response"]
        if credentials.get("qop"):
            needed += ["cnonce", "nc"]
        if not all(credentials.get(name) for name in needed):
            log.err("Credentials are not filled properly")
            return Result.ERROR
        check = self.check_nonce(credentials, msg)
        return found if check is Check.OK else _RESULT_OF[check]

    def used(self, ctx: Context) -> Found | None:
        """The credentials that the request was authenticated by, while they are in it."""
        found: list[Found] = (ctx.notes or {}).get("auth.used", [])
        for header in (WWW, PROXY):
            values = ctx.msg.headers(header)
            for one in found:
                if one.header == header and one.value in values:
                    return one
        return None

    def check_response(self, found: Found, ctx: Context, ha1: str, method: str = "") -> int:
        """Do the credentials prove that their owner knows the password that `ha1` was made of?"""
        given = found.credentials["response"]
        if len(given) != self._digits:
            return Result.ERROR
        msg = ctx.msg
        wanted = digest.response(self._hash, ha1, found.credentials, method or msg.method_text, msg.body)
        return Result.OK if given == wanted else Result.INVALID_PASSWORD

    def ha1(self, username: str, realm: str, password: str) -> str:
        return digest.ha1(self._hash, username, self.strip_realm(realm), password)

    def post_auth(self, found: Found, ctx: Context, ha1: str) -> None:
        """After credentials were accepted."""
        if not self.add_authinfo_hdr:
            return
        credentials = found.credentials
        proof = digest.response(self._hash, ha1, credentials, "")
        following = self.new_nonce(ctx.msg) if self.one_time_nonce else credentials["nonce"]
        ctx.msg.reply_headers.append(
            f'Authentication-Info: nextnonce="{following}", qop={credentials.get("qop", "")}, rspauth="{proof}", '
            f'cnonce="{credentials.get("cnonce", "")}", nc={credentials.get("nc", "")}\r\n'
        )

    def challenge_header(self, msg: Message | None, realm: str, header: str, qop: str = "", stale: bool = False) -> str:
        """The WWW-Authenticate or Proxy-Authenticate header that asks for `header`, with its CRLF."""
        name = self.proxy_challenge_header if header == PROXY else self.www_challenge_header
        parts = [f'{name}: Digest realm="{self.strip_realm(realm)}"', f'nonce="{self.new_nonce(msg)}"']
        if qop:
            parts.append(f'qop="{qop}"')
        if stale:
            parts.append("stale=true")
        if self.algorithm:
            parts.append(f"algorithm={self.algorithm}")
        return ", ".join(parts) + "\r\n"

    def authenticate(
        self, ctx: Context, realm: str, password: str, flags: int, header: str, method: str = ""
    ) -> tuple[int, Found | None]:
        """Authenticate with a password, and leave a challenge in an AVP where the flags ask for one."""
        outcome = self.pre_auth(ctx, realm, header)
        found = outcome if isinstance(outcome, Found) else None
        if found is not None:
            username = found.credentials["username"]
            ha1 = password if flags & PASSWORD_IS_HA1 else self.ha1(username, realm, password)
            result = self.check_response(found, ctx, ha1, method)
            if result == Result.OK:
                self.post_auth(found, ctx, ha1)
        else:
            assert isinstance(outcome, int)
            result = outcome
        if result < 0 and flags & (NO_QOP | QOP_AUTH | QOP_AUTH_INT):
            qop = "auth-int" if flags & QOP_AUTH_INT else "auth" if flags & QOP_AUTH else ""
            value = self.challenge_header(ctx.msg, realm, header, qop)
            ctx.avps.setdefault(self.challenge_attr[1:], []).insert(0, value)
        return result, found

    # authentication with a password of the script

    def _with(self, ctx: Context, realm: str, password: str, flags: int, header: str, method: str = "") -> int:
        if not realm or not password:
            log.err(f"invalid {'password' if realm else 'realm'} value - empty content")
            return Result.ERROR
        return self.authenticate(ctx, realm, password, flags, header, method)[0]

    @function("pv_www_authenticate", FIRST, FIRST, INT, routes=RouteType.REQUEST)
    @function("pv_www_authorize", FIRST, FIRST, INT, routes=RouteType.REQUEST)
    def pv_www_authenticate(self, ctx: Context, realm: str, password: str, flags: int) -> int:
        return self._with(ctx, realm, password, flags, WWW)

    @function("pv_www_authenticate", FIRST, FIRST, INT, FIRST, routes=RouteType.REQUEST)
    def pv_www_authenticate_method(self, ctx: Context, realm: str, password: str, flags: int, method: str) -> int:
        if not method:
            log.err("invalid method value - empty content")
            return Result.ERROR
        return self._with(ctx, realm, password, flags, WWW, method)

    @function("pv_proxy_authenticate", FIRST, FIRST, INT, routes=RouteType.REQUEST)
    @function("pv_proxy_authorize", FIRST, FIRST, INT, routes=RouteType.REQUEST)
    def pv_proxy_authenticate(self, ctx: Context, realm: str, password: str, flags: int) -> int:
        return self._with(ctx, realm, password, flags, PROXY)

    @function("pv_auth_check", FIRST, FIRST, INT, INT, routes=RouteType.REQUEST)
    def pv_auth_check(self, ctx: Context, realm: str, password: str, flags: int, checks: int) -> int:
        """Authenticate by the header that suits the method, and with `checks` 1 see that the user is who he claims."""
        method = ctx.msg.method
        if method in ("ACK", "CANCEL"):
            return Result.OK
        if not realm or not password:
            log.err(f"invalid {'password' if realm else 'realm'} value - empty content")
            return Result.ERROR
        header = WWW if method == "REGISTER" else PROXY
        result, found = self.authenticate(ctx, realm, password, flags, header)
        if result == Result.OK and found is not None and checks & CHECK_ID:
            return self.check_identity(ctx.msg, found, bool(self.use_domain))
        return result

    def check_identity(self, msg: Message, found: Found, with_domain: bool, forwarded: bool = False) -> int:
        """Is the authenticated user that of From, in REGISTER and PUBLISH that of To as well?

        `forwarded`: the user need not be that of From.
        """
        user, _ = digest.username_parts(found.credentials)
        try:
            from_ = msg.from_.parsed_uri
            claimed = [from_]
            if msg.method in ("REGISTER", "PUBLISH"):
                claimed.append(msg.to.parsed_uri)
            if msg.method == "PUBLISH":
                claimed.append(msg.parsed_uri)
        except (BadMessage, BadUri):
            return Result.ERROR
        if not forwarded and user != claimed[min(1, len(claimed) - 1)].user:
            return Result.USER_MISMATCH
        same = all(uri.user == from_.user and (not with_domain or uri.host == from_.host) for uri in claimed)
        return Result.OK if same else Result.USER_MISMATCH

    # challenges

    @function("www_challenge", VALUE, INT, routes=CHALLENGING)
    def www_challenge(self, ctx: Context, realm: str, flags: int) -> int:
        return self.challenge(ctx, realm, flags, WWW)

    @function("proxy_challenge", VALUE, INT, routes=CHALLENGING)
    def proxy_challenge(self, ctx: Context, realm: str, flags: int) -> int:
        return self.challenge(ctx, realm, flags, PROXY)

    @function("auth_challenge", VALUE, INT, routes=CHALLENGING)
    def auth_challenge(self, ctx: Context, realm: str, flags: int) -> int:
        if ctx.msg.method in ("ACK", "CANCEL"):
            return 1
        return self.challenge(ctx, realm, flags, WWW if ctx.msg.method == "REGISTER" else PROXY)

    def challenge(self, ctx: Context, realm: str, flags: int, header: str) -> int:
        """Answer with 401 or 407."""
        if not realm:
            log.err("invalid realm value - empty content")
            if not flags & CHALLENGE_NO_ERROR_REPLY and self._reply(ctx, 500, "Internal Server Error") < 0:
                return -4
            return -1
        ctx.msg.reply_headers.append(self._challenge_of_flags(ctx.msg, realm, flags, header))
        code, reason = (407, "Proxy Authentication Required") if header == PROXY else (401, "Unauthorized")
        return 1 if self._reply(ctx, code, reason) >= 0 else -3

    def _challenge_of_flags(self, msg: Message | None, realm: str, flags: int, header: str) -> str:
        qop = "auth-int" if flags & CHALLENGE_QOP_AUTH_INT else "auth" if flags & CHALLENGE_QOP_AUTH else ""
        return self.challenge_header(msg, realm, header, qop, bool(flags & CHALLENGE_STALE))

    def _reply(self, ctx: Context, code: int, reason: str) -> int:
        reply = self._sl.reply if self.force_stateless_reply else self._sl.reply_either
        return int(reply(ctx, code, reason))

    @function("auth_get_www_authenticate", VALUE, INT, PVAR, routes=RouteType.REQUEST)
    def auth_get_www_authenticate(self, ctx: Context, realm: str, flags: int, target: PVar) -> int:
        """Put a challenge, the whole header, into a pseudo-variable; it is bound to no request."""
        if not realm:
            log.err("invalid realm value - empty content")
            return -1
        target.set(ctx, self._challenge_of_flags(None, realm, flags, WWW))
        return 1

    # credentials

    @function("consume_credentials", routes=RouteType.REQUEST)
    def consume_credentials(self, ctx: Context) -> int:
        """Take the header with the credentials that were used out of the request."""
        msg = ctx.msg
        if msg.method in NEVER_CHALLENGED:
            return -1
        found = self.used(ctx)
        if found is None:
            log.err("No authorized credentials found (error in scripts)")
            return -1
        msg.lumps.delete(*msg.span(next(i for i in msg.indexes(found.header) if msg.value(i) == found.value)))
        return 1

    @function("has_credentials", STR, routes=RouteType.REQUEST)
    def has_credentials(self, ctx: Context, realm: str) -> int:
        for header in (PROXY, WWW):
            try:
                if self.find(ctx.msg, realm, header) is not None:
                    return 1
            except BadMessage:
                continue
        return -1
