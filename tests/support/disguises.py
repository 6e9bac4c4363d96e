"""The disguises in which a server may send a key back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote


def percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": percent,
    "percent twice": lambda key: quote(percent(key), safe=""),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 twice": lambda key: base64.b64encode(base64.b64encode(key.encode())).decode(),
    "base64url": lambda key: base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
    "hex": lambda key: key.encode().hex(),
    "other case": str.swapcase,
    "reversed": lambda key: key[::-1],
    "broken over lines": lambda key: "\r\n".join(key[at : at + 5] for at in range(0, len(key), 5)),
    "JSON escapes": lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key),
    "entities": lambda key: "".join(f"&#{ord(letter)};" for letter in key),
    "entities in hexadecimal": lambda key: "".join(f"&#x{ord(letter):x};" for letter in key),
}
"""Each by its name: what it makes of a key."""
