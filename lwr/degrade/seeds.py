"""Which seed a photo of many gets: by its name, so that order and company of photos do not matter."""

import hashlib


def row_seed(seed: int, task: str, image_id: str, number: int = 0) -> int:
    """62 bits, of the generator of one photo's damage, at the draw of this `number`."""
    again = f"|{number}" if number else ""
    text = f"{seed}|{task}|{image_id}{again}".encode(errors="surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 2
