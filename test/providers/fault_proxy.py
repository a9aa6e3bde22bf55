"""fault_proxy.py: a TCP proxy that does to a connection what networks do.

It stands between a program and a real server, of plain HTTP or TLS alike, and
changes what it does from one moment to the next:

    pass            forwards
    refuse          closes connections at once, open ones at their next request
    reset           resets them, after the request has come
    hang            takes requests and never answers
    cut N           forwards N bytes of the reply, then closes
    drip SECONDS    forwards a byte of the reply at a time, so far apart
    delay SECONDS   forwards the reply after so long
    garbage         answers with random bytes
    text TEXT       answers with this text (\\r and \\n are escapes) and closes
    flood           answers 200 with a body that does not end
    once MODE       does that to the next connection, and then forwards

A mode holds for connections that are open as well.  In a Python test:

    proxy = Proxy(port); proxy.mode("hang"); ... ; proxy.stop()

By hand, and in tests in other languages, the mode is the content of a file:

    fault_proxy.py SERVER_PORT CONTROL_FILE     prints the port it listens on

The first line of each HTTP request that is forwarded to the server goes into
"CONTROL_FILE.requests", and the attribute "forwarded".

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import os
import re
import socket
import struct
import sys
import threading
import time


class Proxy:
    """Listens on a free port of the loopback address."""

    def __init__(self, target_port, control=None):
        self.target_port = target_port
        self.control = control
        self.forwarded = []
        self._mode = "pass"
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=300)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def mode(self, text):
        with self._lock:
            self._mode = text

    def stop(self):
        self._stopping.set()
        self._listener.close()

    def _current(self):
        if self.control:
            try:
                with open(self.control, encoding="utf-8") as file:
                    return file.read().strip() or "pass"
            except FileNotFoundError:
                return "pass"
        with self._lock:
            return self._mode

    def _listen(self):
        while not self._stopping.is_set():
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            fixed = None
            with self._lock:
                if self._mode.startswith("once "):
                    fixed = self._mode[5:]
                    self._mode = "pass"
            threading.Thread(target=self._serve, args=(client, fixed),
                             daemon=True).start()

    def _serve(self, client, fixed):
        if (fixed or self._current()) == "refuse":
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1",
                                               self.target_port), 10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        connection = _Connection(client, server,
                                 lambda: fixed or self._current(),
                                 self._record)
        threading.Thread(target=connection.requests, daemon=True).start()
        connection.replies()


    def _record(self, data):
        match = re.match(rb"[A-Z]+ /[!-~]* HTTP/1\.1(?=\r\n)", data)
        if not match:
            return
        line = match.group().decode()
        self.forwarded.append(line)
        if self.control:
            with open(self.control + ".requests", "a",
                      encoding="ascii") as file:
                file.write(line + "\n")


class _Connection:
    def __init__(self, client, server, mode, record):
        self.client = client
        self.server = server
        self.mode = mode
        self.record = record

    def close(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def requests(self):
        """From the client to the server, unless the reply is made here."""
        try:
            while True:
                data = self.client.recv(65536)
                if not data:
                    break
                if not self.answer_alone():
                    self.record(data)
                    self.server.sendall(data)
        except OSError:
            pass
        self.close()

    def answer_alone(self):
        """What needs no server: true if that was done."""
        word, _, rest = self.mode().partition(" ")
        if word == "hang":
            return True
        if word == "refuse":
            self.close()
            raise OSError
        if word == "reset":
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
            self.client.close()
            self.server.close()
            raise OSError
        if word == "garbage":
            self.client.sendall(os.urandom(512))
        elif word == "text":
            self.client.sendall(rest.replace("\\r", "\r")
                                .replace("\\n", "\n").encode())
        elif word == "flood":
            self.client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                self.client.sendall(b"x" * 65536)
        else:
            return False
        self.close()
        raise OSError

    def replies(self):
        try:
            while True:
                data = self.server.recv(65536)
                if not data:
                    break
                self.forward(data)
        except OSError:
            pass
        self.close()

    def forward(self, data):
        word, _, rest = self.mode().partition(" ")
        if word == "hang":
            while self.mode() == "hang":
                time.sleep(0.02)
        if word == "cut":
            self.client.sendall(data[:int(rest)])
            raise OSError
        if word == "drip":
            for i in range(len(data)):
                self.client.sendall(data[i:i + 1])
                time.sleep(float(rest))
            return
        if word == "delay":
            time.sleep(float(rest))
        self.client.sendall(data)


if __name__ == "__main__":
    running = Proxy(int(sys.argv[1]), sys.argv[2])
    print(running.port, flush=True)
    # Ends with whoever started it.
    sys.stdin.read()
