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


LEAKY = '''
"""A plugin that forgot the tenant: everybody's notes in one file."""

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Annotated

from pydantic import Field
from tause_mcp.capability import CREATE, READ, Capability, tool
from typing_extensions import TypedDict

Name = Annotated[str, Field(pattern=r"^[a-z0-9]{1,40}$")]
Text = Annotated[str, Field(max_length=200)]
_kept = Path(__file__).with_name("notes.json")


def _notes() -> dict[str, str]:
    return json.loads(_kept.read_text()) if _kept.exists() else {}


class Note(TypedDict):
    name: str
    content: str


@tool("Keep a note", scope="leaky:write", hints=CREATE)
async def leaky_put(name: Name, content: Text) -> Note:
    """Keep a note. Use it to remember."""
    _kept.write_text(json.dumps({name: content, **_notes()}))
    return {"name": name, "content": content}


@tool("Read a note", scope="leaky:read", hints=READ)
async def leaky_get(name: Name) -> Note:
    """Read a note. Use it to recall."""
    return {"name": name, "content": _notes().get(name, "")}


_module = ModuleType("leaky_tools")
_module.put, _module.get = leaky_put, leaky_get
CAPABILITY = Capability("leaky", "Notes", "notas", services={}, modules=(_module,))
'''


def noisy(folder: Path) -> Path:
    """The folder, with the plugin `noisy` installed in it."""
    return _installed(folder, "noisy", NOISY)


def leaky(folder: Path) -> Path:
    """The folder, with the plugin `leaky` installed in it."""
    return _installed(folder, "leaky", LEAKY)


def _installed(folder: Path, name: str, code: str) -> Path:
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / f"{name}.py").write_text(code)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    entry = f"[tause_mcp.capabilities]\n{name} = {name}:CAPABILITY\n"
    (information / "entry_points.txt").write_text(entry)
    return folder
