# SPDX-License-Identifier: Apache-2.0
"""Protobuf's wire format by hand: what tests need to make good and bad events and to read commits."""
import struct


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def double(field, value):
    return varint(field << 3 | 1) + struct.pack("<d", value)


def timestamp(field, seconds, nanos=0):
    return data(field, (number(1, seconds) if seconds else b"") + (number(2, nanos) if nanos else b""))


def read(message):
    """field number -> list of values: int, or bytes of length-delimited and fixed ones."""
    fields, at = {}, 0

    def take_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = take_varint()
        if key & 7 == 0:
            value = take_varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or take_varint()
            value, at = message[at:at + size], at + size
        fields.setdefault(key >> 3, []).append(value)
    return fields
