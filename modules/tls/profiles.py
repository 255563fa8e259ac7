"""TLS profiles: what tls.cfg and the parameters say, and the ssl contexts made of it.

A section is [server:ADDRESS:PORT], [server:default], [server:any] or the same with client. What a section leaves out
is the default section's; without a file there is one profile of each kind, made of the module's parameters. Several
server sections of one address are told apart by `server_name`, which the client names when it connects (SNI).
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamailio_py.dataclass import dataclass, field
from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError
from kamailio_py.modules.tls.certificate import BadCertificate, Certificate

if TYPE_CHECKING:
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("tls")

_SECTION = re.compile(
    r"\[\s*(server|client)\s*:\s*(default|any|\[[0-9a-f:.]+\]:\d+|[^\[\]:]+:\d+)\s*\]\Z", re.IGNORECASE
)
_SETTING = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|(\S+))\s*(?:#.*)?\Z')
_YES = {"yes": 1, "true": 1, "on": 1, "1": 1, "enable": 1, "no": 0, "false": 0, "off": 0, "0": 0, "disable": 0}
_V = ssl.TLSVersion
METHODS = {
    "any": (_V.MINIMUM_SUPPORTED, _V.MAXIMUM_SUPPORTED), "sslv23": (_V.MINIMUM_SUPPORTED, _V.MAXIMUM_SUPPORTED),
    "tlsv1": (_V.TLSv1, _V.TLSv1), "tlsv1.0+": (_V.MINIMUM_SUPPORTED, _V.MAXIMUM_SUPPORTED),
    "tlsv1+": (_V.MINIMUM_SUPPORTED, _V.MAXIMUM_SUPPORTED), "tlsv1.1": (_V.TLSv1_1, _V.TLSv1_1),
    "tlsv1.1+": (_V.TLSv1_1, _V.MAXIMUM_SUPPORTED), "tlsv1.2": (_V.TLSv1_2, _V.TLSv1_2),
    "tlsv1.2+": (_V.TLSv1_2, _V.MAXIMUM_SUPPORTED), "tlsv1.3": (_V.TLSv1_3, _V.TLSv1_3),
    "tlsv1.3+": (_V.TLSv1_3, _V.MAXIMUM_SUPPORTED),
}  # fmt: skip
NUMBERS = ("verify_certificate", "require_certificate", "verify_depth", "server_name_mode")
TEXTS = (
    "method", "private_key", "certificate", "ca_list", "ca_path", "crl", "cipher_list", "server_name", "server_id",
    "verify_client",
)  # fmt: skip
FILES = ("private_key", "certificate", "ca_list", "ca_path", "crl")
SUBDOMAINS_TOO, ONLY_SUBDOMAINS = 1, 2
"""server_name_mode."""


@dataclass
class Profile:
    """One section. `address` and `port` are empty for default and any."""

    server: bool
    address: str = ""
    port: int = 0
    default: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    context: ssl.SSLContext = field(init=False)
    certificate: Certificate | None = None

    @property
    def title(self) -> str:
        """As Kamailio's log has it: TLSs<default>, TLSc<10.0.0.1:5061>."""
        where = "default" if self.default else f"{self.address}:{self.port}" if self.address else "any:0"
        return f"TLS{'s' if self.server else 'c'}<{where}>"

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def serves_name(self, name: str) -> bool:
        """Is this the section for the server name that a client asks for?"""
        own = str(self.get("server_name") or "").lower()
        name = name.lower()
        mode = self.get("server_name_mode") or 0
        if not own:
            return False
        if mode != ONLY_SUBDOMAINS and name == own:
            return True
        return mode in (SUBDOMAINS_TOO, ONLY_SUBDOMAINS) and name.endswith(f".{own}")

    def make_context(self, on: int, off: int) -> None:
        """Read the files; ModuleError says which of them cannot be used. OpenSSL's options `on` are set, `off` not."""
        method = str(self.get("method") or "TLSv1")
        if method.lower() not in METHODS:
            raise ModuleError(f"{self.title}: invalid tls_method [{method}]")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if self.server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.options |= on
        context.options &= ~off
        context.minimum_version, context.maximum_version = METHODS[method.lower()]
        wanted = self.get("verify_client") if self.server else None
        if self.get("require_certificate") or (self.get("verify_certificate") and not self.server):
            context.verify_mode = ssl.CERT_REQUIRED
        elif self.get("verify_certificate") or wanted in ("optional", "optional_no_ca"):
            context.verify_mode = ssl.CERT_OPTIONAL
        else:
            context.verify_mode = ssl.CERT_NONE
        step, file = "", ""
        try:
            if self.get("cipher_list"):
                step, file = "cipher_list", self.get("cipher_list")
                context.set_ciphers(file)
            if self.get("certificate"):
                step, file = "load certificate file", self.get("certificate")
                self.certificate = Certificate.from_pem(Path(file).read_text("latin-1"))
                key = self.get("private_key") or None
                step, file = ("load private key file", key) if key else (step, file)
                context.load_cert_chain(self.get("certificate"), key)
            for name in ("ca_list", "ca_path", "crl"):
                if self.get(name):
                    step, file = f"load {name}", self.get(name)
                    context.load_verify_locations(**{"capath" if name == "ca_path" else "cafile": file})
            if self.get("crl"):
                context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        except (OSError, BadCertificate) as error:  # an SSLError is an OSError
            raise ModuleError(f"{self.title}: Unable to {step} '{file}': {error.args[-1]}") from None
        self.context = context


