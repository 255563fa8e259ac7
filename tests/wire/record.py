"""Records what real Kamailio does with the messages of the corpus:  unshare -n python tests/wire/record.py

Run it in a network namespace of its own (`unshare -n`, as root): the ports of the corpus are fixed, and what Kamailio
sends is read from the loopback device, wherever it goes. New messages are put into `valid` or `invalid` first, either
will do; the script moves each to where it belongs and writes the expectation beside it.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
CFG = """#!KAMAILIO
debug=0
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "pv.so"
loadmodule "xlog.so"
request_route {{
    xlog("L_ALERT", "REACHED\\n");
    {action}
}}
onreply_route {{ xlog("L_ALERT", "REACHED\\n"); }}
"""
REPLY = 'sl_send_reply("200", "OK");'
FORWARD = '$du = "sip:127.0.0.1:5064"; forward();'
PROBE = (
    b"ACK sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKp\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
    b"Call-ID: probe\r\nCSeq: 1 ACK\r\n\r\n"
)


class Kamailio:
    """A server, a client at port 5062 and an ear on the loopback device."""

    def __init__(self, port: int, action: str) -> None:
        self.port = port
        self.directory = tempfile.TemporaryDirectory()
        base = Path(self.directory.name)
        (base / "x.cfg").write_text(CFG.format(port=port, action=action))
        self.log = base / "log"
        self.read = 0
        self.ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        self.ear.bind(("lo", 0))
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.client.bind(("127.0.0.1", 5062))
        self.process = subprocess.Popen(
            ["kamailio", "-f", str(base / "x.cfg"), "-DD", "-E", "-m", "32", "-Y", str(base)],
            stderr=self.log.open("wb"),
            stdout=subprocess.DEVNULL,
        )
        while not self.exchange(PROBE)[0]:
            assert self.process.poll() is None, self.log.read_text()

    def exchange(self, data: bytes) -> tuple[bool, list[tuple[int, str]]]:
        """Did the message reach the script, and what was sent to which port?"""
        self.ear.settimeout(0.001)
        self._hear(0.0)
        self.client.sendto(data, ("127.0.0.1", self.port))
        sent = self._hear(0.12)
        log = self.log.read_text(errors="replace")
        reached = "REACHED" in log[self.read :]
        self.read = len(log)
        return reached, sent

    def _hear(self, seconds: float) -> list[tuple[int, str]]:
        heard = []
        end = time.monotonic() + seconds
        while True:
            try:
                packet, address = self.ear.recvfrom(70000)
            except TimeoutError:
                if time.monotonic() >= end:
                    return heard
                continue
            if address[2] == socket.PACKET_OUTGOING or packet[12:14] != b"\x08\x00" or packet[23] != 17:
                continue
            udp = packet[14 + (packet[14] & 15) * 4 :]
            source, target, length = struct.unpack("!HHH", udp[:6])
            if source == self.port:
                heard.append((target, udp[8:length].decode("latin-1")))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.directory.cleanup()


def one(sent: list[tuple[int, str]]) -> dict[str, object] | None:
    return {"port": sent[0][0], "text": sent[0][1]} if sent else None


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    replier, forwarder = Kamailio(5070, REPLY), Kamailio(5071, FORWARD)
    for path in sorted([*HERE.glob("valid/*.sip"), *HERE.glob("invalid/*.sip")]):
        data = path.read_bytes()
        reached, reply = replier.exchange(data)
        _, forward = forwarder.exchange(data)
        home = HERE / ("valid" if reached else "invalid") / path.name
        path.rename(home)
        note = home.with_suffix(".json")
        if not reached:
            note.unlink(missing_ok=True)
            continue
        is_reply = data.lstrip(b" \t\r\n\0")[:8].upper() == b"SIP/2.0 "
        expected = {"forward": one(forward)} if is_reply else {"reply": one(reply), "forward": one(forward)}
        note.write_text(json.dumps(expected, indent=1) + "\n")
    replier.stop()
    forwarder.stop()


if __name__ == "__main__":
    main()
