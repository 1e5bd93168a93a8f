"""Names in C."""

from __future__ import annotations


def quoted(text: str) -> str:
    """Any text as a C string literal; non-ASCII bytes and special characters as octal escapes."""
    plain = {*range(0x20, 0x7F)} - {*b'"\\?'}
    chars = (chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(chars)}"'
