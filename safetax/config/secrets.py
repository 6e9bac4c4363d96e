"""What must not be written to disk: a key in a text, plain, in part, or in a disguise that a server may put it in.

A key is looked for as the digits and letters that it has, in either case and either direction, whatever stands between
them, and in hexadecimal, base32 and base64 of it, of its other forms, and of those in turn; in the text as it is, and
with its percent signs, entities and backslashes decoded.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import quote, unquote

WINDOW = 16
"""Letters and digits in a row of a key, or of a disguise of it, by which it is told."""
SHORTEST = 8
"""Letters and digits below which a key is a word such as ``EMPTY`` that servers without keys are given."""
ROUNDS = 4
"""How often a text is decoded, one encoding below the other."""
Encoding = Callable[[bytes], bytes]
ENCODINGS: tuple[tuple[Encoding, int, int], ...] = (
    (binascii.hexlify, 4, 1),
    (base64.b32encode, 5, 5),
    (base64.b64encode, 6, 3),
    (base64.urlsafe_b64encode, 6, 3),
)
"""Each encoding, the bits that a letter of it stands for, and the bytes behind which its letters repeat."""


def holds(text: str, key: str) -> bool:
    """Whether a text holds a key, plain or in a disguise.

    Args:
        text: what a server said.
        key: the key; one that is a plain word is only looked for as it is, and a very short one not at all.
    """
    letters = len(_letters(key))
    if letters < SHORTEST:
        return False
    if letters < WINDOW and not re.search(r"\d", key):
        return key in text
    width, windows = _windows(key)
    for form in _decoded(text):
        found = _letters(form)
        if any(found[at : at + width] in windows for at in range(len(found) - width + 1)):
            return True
    return False


def looks_like_key(word: str) -> bool:
    """Whether a word has the shape of a key: a usual beginning and a long run of letters and digits, or a longer run
    of digits and of letters of both cases.
    """
    begun = re.match(r"(?i)(sk|pk|rk|hf|gsk|xai|ghp|key|token|api[-_]?key|bearer)[-_]", word)
    runs = [run for run in re.findall(r"[A-Za-z0-9]+", word) if re.search("[0-9]", run)]
    mixed = [run for run in runs if len(run) >= 20 and re.search("[a-z]", run) and re.search("[A-Z]", run)]
    return bool(mixed or (begun and any(len(run) >= 12 for run in runs)))


@lru_cache(maxsize=8)
def _windows(key: str) -> tuple[int, frozenset[str]]:
    """Return the letters in a row that a key is told by: how many, and which."""
    plain = {key, key.lower(), key.upper(), key.swapcase()}
    once = {form for written in (*plain, *(form[::-1] for form in plain)) for form in (written, *_encoded(written))}
    forms = {_letters(form) for text in once for form in (text, text[::-1], *_inside(text.encode()))}
    width = min(WINDOW, *map(len, forms))
    return width, frozenset(form[at : at + width] for form in forms for at in range(len(form) - width + 1))


def _encoded(text: str) -> Iterator[str]:
    """Yield a text in each encoding, as a whole."""
    raw = text.encode()
    for encode, _, _ in ENCODINGS:
        yield encode(raw).decode()
    yield "".join(f"%{byte:02x}" for byte in raw)
    yield quote(text, safe="")


def _inside(raw: bytes) -> Iterator[str]:
    """Yield the letters by which bytes are told in each encoding of a longer text that they stand in."""
    for encode, bits, period in ENCODINGS:
        for before in range(period):
            text = encode(bytes(before) + raw).decode()
            yield text[-(-8 * before // bits) : 8 * (before + len(raw)) // bits]


def _decoded(text: str) -> Iterator[str]:
    """Yield a text, and what it becomes when it is decoded, until nothing is left to decode."""
    for _ in range(ROUNDS + 1):
        yield text
        plain = html.unescape(unquote(text))
        plain = re.sub(r"\\+(?:u\{?|x)([0-9a-fA-F]{2,6})", lambda found: _character(found[1]), plain)
        if plain == text:
            return
        text = plain


def _character(digits: str) -> str:
    """Return the character of a backslash's code, and the digits that are no part of it."""
    width = 4 if len(digits) >= 4 else 2
    return chr(int(digits[:width], 16)) + digits[width:]


def _letters(text: str) -> str:
    """Return the digits and letters of a text in lower case, and nothing else."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKC", text).lower())
