"""What outputs must not have in them: secrets, or parts of them."""

import json
import os
from urllib.parse import quote

PIECE = 4


def assert_hidden(secret, *outputs):
    """No piece of `secret` of four characters, digits alone aside, is in any of the outputs, as it is or in another spelling."""
    text = "\n".join(outputs)
    for spelling in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}:
        for start in range(len(spelling) - PIECE + 1):
            piece = spelling[start : start + PIECE]
            # Times and offsets have any four digits by chance; `%40W` is what the configuration of every form has.
            if piece.isdigit() or (piece == "%40W" and piece not in secret):
                continue
            assert piece not in text, f"{piece!r} of {secret!r}:\n{text}"


def outputs_of(job, commands, **environment):
    """The exit codes and all that the commands print, with librdkafka's and the program's own log lines."""
    environment = {**os.environ, "RUST_LOG": "debug,librdkafka=trace", **environment}
    done = [job.run(*command, expect=None, env=environment, timeout=60) for command in commands]
    return [one.returncode for one in done], [text for one in done for text in (one.stdout, one.stderr)]
