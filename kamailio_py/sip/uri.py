"""SIP, SIPS, TEL and URN URIs: taken apart as Kamailio takes them apart, and put together again with one part changed.

A `Uri` is a view of its text: every part is a piece of it as it was written. `Uri.parse` raises BadUri for what
Kamailio's parser refuses and for nothing else, and it remembers the URIs parsed last; a Uri is therefore never changed.
"""

from __future__ import annotations

from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.remembered import memo

_USUAL_HOST = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-")
_HOST = set(_USUAL_HOST)
_phone2tel = True
_DIGITS = frozenset("0123456789")
_SCHEMES = {"sip:": "sip", "tel:": "tel", "urn:": "urn"}


class Uri:
    """One parsed URI.

    host        as written, IPv6 in brackets; empty for tel:
    port        0 when there is none;  port_text as written
    params      text between the first `;` and `?`, without the `;`
    headers     text after `?`
    """

    __slots__ = ("headers", "host", "params", "password", "port", "port_text", "scheme", "text", "user")

    def __init__(
        self, text: str, scheme: str, user: str, password: str, host: str, port_text: str, params: str, headers: str
    ) -> None:
        self.text = text
        self.scheme = scheme
        self.user = user
        self.password = password
        self.host = host
        self.port_text = port_text
        self.port = int(port_text) if port_text else 0
        self.params = params
        self.headers = headers

    @staticmethod
    def parse(text: str) -> Uri:
        """The parts of `text`; BadUri where Kamailio finds none."""
        return _parse(text)

    def __repr__(self) -> str:
        return f"Uri({self.text!r})"

    def param(self, name: str) -> str | None:
        """Value of parameter `name`, "" if it has none, None if it is not there; quotes are taken off."""
        params = self.params
        if not params:
            return None
        return param_of(params, name)

    @property
    def transport(self) -> str:
        """Value of the transport parameter in lower case, the last one if there are several, or ""."""
        params = self.params
        if not params:
            return ""
        found = ""
        for part in params.lower().split(";"):
            if part[:10] == "transport=":
                found = part[10:]
        return found

    @property
    def hostport(self) -> str:
        """Host, and the port where one is written."""
        return f"{self.host}:{self.port_text}" if self.port_text else self.host


def split_params(text: str, separator: str = ";") -> list[str]:
    """Parameters between separators; a separator in double quotes is none."""
    if '"' not in text:
        return text.split(separator)
    found, start, quoted, escaped = [], 0, False, False
    for i, c in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and c == "\\":
            escaped = True
        elif c == '"':
            quoted = not quoted
        elif c == separator and not quoted:
            found.append(text[start:i])
            start = i + 1
    found.append(text[start:])
    return found


def param_of(params: str, name: str) -> str | None:
    """Value of one of `a=b;c;d="e"`: "" if it has none, None if it is not there."""
    for part in split_params(params):
        key, equals, value = part.partition("=")
        if key.strip().lower() == name:
            value = value.strip()
            if value[:1] == '"' and value[-1:] == '"' and len(value) > 1:
                value = value[1:-1]
            return value if equals else ""
    return None


@memo(2048)
def _parse(text: str) -> Uri:
    if len(text) < 5:
        raise BadUri("URI too short")
    scheme = _SCHEMES.get(text[:4].lower(), "")
    if scheme:
        rest = text[4:]
    elif text[:5].lower() == "sips:":
        scheme = "sips"
        rest = text[5:]
        if not rest:
            raise BadUri("URI too short")
    else:
        raise BadUri("unknown URI scheme")
    if rest[0] in ":]":
        raise BadUri("URI without host")
    user = password = ""
    # what stands first is taken as the beginning of a user or host whatever it is
    at = rest.find("@", 1)
    if at < 0:
        if rest[0] == "@":
            raise BadUri("URI without user before the @")
        host, port, params, headers = _host_alone(rest, scheme)
        if scheme == "urn" and port == "" and "\0" in host:
            user, _, host = host.partition("\0")
    elif rest[0] == "[":
        raise BadUri("IPv6 address where the user belongs")
    else:
        user, password = _user_part(rest[:at])
        host, port, params, headers = _host_after_user(rest[at + 1 :])
    if len(port) > 5 or (port and int(port) > 65535):
        raise BadUri("port out of range")
    if scheme == "tel":
        user, host = host, ""
    elif ";" in user and params and _phone2tel and param_of(params, "user") == "phone":
        # a telephone number with parameters of its own: Kamailio's user is the number
        user = user[: user.index(";")]
    return Uri(text, scheme, user, password, host, port, params, headers)


