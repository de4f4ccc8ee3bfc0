"""The forms of a page, as a browser without script reads them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    """One form: where it posts, its fields as they stand, its choices and its buttons."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.text = ""
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given["method"], given["action"]))
        elif tag == "a":
            self.links.append(given["href"])
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option":
            self._choice(self._select, given["value"])
        elif tag == "button":
            self.forms[-1].buttons.append((given["name"], given["value"]))
        elif tag == "input":
            self._input(given)

    def _input(self, given: dict[str, str]) -> None:
        kind = given.get("type", "text")
        if kind in ("radio", "checkbox"):
            self._choice(given["name"], given.get("value", "on"))
        else:
            self.forms[-1].fields[given["name"]] = given.get("value", "")

    def _choice(self, name: str, value: str) -> None:
        self.forms[-1].choices.setdefault(name, []).append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> tuple[list[Form], list[str], str]:
    """Its forms, its links, its text."""
    reader = _Reader()
    reader.feed(page)
    return reader.forms, reader.links, reader.text
