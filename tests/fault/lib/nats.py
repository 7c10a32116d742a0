# SPDX-License-Identifier: Apache-2.0
"""A NATS client of one page for tests: plain TCP, publish, request, JetStream's JSON API. One thread at a time."""
import base64
import json
import os
import select
import socket
import time
import urllib.parse


class NatsError(Exception):
    pass


class Message:
    def __init__(self, subject, reply, headers, payload):
        self.subject, self.reply, self.headers, self.payload = subject, reply, headers, payload

    def header(self, name):
        for line in self.headers.split("\r\n"):
            if line.startswith(name + ":"):
                return line[len(name) + 1:].strip()
        return None


class Nats:
    def __init__(self, url, timeout_s=5):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.waiting = []  # messages received and not asked for yet
        self.pongs = 0
        self.inbox = "_INBOX." + base64.b32encode(os.urandom(10)).decode()
        self.requests = 0
        self.info = json.loads(self.line(time.monotonic() + timeout_s)[5:])
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "name": "test",
                   "lang": "python", "version": "0", "protocol": 1}
        if parts.username:
            options["user"], options["pass"] = parts.username, parts.password
        self.send(b"CONNECT " + json.dumps(options).encode() + b"\r\nSUB " + self.inbox.encode() + b".* 1\r\n")
        self.flush(timeout_s)

    def close(self):
        self.socket.close()

    # --- the wire
    def send(self, data):
        self.socket.sendall(data)

    def fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.socket], [], [], left)[0]:
            raise NatsError("no answer in time")
        data = self.socket.recv(1 << 20)
        if not data:
            raise NatsError("the server has closed the connection")
        self.buffer += data

    def line(self, deadline):
        while b"\r\n" not in self.buffer:
            self.fill(deadline)
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode()

    def take(self, size, deadline):
        while len(self.buffer) < size + 2:
            self.fill(deadline)
        data, self.buffer = self.buffer[:size], self.buffer[size + 2:]
        return data

    def read_one(self, deadline):
        words = self.line(deadline).split(" ")
        if words[0] == "PING":
            self.send(b"PONG\r\n")
        elif words[0] == "PONG":
            self.pongs += 1
        elif words[0] == "MSG":
            self.waiting.append(Message(words[1], words[3] if len(words) == 5 else "", "",
                                        self.take(int(words[-1]), deadline)))
        elif words[0] == "HMSG":
            head, total = int(words[-2]), int(words[-1])
            data = self.take(total, deadline)
            self.waiting.append(Message(words[1], words[3] if len(words) == 6 else "", data[:head].decode(), data[head:]))
        elif words[0] == "-ERR":
            raise NatsError(" ".join(words[1:]))

    # --- what tests use
    def flush(self, timeout_s=5):
        deadline, want = time.monotonic() + timeout_s, self.pongs + 1
        self.send(b"PING\r\n")
        while self.pongs < want:
            self.read_one(deadline)

    def publish(self, subject, payload, headers=None, reply=""):
        reply = reply + " " if reply else ""
        if headers is None:
            self.send(f"PUB {subject} {reply}{len(payload)}\r\n".encode() + payload + b"\r\n")
            return
        head = ("NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()
        self.send(f"HPUB {subject} {reply}{len(head)} {len(head) + len(payload)}\r\n".encode() + head + payload + b"\r\n")

    def request(self, subject, payload=b"", headers=None, timeout_s=5):
        deadline = time.monotonic() + timeout_s
        self.requests += 1
        inbox = f"{self.inbox}.{self.requests}"
        self.publish(subject, payload, headers, inbox)
        while True:
            for i, message in enumerate(self.waiting):
                if message.subject == inbox:
                    del self.waiting[i]
                    if message.headers.startswith("NATS/1.0 503"):
                        raise NatsError(f"nobody answers {subject}")
                    return message
            self.read_one(deadline)

    def api(self, what, body=None):
        """One request of JetStream's API; its answer, or NatsError with the server's words."""
        answer = json.loads(self.request("$JS.API." + what, json.dumps(body).encode() if body is not None else b"").payload)
        if "error" in answer:
            raise NatsError(f"{what}: {answer['error']}")
        return answer

    def store(self, subject, payload, headers=None, timeout_s=5):
        """Publishes to a stream and gives the acknowledgement."""
        answer = json.loads(self.request(subject, payload, headers, timeout_s).payload)
        if "error" in answer:
            raise NatsError(f"{subject}: {answer['error']}")
        return answer

    def create_stream(self, name, subjects, **more):
        return self.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects, "storage": "file", **more})

    def stream(self, name):
        return self.api(f"STREAM.INFO.{name}")["state"]

    def stored(self, stream, subject):
        """Every message of a subject, in order, as a Message with its sequence."""
        sequence = 1
        while True:
            try:
                found = self.api(f"STREAM.MSG.GET.{stream}", {"seq": sequence, "next_by_subj": subject})["message"]
            except NatsError as error:
                if "10037" in str(error):  # no message found
                    return
                raise
            message = Message(found["subject"], "", base64.b64decode(found.get("hdrs", "")).decode(),
                              base64.b64decode(found.get("data", "")))
            message.sequence = found["seq"]
            yield message
            sequence = found["seq"] + 1

    def messages(self, stream, subject):
        """Every message of a subject, in order: (sequence, payload)."""
        for message in self.stored(stream, subject):
            yield message.sequence, message.payload
