"""A real browser without a window: Debian's Chromium, driven by Playwright, which downloads nothing.

`opened()` gives pages of one phone-sized window per test; the browser's own data is a new folder each
time.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, async_playwright

PHONE = {"width": 360, "height": 760}
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _binary() -> str:
    """`chromium`; installed when we may, else a loud failure."""
    if found := shutil.which("chromium"):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "update", "-q"], check=False, env=environment)
        subprocess.run(["apt-get", "install", "-qy", "chromium"], check=True, env=environment)
    if found := shutil.which("chromium"):
        return found
    raise RuntimeError("these tests need Chromium: install it (apt-get install chromium)")


@asynccontextmanager
async def opened(language: str = "es-CO") -> AsyncIterator[BrowserContext]:
    """A phone's browser that prefers a language."""
    with tempfile.TemporaryDirectory(prefix="tause-browser-") as folder:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                folder,
                executable_path=_binary(),
                args=list(_FLAGS),
                viewport=PHONE,
                locale=language,
                is_mobile=True,
                has_touch=True,
            )
            context.set_default_timeout(30_000)
            try:
                yield context
            finally:
                await context.close()
