"""Write the generated pages: docs/settings.md, docs/errors.md and docs/tools.md."""

import sys
from pathlib import Path

from tause_mcp.testing.pages import PAGES

DOCS = Path(__file__).parent.parent / "docs"

stale = []
for name, render in PAGES.items():
    path, text = DOCS / name, render()
    if not path.exists() or path.read_text() != text:
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text)
for name in stale:
    print(f"docs/{name}: {'stale: run make surface' if '--check' in sys.argv else 'written'}")
sys.exit(bool(stale) and "--check" in sys.argv)