class Profiles:
    """All of them, from one reading of the files."""

    def __init__(
        self,
        defaults: dict[str, Any],
        path: str = "",
        options: tuple[int, int] = (0, 0),
    ) -> None:
        self.servers: list[Profile] = []
        self.clients: list[Profile] = []
        if path:
            self._read(path)
        for profiles, server in ((self.servers, True), (self.clients, False)):
            default = next((profile for profile in profiles if profile.default), None)
            if default is None:
                default = Profile(server, default=True)
                profiles.append(default)
            default.values = {**{k: v for k, v in defaults.items() if v not in (None, "")}, **default.values}
            for profile in profiles:
                own = {**default.values, **profile.values}
                for name in ("server_name", "server_id", "server_name_mode"):
                    if name not in profile.values and profile is not default:
                        own.pop(name, None)
                profile.values = own
                profile.make_context(*options)
        for profile in self.servers:
            profile.context.sni_callback = self._name_wanted(profile)

    def _read(self, path: str) -> None:
        try:
            lines = Path(path).read_text("latin-1").splitlines()
        except OSError as error:
            raise ModuleError(f"could not read the TLS config file {path}: {error.strerror}") from None
        profile: Profile | None = None
        for number, raw in enumerate(lines, 1):
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            section = _SECTION.match(line.partition("#")[0].strip()) if line[0] == "[" else None
            setting = _SETTING.match(line)
            if section is not None:
                profile = self._section(section[1].lower() == "server", section[2])
            elif setting is not None and profile is not None:
                self._set(
                    profile, setting[1].lower(), setting[2] if setting[2] is not None else setting[3], path, number
                )
            else:
                what = "no section before this" if setting is not None else f"cannot be read: {line}"
                raise ModuleError(f"{path}:{number}: {what}")

    def _section(self, server: bool, where: str) -> Profile:
        profile = Profile(server)
        if where.lower() == "default":
            profile.default = True
        elif where.lower() != "any":
            address, _, port = where.rpartition(":")
            profile.address, profile.port = address.strip("[] "), int(port)
        (self.servers if server else self.clients).append(profile)
        return profile

    @staticmethod
    def _set(profile: Profile, name: str, text: str, path: str, number: int) -> None:
        name = {"tls_method": "method", "verify_cert": "verify_certificate"}.get(name, name)
        if name in NUMBERS:
            value = _YES.get(text.lower()) if not text.isdigit() else int(text)
            if value is None:
                raise ModuleError(f"{path}:{number}: invalid value of {name}: {text}")
            profile.values[name] = value
        elif name in TEXTS:
            profile.values[name] = os.path.join(os.path.dirname(path), text) if name in FILES and text else text
        else:
            raise ModuleError(f"{path}:{number}: unknown parameter {name}")

    # which one

    def server(self, listening: ListenSocket) -> Profile:
        """The profile of an address that is listened on, before a name is known."""
        here = (p for p in self.servers if (p.address, p.port) == (listening.host, listening.port))
        return next(here, self._default(self.servers))

    def client(self, host: str, port: int, server_id: str = "", name: str = "") -> int:
        """The number of the profile to connect with.

        It is the last one that has this `server_id` or is for this server name at any address, as Kamailio goes through
        them; otherwise, without `server_id`, that of the address; otherwise the default one.
        """

        def fits(profile: Profile) -> bool:
            if server_id and profile.get("server_id") == server_id:
                return True
            return bool(name) and not profile.address and not profile.default and profile.serves_name(name)

        chosen = next(filter(fits, reversed(self.clients)), None)
        if chosen is None and not server_id:
            chosen = next((p for p in self.clients if (p.address, p.port) == (host, port)), None)
        return self.clients.index(chosen or self._default(self.clients))

    @staticmethod
    def _default(profiles: list[Profile]) -> Profile:
        return next(profile for profile in profiles if profile.default)

    def _name_wanted(self, first: Profile) -> Any:
        """Called when a client names the server: goes over to the section that serves the name.

        That changes the certificate that is shown; what is asked of the client stays that of the first section.
        """

        def choose(connection: Any, name: str | None, context: ssl.SSLContext) -> None:
            if not name:
                return
            connection.server_name = name
            for profile in self.servers:
                same = (profile.address, profile.port) == (first.address, first.port) or not profile.address
                if profile is not first and same and profile.serves_name(name):
                    connection.context = profile.context
                    return

        return choose

    def of_context(self, context: ssl.SSLContext) -> Profile | None:
        """The profile that a connection uses."""
        return next((profile for profile in self.servers + self.clients if profile.context is context), None)
