"""What `make run` does: start a server, send it one request, and tell from shared memory what became of it.

    python -m kamailio_py.demo --cfg cfg/async.cfg --port 5060

The timeline is read from the ring of events in the server's shared memory, attached to read-only as any other
onlooker may.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from sipmessage import URI, Address, CSeq, Message, Request, Response, Via

from kamailio_py.inspector.script import Script
from kamailio_py.shm import instances
from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.trace import What

HOST = "127.0.0.1"
WAIT = 15.0


def request(port: int, local: tuple[str, int], method: str = "INFO") -> Request:
    """One SIP request to the server, with a Call-ID of its own."""
    made = Request(method, URI.parse(f"sip:demo@{HOST}:{port}"))
    made.via = [Via.parse(f"SIP/2.0/UDP {local[0]}:{local[1]};branch=z9hG4bK{secrets.token_hex(8)};rport")]
    made.from_address = Address.parse(f"<sip:client@{HOST}>;tag={secrets.token_hex(4)}")
    made.to_address = Address.parse(f"<sip:demo@{HOST}>")
    made.call_id = secrets.token_hex(8)
    made.cseq = CSeq(1, method)
    made.max_forwards = 70
    made.content_length = 0
    return made


def ask(client: socket.socket, port: int, method: str) -> tuple[Response | None, float]:
    """Send a request and wait for its final reply; the reply and the seconds it took."""
    started = time.monotonic()
    client.sendto(bytes(request(port, client.getsockname(), method)), (HOST, port))
    client.settimeout(WAIT)
    try:
        while True:
            reply = Message.parse(client.recv(65535))
            if isinstance(reply, Response) and reply.code >= 200:
                return reply, time.monotonic() - started
    except TimeoutError:
        return None, time.monotonic() - started


def bound(port: int) -> bool:
    """Whether somebody has bound the UDP port, without sending anything."""
    with open("/proc/net/udp") as table:
        return any(line.split()[1].endswith(f":{port:04X}") for line in list(table)[1:])


def attach(pid: int) -> SharedMemory | None:
    """The shared memory of the server with that pid, once all its processes are up."""
    for found in instances.instances():
        if found.master == pid:
            try:
                memory = SharedMemory.attach(found.name)
            except SharedMemoryError:
                return None  # not made to the end yet
            if memory.header.forked:
                return memory
            memory.close()
    return None


def timeline(memory: SharedMemory) -> Iterable[str]:
    """The events of the newest transaction, one line each."""
    deadline = time.monotonic() + 1.0
    script = Script.of(memory)
    try:
        # the answer may be here before the process that sent it has noted so
        while (events := memory.trace.events()) and time.monotonic() < deadline:
            if events[-1].what is What.REPLIED:
                break
            time.sleep(0.01)
        created = [event for event in events if event.what is What.CREATED]
        if not created:
            return
        mine = [event for event in events if event.transaction == created[-1].transaction]
        start = mine[0].at
        for event in mine:
            row = memory.processes.row(event.slot)
            where = f"process {row.pid} ({row.description})"
            yield f"  {(event.at - start) / 1e9:9.4f} s  {event.sentence(script.route, script.place):<44} {where}"
    finally:
        memory.close()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cfg", default="cfg/async.cfg")
    options.add_argument("--port", type=int, default=5060)
    options.add_argument("--method", default="INFO")
    options.add_argument("--once", action="store_true", help="stop after the first request")
    given = options.parse_args()
    if bound(given.port):
        print(f"something listens on port {given.port} already; try `make run PORT=5070`", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "kamailio_py.server", "-f", given.cfg, "-DD", "-E"]
    if given.port != 5060:
        # a config that names its port PORT is told; any other one listens there too
        names_port = "PORT" in Path(given.cfg).read_text()
        command += ["-A", f"PORT={given.port}"] if names_port else ["-l", f"udp:{HOST}:{given.port}"]
    print("$ kamailio-py " + " ".join(command[3:]), flush=True)
    server = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # by way of `finally`
    try:
        show(server, given.port, given.method)
        if given.once:
            server.terminate()
        return server.wait()
    except KeyboardInterrupt:
        return server.wait()  # Ctrl-C reached the server too, which stops
    finally:
        if server.poll() is None:
            server.terminate()


def show(server: subprocess.Popen[bytes], port: int, method: str) -> None:
    """Once the server is up, send it a request and print what became of it."""
    while (memory := attach(server.pid)) is None:
        if server.poll() is not None:
            return
        time.sleep(0.01)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((HOST, 0))
        reply, took = ask(client, port, method)
    if reply is None:
        print(f"\nno final reply to {method} within {WAIT:.0f} s\n", flush=True)
    else:
        answer = f"{reply.code} {reply.phrase}"
        print(f"\n{method} sip:demo@{HOST}:{port}: {answer} after {took:.1f} s", flush=True)
        for line in timeline(memory):
            print(line)
    print(f"\nserving on {HOST}:{port} until Ctrl-C\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
