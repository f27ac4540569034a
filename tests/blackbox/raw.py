"""Messages that no client library would send: a Produce request written by hand, for one partition of a broker without TLS."""

import socket
import struct

CRC32C = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 if byte & 1 else byte >> 1
    CRC32C.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(number):
    left = (number << 1 ^ number >> 63) & 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while left >= 0x80:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def batch(payload, key, headers, timestamp_ms):
    record = b"\0\0\0" + sized(key) + sized(payload) + varint(len(headers))
    record += b"".join(sized(name) + sized(value) for name, value in headers)
    record = varint(len(record)) + record
    # Attributes, the last offset's distance, the first and last time, no producer, one record.
    tail = struct.pack(">hiqqqhii", 0, 0, timestamp_ms, timestamp_ms, -1, -1, -1, 1) + record
    head = struct.pack(">ibI", 0, 2, crc32c(tail)) + tail
    return struct.pack(">qi", 0, len(head)) + head


def produce(topic, payload, key=None, headers=(), timestamp_ms=1_700_000_000_000, partition=0):
    """Sends one message to a topic; header names and values are bytes."""
    host, _, port = topic.server.rpartition(":")
    name = topic.name.encode()
    records = batch(payload, key, headers, timestamp_ms)
    # Produce, version 7: no client's name, no transaction, all replicas, 10 s; one topic with one partition.
    request = struct.pack(">hhihhhi", 0, 7, 1, -1, -1, -1, 10_000)
    request += struct.pack(">ih", 1, len(name)) + name
    request += struct.pack(">iii", 1, partition, len(records)) + records
    with socket.create_connection((host, int(port)), timeout=30) as broker:
        broker.sendall(struct.pack(">i", len(request)) + request)
        answer = receive(broker, struct.unpack(">i", receive(broker, 4))[0])
    # Correlation, one topic with its name, one partition with its number; then the error.
    at = 4 + 4 + 2 + len(name) + 4 + 4
    error = struct.unpack(">h", answer[at : at + 2])[0]
    assert error == 0, f"Kafka answers with error {error}"
    topic.next_offsets[partition] += 1


def receive(broker, count):
    data = b""
    while len(data) < count:
        more = broker.recv(count - len(data))
        assert more, "the broker closed the connection"
        data += more
    return data