def accept(host_characters: str, telephone: bool) -> None:
    """Have these in hosts, too, and take the user of a URI with `user=phone` for a telephone number, or not; before
    the first message."""
    global _phone2tel
    wanted = _USUAL_HOST.union(host_characters)
    if wanted != _HOST or telephone != _phone2tel:
        _HOST.clear()
        _HOST.update(wanted)
        _phone2tel = telephone
        _parse.cache_clear()


def _user_part(text: str) -> tuple[str, str]:
    """User and password of what stands before the `@`; the user may hold `;` and `?`."""
    user, colon, password = text.partition(":")
    if colon and (":" in password or ";" in password or "?" in password):
        raise BadUri("bad password")
    if ("[" in text or "]" in text) and not (";" in user or "?" in user):
        raise BadUri("bracket in the user part")
    return user, password


def _tail(text: str, at: int) -> tuple[str, str]:
    """Parameters and headers from position `at`, where a `;` or `?` stands or the text ends."""
    if at >= len(text):
        return "", ""
    if text[at] == ";":
        params, question, headers = text[at + 1 :].partition("?")
    else:
        params, question, headers = "", "?", text[at + 1 :]
    if question and ";" in headers:
        raise BadUri("semicolon in the headers of a URI")
    return params, headers


def _end_of(text: str, start: int, stops: str) -> int:
    """Position of the first of `stops` from `start`, the end if there is none."""
    end = len(text)
    for stop in stops:
        at = text.find(stop, start, end)
        if at >= 0:
            end = at
    return end


def _bracketed(text: str) -> int:
    """Position after a bracketed IPv6 address at the beginning."""
    end = text.find("]") + 1
    if not end or any(c in text[1:end] for c in "[&@;?"):
        raise BadUri("bad IPv6 address")
    if end < len(text) and text[end] not in ":;?":
        raise BadUri("rubbish after an IPv6 address")
    return end


def _port(text: str, at: int) -> tuple[str, int]:
    """Port after the colon at `at`, and where it ends."""
    end = _end_of(text, at, ";?")
    port = text[at + 1 : end]
    if not _DIGITS.issuperset(port):
        raise BadUri("bad port")
    return port, end


def _host_after_user(text: str) -> tuple[str, str, str, str]:
    if text[:1] == "[":
        end = _bracketed(text)
    else:
        end = _end_of(text, 0, ":;?")
        if not _HOST.issuperset(text[:end]) or text[:1] in ("", ".", "-") or end == 0:
            raise BadUri("bad host")
    host = text[:end]
    port = ""
    if end < len(text) and text[end] == ":":
        port, end = _port(text, end)
    if "@" in text:
        raise BadUri("two @ in a URI")
    return host, port, *_tail(text, end)


def _host_alone(text: str, scheme: str) -> tuple[str, str, str, str]:
    """A URI without user: nothing but brackets is checked in the host, and a colon begins the port."""
    if text[0] == "[":
        return _host_after_user(text)
    end = _end_of(text, 1, ":;?")
    host = text[:end]
    if "[" in host or "]" in host:
        raise BadUri("bracket in the host")
    if end == len(text) or text[end] != ":":
        return host, "", *_tail(text, end)
    if scheme == "urn" and not any(c in text[end + 1 :] for c in "[]:;?") and not _DIGITS.issuperset(text[end + 1 :]):
        return f"{host}\0{text[end + 1 :]}", "", "", ""
    port, end = _port(text, end)
    return host, port, *_tail(text, end)


def build(scheme: str, user: str, password: str, host: str, port: str, params: str = "", headers: str = "") -> str:
    """A URI of its parts, each as text."""
    text = f"{scheme}:"
    if user:
        text += f"{user}:{password}@" if password else f"{user}@"
    text += f"{host}:{port}" if port else host
    if params:
        text += f";{params}"
    return f"{text}?{headers}" if headers else text


def with_user(text: str, user: str) -> str:
    """The URI with another user; an empty one takes user and password away."""
    u = Uri.parse(text)
    if user and u.text.startswith(f"{u.user};", len(u.scheme) + 1) and u.user:
        # the parameters of a telephone number stay
        user += u.text[len(u.scheme) + 1 + len(u.user) : u.text.index("@")].partition(":")[0]
    return build(u.scheme, user, u.password if user else "", u.host, u.port_text, u.params, u.headers)


def with_host(text: str, host: str) -> str:
    u = Uri.parse(text)
    return build(u.scheme, u.user, u.password, host, u.port_text, u.params, u.headers)


def with_port(text: str, port: str) -> str:
    u = Uri.parse(text)
    return build(u.scheme, u.user, u.password, u.host, port, u.params, u.headers)


def without_prefix(host: str, prefix: str | None) -> str:
    """A host without the prefix that stands before the domains of the database."""
    if prefix and len(prefix) < len(host) and host.lower().startswith(prefix.lower()):
        return host[len(prefix) :]
    return host
