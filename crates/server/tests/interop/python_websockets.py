"""The Python library `websockets` against an echo server.

    python python_websockets.py ws://127.0.0.1:9998/echo --compression off|declined|on

`off` offers no compression, `declined` offers it to a server that must not take it, `on` to one that must.
Invariant: prints `ok N checks`, or the first difference and ends with 1; no wait is without an end.
"""

import argparse
import faulthandler
import random
import sys

from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

MESSAGE_BYTES_MAX = 16 << 20
SIZES_BYTES = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20, MESSAGE_BYTES_MAX]
REASON_BYTES_MAX = 123
ANSWER_S_MAX = 20
RUN_S_MAX = 60

# Four characters of one to four bytes.
CHARACTERS = "aé€𝄞"
CHARACTERS_BYTES = len(CHARACTERS.encode())
JSON_ROW = b'{"id":4711,"name":"gannet","position":[57.07,-5.78],"tags":["sea","bird"]},'

# What a client can offer, by name. The first is what the library offers by itself: windows of 12 bits both ways.
OFFERS = {
    "the offer of the library": {"compression": "deflate"},
    "a bare offer": {},
    "any client window": {"client_max_window_bits": True},
    "no server takeover": {"server_no_context_takeover": True},
    "no client takeover": {"client_no_context_takeover": True},
    "no takeover": {"server_no_context_takeover": True, "client_no_context_takeover": True},
    "windows of 10 bits": {"server_max_window_bits": 10, "client_max_window_bits": 10},
}

