#!/usr/bin/python3
"""A long line in user space: carries bytes to a port and back, each after half a round trip.

Stands in for netem where the kernel has none. It takes bytes as fast as they come and keeps what is
on its way, so that only SSH's own windows and the delay limit who sends. The TCP handshake with it
takes no time. Prints the port that it listens on. `--self-test` says how much it can carry.
"""

import argparse
import collections
import ctypes
import signal
import socket
import sys
import threading
import time

PIECE = 256 << 10
ROOM = 8 << 20
PR_SET_TIMERSLACK = 29


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=int, metavar="PORT", help="the port of the server on 127.0.0.1")
    parser.add_argument("--round-trip-ms", type=float, default=40.0)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    half = options.round_trip_ms / 2000
    if options.self_test:
        return self_test(half)
    listener = listen()
    print(listener.getsockname()[1], flush=True)
    serve(listener, options.to, half)


def listen():
    listener = socket.socket()
    # Before listen(), or the accepted sockets do not have it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def serve(listener, port, half):
    # Wakes within microseconds of the time asked for.
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1000)
    while True:
        near, _ = listener.accept()
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        try:
            far.connect(("127.0.0.1", port))
        except OSError:
            near.close()
            continue
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Way(near, far, half)
        Way(far, near, half)


class Way:
    """One direction of one connection."""

    def __init__(self, source, sink, half):
        self.source, self.sink, self.half = source, sink, half
        self.flying = collections.deque()
        self.news = threading.Semaphore(0)
        for work in (self.take, self.give):
            threading.Thread(target=work, daemon=True).start()

    def take(self):
        while True:
            try:
                data = self.source.recv(PIECE)
            except OSError:
                data = b""
            self.flying.append((time.monotonic() + self.half, data))
            self.news.release()
            if not data:
                return

    def give(self):
        while True:
            self.news.acquire()
            due, data = self.flying.popleft()
            early = due - time.monotonic()
            if early > 0:
                time.sleep(early)
            try:
                if not data:
                    return self.sink.shutdown(socket.SHUT_WR)
                self.sink.sendall(data)
            except OSError:
                return self.end()

    def end(self):
        """The other side has gone; the sender is told by the loss of its connection."""
        for one in (self.source, self.sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def self_test(half):
    """Sends a GiB through a line to a server that discards it, and says how fast that went."""
    sink = listen()
    line = listen()
    threading.Thread(target=serve, args=(line, sink.getsockname()[1], half), daemon=True).start()
    client = socket.create_connection(("127.0.0.1", line.getsockname()[1]))
    server, _ = sink.accept()
    total, block = 1 << 30, bytes(1 << 20)

    def send():
        for _ in range(total // len(block)):
            client.sendall(block)

    begun = time.monotonic()
    threading.Thread(target=send, daemon=True).start()
    got, room = 0, bytearray(PIECE)
    while got < total:
        got += server.recv_into(room)
    seconds = time.monotonic() - begun
    print(f"{total / seconds / 1e6:.0f} MB/s with a round trip of {half * 2000:.0f} ms")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    main()
