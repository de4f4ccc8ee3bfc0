"""The docs tell today's truth."""

import re
from pathlib import Path

import pytest

from tause_mcp.catalog import load
from tause_mcp.settings import names
from tause_mcp.testing.pages import PAGES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_current(page: str) -> None:
    assert (DOCS / page).read_text() == PAGES[page](), "run `make surface`"


def test_every_setting_is_named_in_the_docs() -> None:
    text = (DOCS / "settings.md").read_text()
    assert all(f"`{name}`" in text for name in names())
    assert len(names()) <= 60


def test_every_tool_is_named_in_the_docs() -> None:
    text = (DOCS / "tools.md").read_text()
    assert all(f"`{name}`" in text for name in load(()).tools)


def test_no_link_between_pages_is_broken() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_server_tells_hosts_about_every_capability_in_two_kilobytes() -> None:
    from tause_mcp.server.build import instructions

    text = instructions(load(()))
    assert len(text.encode()) < 2048
    assert all(f"- {c.name}: " in text for c in load(()).capabilities)


def test_the_page_of_dataframes_lists_every_function() -> None:
    from tause_mcp.services.dataframes.grammar import TOPICS

    text = (DOCS / "dataframes.md").read_text()
    assert all(f"| {topic} | {names} |" in text for topic, names in TOPICS.items())


def test_the_page_of_the_sandbox_names_every_method_fault_mode_and_part() -> None:
    from tause_mcp.testing.wompi import FAULTS, METHODS, WEBHOOK_MODES
    from tause_mcp.testing.wompi.control import CHANGEABLE

    text = (DOCS / "sandbox.md").read_text()
    sent_as_themselves = {"CARD", "NEQUI", "PSE"}
    named = {*FAULTS, *WEBHOOK_MODES, *CHANGEABLE, *METHODS} - sent_as_themselves
    assert sorted(name for name in named if f"`{name}`" not in text) == []