CLOSES = [
    (1000, ""),
    (1001, "the page is left"),
    (3000, "of a library"),
    (4999, "€" * (REASON_BYTES_MAX // 3)),
    (None, ""),
]


class Difference(Exception):
    """What came is not what was expected."""


class Checks:
    """Counts what was as expected."""

    def __init__(self):
        self.count = 0

    def equal(self, what, actual, expected):
        if actual != expected:
            raise Difference(f"{what}: expected {shown(expected)}, got {shown(actual)}")
        self.count += 1


def shown(value):
    text = repr(value[:64] if isinstance(value, (str, bytes)) else value)
    return f"{text}, {len(value)} long" if isinstance(value, (str, bytes)) else text


def text_of(size_bytes):
    """Text of exactly this size in UTF-8."""
    characters, rest = divmod(size_bytes, CHARACTERS_BYTES)
    return CHARACTERS * characters + "x" * rest


def compressible(size_bytes):
    return (JSON_ROW * (size_bytes // len(JSON_ROW) + 1))[:size_bytes]


def incompressible(size_bytes):
    return random.Random(size_bytes).randbytes(size_bytes)


def pieces(payload, count):
    """`payload` cut into `count` pieces of nearly the same size, wherever the cuts fall."""
    cuts = [len(payload) * index // count for index in range(count + 1)]
    return [payload[start:end] for start, end in zip(cuts, cuts[1:])]


class Peer:
    """A client library with its settings, and the checks it makes."""

    def __init__(self, url, compression):
        self.url = url
        self.compression = compression
        self.checks = Checks()

    def open(self, offer=None, **options):
        """Opens a connection and checks that compression is in use exactly when it must be."""
        offer = offer or next(iter(OFFERS))
        connection = connect(
            self.url,
            proxy=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
            **self.offered(OFFERS[offer]),
            **options,
        )
        header = connection.response.headers.get("Sec-WebSocket-Extensions")
        name = header and header.split(";")[0].strip()
        in_use = [extension.name for extension in connection.protocol.extensions]
        expected = ["permessage-deflate"] if self.compression == "on" else []
        self.checks.equal(f"extension named in the response to {offer}", name, expected[0] if expected else None)
        self.checks.equal(f"extensions in use after {offer}", in_use, expected)
        return connection

    def offered(self, parameters):
        if self.compression == "off":
            return {"compression": None}
        if "compression" in parameters:
            return parameters
        offer = ClientPerMessageDeflateFactory(**{"client_max_window_bits": None, **parameters})
        return {"compression": None, "extensions": [offer]}

    def echo(self, connection, what, payload):
        connection.send(payload)
        self.answered(connection, what, payload)

    def answered(self, connection, what, payload):
        try:
            answer = connection.recv(timeout=ANSWER_S_MAX)
        except (ConnectionClosed, TimeoutError) as end:
            answer = end
        self.checks.equal(what, answer, payload)

    def messages_of_every_size(self):
        with self.open() as connection:
            for size_bytes in SIZES_BYTES:
                self.echo(connection, f"text of {size_bytes} bytes", text_of(size_bytes))
                self.echo(connection, f"compressible binary of {size_bytes} bytes", compressible(size_bytes))
                self.echo(connection, f"incompressible binary of {size_bytes} bytes", incompressible(size_bytes))

    def every_offer(self):
        for offer in OFFERS:
            with self.open(offer) as connection:
                for size_bytes in [0, 5, 1000, 100_000, 1000]:
                    self.echo(connection, f"text of {size_bytes} bytes after {offer}", text_of(size_bytes))
                    self.echo(connection, f"binary of {size_bytes} bytes after {offer}", incompressible(size_bytes))

    def messages_without_waiting(self):
        with self.open() as connection:
            messages = [compressible(index) if index % 2 else text_of(index) for index in range(500)]
            for message in messages:
                connection.send(message)
            for index, message in enumerate(messages):
                self.answered(connection, f"message {index} of many", message)

    def fragments(self):
        text = text_of(10_007)
        with self.open() as connection:
            for count in [1, 2, 3, 50]:
                # Bytes sent as text are cut inside of characters.
                connection.send(pieces(text.encode(), count), text=True)
                self.answered(connection, f"text in {count} fragments", text)
                binary = incompressible(100_003)
                connection.send(pieces(binary, count))
                self.answered(connection, f"binary in {count} fragments", binary)
            connection.send([b"", b"first", b"", b"last", b""])
            self.answered(connection, "fragments of which some are empty", b"firstlast")
            largest = incompressible(MESSAGE_BYTES_MAX)
            connection.send(pieces(largest, 16))
            self.answered(connection, "the largest message in 16 fragments", largest)

    def pings(self):
        with self.open() as connection:
            for payload in [b"", b"ping", bytes(range(125))]:
                pong = connection.ping(payload)
                self.checks.equal(f"pong of {len(payload)} bytes", pong.wait(ANSWER_S_MAX), True)
            connection.pong(b"nobody asked")
            self.echo(connection, "text after a pong that nobody asked for", "still here")

            def with_a_ping_between():
                yield "before"
                pong = connection.ping(b"between")
                self.checks.equal("pong between two fragments", pong.wait(ANSWER_S_MAX), True)
                yield ", after"

            connection.send(with_a_ping_between())
            self.answered(connection, "text around a ping", "before, after")

    def closes(self):
        for code, reason in CLOSES:
            connection = self.open()
            connection.close(code, reason)
            answer = (connection.close_code, connection.close_reason)
            # RFC 6455 §7.1.5: a Close frame without a code is reported as 1005.
            self.checks.equal(f"answer to Close {code}", answer, (code or 1005, reason))

    def one_byte_too_many(self):
        for kind, payload in [("compressible", compressible), ("incompressible", incompressible)]:
            connection = self.open()
            try:
                # The byte too many is a fragment of its own, so that nothing is on its way when the server closes.
                connection.send([payload(MESSAGE_BYTES_MAX), b"!"])
                answer = connection.recv(timeout=ANSWER_S_MAX)
                raise Difference(f"{kind} message of 16 MiB + 1: expected a Close, got {shown(answer)}")
            except ConnectionClosed:
                self.checks.equal(f"Close for a {kind} message of 16 MiB + 1", connection.close_code, 1009)

    def subprotocols(self):
        with self.open(subprotocols=["chat", "superchat"]) as connection:
            self.checks.equal("subprotocol chosen", connection.subprotocol, None)
            self.echo(connection, "text without a subprotocol", "hello")

    def run(self):
        self.messages_of_every_size()
        if self.compression != "off":
            self.every_offer()
        self.messages_without_waiting()
        self.fragments()
        self.pings()
        self.closes()
        self.one_byte_too_many()
        self.subprotocols()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--compression", choices=["off", "declined", "on"], required=True)
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(RUN_S_MAX, exit=True)
    peer = Peer(arguments.url, arguments.compression)
    try:
        peer.run()
    except Difference as difference:
        sys.exit(str(difference))
    print(f"ok {peer.checks.count} checks")


if __name__ == "__main__":
    main()
