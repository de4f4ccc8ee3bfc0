"""Odd ways to write a name, each of which some layer may fold into the plain one."""

import unicodedata
from collections.abc import Callable, Mapping
from urllib.parse import quote


def _percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def _full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "upper": str.upper,
    "title": str.title,
    "quoted": lambda text: quote(text, safe=""),
    "percent": _percent,
    "twice": lambda text: quote(_percent(text), safe=""),
    "full-width": _full_width,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "dot": lambda text: f"./{text}",
    "dots": lambda text: f"walk/../{text}",
    "up": lambda text: f"../{text}",
    "root": lambda text: f"/{text}",
    "double": lambda text: text.replace("/", "//"),
    "backslash": lambda text: text.replace("/", "\\"),
    "slash": lambda text: f"{text}/",
    "nul": lambda text: f"{text}\0",
    "inner nul": lambda text: f"{text[:3]}\0{text[3:]}",
    "newline": lambda text: f"{text}\n",
    "space": lambda text: f" {text} ",
    "zero width": lambda text: f"{text}\u200b",
    "soft": lambda text: f"{text[:2]}\u00ad{text[2:]}",
    "cut": lambda text: text[:-1],
    "like any": lambda text: f"{text[:-1]}%",
    "like one": lambda text: f"{text[:-1]}_",
    "star": lambda text: f"{text[:-1]}*",
    "quote": lambda text: f"{text}' OR '1'='1",
    "comment": lambda text: f"{text}'--",
    "fragment": lambda text: f"{text}#x",
    "query": lambda text: f"{text}?x=1",
}
