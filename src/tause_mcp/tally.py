"""How often a part of this process's surroundings has failed: counted where it is noticed."""

from collections import Counter

failures: Counter[str] = Counter()
"""Part (`database`, `storage`, `cache`) -> failures since this process began."""


def failed(part: str) -> None:
    """A request to `part` failed, was refused or came too late."""
    failures[part] += 1
