# SPDX-License-Identifier: Apache-2.0
"""A reader of archive segments that knows docs/formats/archive.md and nothing of Braid's code: Avro's container, zstd's
command, and the columns."""
import subprocess


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise ValueError("cut short")
        part = self.data[self.at:self.at + size]
        self.at += size
        return part

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value & (1 << 64) - 1

    def long(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def word(self):
        return self.take(self.varint())

    def bytes(self):
        return self.take(self.long())

    def left(self):
        return len(self.data) - self.at


def put_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_map(reader):
    entries = {}
    while count := reader.long():
        if count < 0:
            count = -count
            reader.long()
        for _ in range(count):
            key = reader.bytes().decode()
            entries[key] = reader.bytes()
    return entries


def words(data):
    reader, found = Reader(data), []
    while reader.left():
        found.append(reader.word())
    return found


class Event:
    """Puts events together again, from their shapes and the columns of values."""

    def __init__(self, columns):
        self.shapes = [self.steps(shape) for shape in words(columns["shapes"])]
        self.columns = {name: Reader(data) for name, data in columns.items() if name[0] in "vdbl48" and name[1:].isdigit()}
        self.previous = {}

    @staticmethod
    def steps(shape):
        reader, steps = Reader(shape), []
        while reader.left():
            word = reader.varint()
            kind = word & 7
            steps.append((kind, word >> 3, b"" if kind in (4, 6) else put_varint(reader.varint())))
        return steps

    def number(self, column):
        if f"v{column}" in self.columns:
            return self.columns[f"v{column}"].varint()
        self.previous[column] = self.previous.get(column, 0) + self.columns[f"d{column}"].long() & (1 << 64) - 1
        return self.previous[column]

    def make(self, shape):
        levels = [b""]
        for kind, column, tag in self.shapes[shape]:
            levels[-1] += tag
            if kind == 0:
                levels[-1] += put_varint(self.number(column))
            elif kind == 1:
                levels[-1] += self.columns[f"8{column}"].take(8)
            elif kind == 5:
                levels[-1] += self.columns[f"4{column}"].take(4)
            elif kind in (2, 6):
                size = self.columns[f"l{column}"].varint()
                levels[-1] += (put_varint(size) if kind == 2 else b"") + self.columns[f"b{column}"].take(size)
            elif kind == 3:
                levels.append(b"")
            else:
                inner = levels.pop()
                levels[-1] += put_varint(len(inner)) + inner
        return levels[0]


def read_headers(data):
    reader = Reader(data)
    return [[reader.word().decode(), reader.word().decode()] for _ in range(reader.varint())]


def read_record(record):
    reader = Reader(record)
    count, size, columns = reader.long(), reader.long(), {}
    while items := reader.long():
        for _ in range(items):
            name = reader.bytes().decode()
            columns[name] = reader.bytes()
    part = {name: Reader(columns[name]) for name in ("sequence", "time", "subject", "headers", "events", "shape")}
    subjects, sets, events = words(columns["subjects"]), words(columns["header_sets"]), Event(columns)
    sequence = time = total = 0
    for _ in range(count):
        sequence += part["sequence"].varint()
        time += part["time"].long()
        subject = subjects[part["subject"].varint()].decode()
        chosen = part["headers"].varint()
        framed = part["events"].varint()
        if framed == 0:
            payload = events.make(part["shape"].varint())
        else:
            made = [events.make(part["shape"].varint()) for _ in range(framed)]
            payload = b"".join(put_varint(len(one)) + one for one in made)
        total += len(payload)
        yield {"sequence": sequence, "time_us": time, "subject": subject,
               "headers": read_headers(sets[chosen - 1]) if chosen else [], "payload": payload}
    if total != size:
        raise ValueError(f"{total} bytes of payload, not {size}")


def read(path):
    """The metadata and the messages of a segment."""
    with open(path, "rb") as file:
        reader = Reader(file.read())
    if reader.take(4) != b"Obj\x01":
        raise ValueError("no Avro file")
    metadata = read_map(reader)
    sync, messages = reader.take(16), []
    while reader.left():
        if reader.long() != 1:
            raise ValueError("not one record in a block")
        data = reader.bytes()
        if reader.take(16) != sync:
            raise ValueError("no sync marker")
        messages += read_record(subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout)
    return metadata, messages
