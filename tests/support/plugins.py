"""A plugin installed in a folder: put the folder on PYTHONPATH and its entry point is found."""

from pathlib import Path

NOISY = '''
"""A plugin that prints wherever it can, and one tool that takes its time."""

import asyncio
import logging
import os
import subprocess
import sys
from types import ModuleType

from tause_mcp.capability import Capability, Call, CREATE, READ, tool
from typing_extensions import TypedDict


def noise(where):
    print(f"noise {where}: print")
    print(f"noise {where}: flushed", flush=True)
    sys.__stdout__.write(f"noise {where}: original\\n")
    sys.__stdout__.flush()
    os.write(1, f"noise {where}: descriptor\\n".encode())
    subprocess.run([sys.executable, "-S", "-c", f"print('noise {where}: child')"])
    logging.getLogger("noisy").warning("noise %s: log", where)


noise("import")


class Said(TypedDict):
    said: bool


@tool("Make noise", scope="noisy:read", hints=READ)
async def noisy_say() -> Said:
    """Print in every way."""
    noise("tool")
    await asyncio.to_thread(noise, "thread")
    return {"said": True}


@tool("Take time", scope="noisy:write", hints=CREATE)
async def noisy_wait(seconds: float) -> Said:
    """Sleep, and say so."""
    await asyncio.sleep(seconds)
    return {"said": True}


@tool("Take time and talk", scope="noisy:read", hints=READ)
async def noisy_talk(call: Call, seconds: float) -> Said:
    """Sleep with progress."""
    await call.progress(0, 1, "begun")
    await asyncio.sleep(seconds)
    await call.progress(1, 1, "done")
    return {"said": True}


_module = ModuleType("noisy_tools")
_module.say, _module.wait, _module.talk = noisy_say, noisy_wait, noisy_talk
CAPABILITY = Capability("noisy", "Noise", "ruido", services={}, modules=(_module,))
'''


def noisy(folder: Path) -> Path:
    """The folder, with the plugin `noisy` installed in it."""
    information = folder / "noisy-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "noisy.py").write_text(NOISY)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    entry = "[tause_mcp.capabilities]\nnoisy = noisy:CAPABILITY\n"
    (information / "entry_points.txt").write_text(entry)
    return folder
