"""Just enough Avro, written by hand, to make many messages quickly and to make broken ones on purpose.

fastavro is the other side where the format itself is tested; here bytes are put together so that each test knows
what every one of them is for.
"""

import struct


def varint(number):
    """A zigzag variable-length integer, as Avro writes int, long, lengths, indexes and counts."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def string(text):
    data = text.encode("utf-8") if isinstance(text, str) else text
    return varint(len(data)) + data


def double(number):
    return struct.pack("<d", number)


# The shipped schema's six fields, under the name the tests use.
MOVEMENT = {
    "type": "record",
    "name": "Movement",
    "fields": [
        {"name": "customer", "type": "int"},
        {"name": "agency", "type": "string"},
        {"name": "operation_value", "type": "double"},
        {"name": "operation_type", "type": "int"},
        {"name": "date", "type": "string"},
        {"name": "account_balance", "type": "double"},
    ],
}

_TAIL = double(12.5) + varint(1) + string("2024-03-11 08:00:00") + double(100.0)
_AGENCY = string("Centro")


def movement(customer):
    """A movement whose customer is the number of the message, so that each can be told from all others."""
    return varint(customer) + _AGENCY + _TAIL


def customer_movement(fields):
    """A movement with these fields, a dict as in data/customers.json."""
    return b"".join(
        (
            varint(fields["customer"]),
            string(fields["agency"]),
            double(fields["operation_value"]),
            varint(fields["operation_type"]),
            string(fields["date"]),
            double(fields["account_balance"]),
        )
    )


# The view of the tests that count: one row a message, with where it came from.
COUNTING_VIEW = """
SELECT customer AS n, operation_value, kafka_topic, kafka_partition AS p, kafka_offset AS o FROM batch
"""


class Broken(Exception):
    """These bytes are not one value of the schema."""


def read_varint(data, at, bits):
    shift = number = 0
    for _ in range(10):
        if at >= len(data):
            raise Broken("varint ends early")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            value = (number >> 1) ^ -(number & 1)
            if number >= 1 << 64 or not -(1 << bits - 1) <= value < 1 << bits - 1:
                raise Broken("varint out of range")
            return value, at
    raise Broken("varint too long")


def _take(data, at, length):
    if length < 0 or at + length > len(data):
        raise Broken("length out of range")
    return data[at : at + length], at + length


def _value(kind, data, at):
    match kind:
        case "long":
            return read_varint(data, at, 64)
        case "double":
            raw, at = _take(data, at, 8)
            return struct.unpack("<d", raw)[0], at
        case "string":
            length, at = read_varint(data, at, 64)
            raw, at = _take(data, at, length)
            try:
                return raw.decode("utf-8"), at
            except UnicodeDecodeError as error:
                raise Broken("not UTF-8") from error
        case ("optional", inner):
            index, at = read_varint(data, at, 64)
            if index not in (0, 1):
                raise Broken("no such branch")
            return (None, at) if index == 0 else _value(inner, data, at)
        case ("array", inner):
            items = []
            while True:
                count, at = read_varint(data, at, 64)
                if count == 0:
                    return items, at
                if count < 0:
                    _, at = read_varint(data, at, 64)
                    count = -count
                # Every item of the tests' arrays takes at least a byte.
                if count > len(data) - at:
                    raise Broken("block count out of range")
                for _ in range(count):
                    item, at = _value(inner, data, at)
                    items.append(item)
        case _:
            raise ValueError(kind)


def read_strictly(kinds, data):
    """The values of a record's fields, or `Broken` where the bytes are anything but exactly that record."""
    values, at = [], 0
    for kind in kinds:
        value, at = _value(kind, data, at)
        values.append(value)
    if at != len(data):
        raise Broken("bytes left over")
    return values
