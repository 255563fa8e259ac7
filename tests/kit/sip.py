"""SIP texts for user agents: building requests and replies, reading what comes back.

Text is latin-1 `str`, CRLF line ends. Nothing here checks or repairs: a test may build anything.
"""

from __future__ import annotations

REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted", 302: "Moved Temporarily",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 407: "Proxy Authentication Required",
    408: "Request Timeout", 415: "Unsupported Media Type", 480: "Temporarily Unavailable", 484: "Address Incomplete",
    486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 500: "Server Internal Error",
    503: "Service Unavailable", 600: "Busy Everywhere", 603: "Decline",
}  # fmt: skip

_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}


class Sip:
    """A message that arrived: `start`, `headers` (name as written, value), `body`, and `text` as it was."""

    def __init__(self, text: str, source: tuple[str, int] = ("", 0)) -> None:
        self.text = text
        self.source = source
        head, _, self.body = text.partition("\r\n\r\n")
        lines = head.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
        self.start = lines[0]
        self.headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        words = self.start.split(" ", 2)
        self.status = int(words[1]) if words[0] == "SIP/2.0" and len(words) > 1 and words[1].isdigit() else 0
        self.uri = "" if self.status else (words[1] if len(words) > 1 else "")
        self.method = (self.first("CSeq").split() or [""])[-1] if self.status else words[0]

    def all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self.headers if _COMPACT.get(key.lower(), key.lower()) == wanted]

    def first(self, name: str) -> str:
        values = self.all(name)
        return values[0] if values else ""

    @property
    def received(self) -> bool:
        """It came from somewhere; else it is one's own."""
        return bool(self.source[0])

    @property
    def branch(self) -> str:
        return parameter(self.first("Via"), "branch")

    @property
    def call_id(self) -> str:
        return self.first("Call-ID")

    @property
    def cseq(self) -> int:
        return int(self.first("CSeq").split()[0])

    @property
    def to_tag(self) -> str:
        return parameter(self.first("To"), "tag")


def parameter(value: str, name: str) -> str:
    """The parameter `name` of a header value, "" when it has none."""
    for part in value.split(";")[1:]:
        key, _, text = part.strip().partition("=")
        if key.lower() == name:
            return text.rstrip(">")
    return ""


def address(value: str) -> str:
    """The URI of a name-addr."""
    return value[value.find("<") + 1 : value.find(">")] if "<" in value else value.split(";")[0].strip()


def build(start: str, headers: list[tuple[str, str]] | list[str], extra: str = "", body: str = "") -> str:
    """A message of a start line, header lines, extra header lines and a body, Content-Length put last."""
    lines = [start]
    lines += [entry if isinstance(entry, str) else f"{entry[0]}: {entry[1]}" for entry in headers]
    lines += [line for line in extra.splitlines() if line.strip()]
    if not any(line.lower().startswith(("content-length:", "l:")) for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines) + "\r\n\r\n" + body


def build_reply(request: Sip, status: int, reason: str | None, to_tag: str, extra: str, body: str) -> str:
    """The reply of a user agent server to `request` (RFC 3261 8.2.6.2)."""
    headers = []
    for name, value in request.headers:
        kind = _COMPACT.get(name.lower(), name.lower())
        if kind in ("via", "from", "call-id", "cseq") or (kind == "record-route" and 180 <= status < 300):
            headers.append((name, value))
        elif kind == "to":
            headers.append((name, value if ";tag=" in value or status == 100 else f"{value};tag={to_tag}"))
    text = REASONS.get(status, "Whatever") if reason is None else reason
    return build(f"SIP/2.0 {status} {text}", headers, extra, body)
