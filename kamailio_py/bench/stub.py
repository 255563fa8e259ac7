"""A server of known behaviour: how much CPU it burns for a request, how long it waits before it answers, what it loses.

`python -m kamailio_py.bench.stub`. Without any of these it is the echo against which the generator's own ceiling is
measured; with them it is what kambench itself is tested on. It answers with the headers it got; it is no SIP server.
"""

from __future__ import annotations

import argparse
import heapq
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable

from kamailio_py.bench.link import split

Answer = Callable[[bytes], object]


def burn(seconds: float) -> None:
    """Use so much CPU time, however long that takes."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Stub:
    """Answers requests by the options of the command line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._first = b"SIP/2.0 %d Stub\r\n" % options.status
        self._burn = options.burn / 1e6
        self._delay = options.delay / 1e3
        self._lose = options.lose
        self._fork = options.fork
        self._header = f"X-Stub: {options.header}\r\n".encode() if options.header else b""
        self._count = 0
        self._waiting: list[tuple[float, int, bytes, Answer]] = []

    def take(self, request: bytes, answer: Answer) -> None:
        self._count += 1
        if self._burn:
            self._work()
        if self._lose and self._count % self._lose == 0:
            return
        reply = self._first + self._header + request.partition(b"\r\n")[2]
        if self._delay:
            heapq.heappush(self._waiting, (time.perf_counter() + self._delay, self._count, reply, answer))
        else:
            answer(reply)

    def _work(self) -> None:
        if not self._fork:
            burn(self._burn)
            return
        child = os.fork()
        if child == 0:
            burn(self._burn)
            os._exit(0)
        os.waitpid(child, 0)

    def due(self) -> float | None:
        """Send what is due; seconds until the next, None if nothing waits."""
        while self._waiting:
            rest = self._waiting[0][0] - time.perf_counter()
            if rest > 0:
                return rest
            _, _, reply, answer = heapq.heappop(self._waiting)
            answer(reply)
        return None


def serve_udp(stub: Stub, port: int, receivers: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        own.bind(("127.0.0.1", port))
        for _ in range(receivers - 1):
            if os.fork() == 0:
                break
        take, due, receive, send = stub.take, stub.due, own.recvfrom, own.sendto
        while True:
            rest = due()
            if rest is not None and not select.select((own,), (), (), rest)[0]:
                continue
            data, source = receive(65535)
            take(data, lambda reply, source=source: send(reply, source))  # type: ignore[misc]


def serve_tcp(stub: Stub, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(("127.0.0.1", port))
        own.listen()
        rests: dict[socket.socket, bytes] = {}
        while True:
            for ready in select.select([own, *rests], (), (), stub.due())[0]:
                if ready is own:
                    rests[own.accept()[0]] = b""
                    continue
                data = ready.recv(1 << 17)
                if not data:
                    del rests[ready]
                    ready.close()
                    continue
                requests, rests[ready] = split(rests[ready] + data)
                for request in requests:
                    stub.take(request, ready.sendall)


def stay_busy(share: float) -> None:
    """Use that share of a core for ever, whatever is asked."""
    begun = time.perf_counter()
    while True:
        time.sleep(0.01)
        burn(max((time.perf_counter() - begun) * share - time.thread_time(), 0.0))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kamailio_py.bench.stub", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--transport", choices=("udp", "tcp"), default="udp")
    parser.add_argument("--burn", type=float, default=0, metavar="US", help="CPU microseconds for each request")
    parser.add_argument("--begin", type=float, default=0, metavar="MS", help="CPU milliseconds before it can be asked")
    parser.add_argument("--delay", type=float, default=0, metavar="MS", help="milliseconds before an answer is sent")
    parser.add_argument("--status", type=int, default=200, help="status of the answers")
    parser.add_argument("--lose", type=int, default=0, metavar="N", help="do not answer every N-th request")
    parser.add_argument("--fork", action="store_true", help="burn in a process that is started for each request")
    parser.add_argument("--idle", type=float, default=0, metavar="PERCENT", help="CPU of a core used without a request")
    parser.add_argument("--receivers", type=int, default=1, metavar="N", help="processes that receive (UDP)")
    parser.add_argument("--header", help="a header X-Stub for the answers")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    burn(options.begin / 1e3)
    if options.idle:
        threading.Thread(target=stay_busy, args=(options.idle / 100,), daemon=True).start()
    if options.transport == "tcp":
        serve_tcp(Stub(options), options.port)
    else:
        serve_udp(Stub(options), options.port, options.receivers)


if __name__ == "__main__":
    main()
