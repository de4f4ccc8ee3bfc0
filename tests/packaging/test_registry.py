"""server.json against the documented fields of the registry's schema 2025-12-11, read strictly."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tause_mcp import __version__

ROOT = Path(__file__).parents[2]
VERSION = r"^\d+\.\d+\.\d+([.-].+)?$"


class Strict(BaseModel):
    """Only documented members, no ranges where a version is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Input(Strict):
    description: str | None = None
    isRequired: bool = False
    isSecret: bool = False
    format: Literal["string", "number", "boolean", "filepath"] = "string"
    default: str | None = None
    placeholder: str | None = None
    value: str | None = None
    choices: list[str] | None = None


class Variable(Input):
    name: str = Field(min_length=1)


class Positional(Input):
    type: Literal["positional"]
    valueHint: str | None = None
    isRepeated: bool = False


class Named(Variable):
    type: Literal["named"]
    isRepeated: bool = False


class Stdio(Strict):
    type: Literal["stdio"]


class Package(Strict):
    registryType: Literal["pypi"]
    identifier: str
    version: str = Field(pattern=VERSION)
    runtimeHint: Literal["uvx"]
    transport: Stdio
    packageArguments: list[Annotated[Positional | Named, Field(discriminator="type")]] = []
    environmentVariables: list[Variable] = []


class Repository(Strict):
    url: str = Field(pattern=r"^https://")
    source: Literal["github"]


class Server(Strict):
    schema_: Literal[
        "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
    ] = Field(alias="$schema")
    name: str = Field(pattern=r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", min_length=3, max_length=200)
    title: str = Field(min_length=1, max_length=100)
    description: str = Field(min_length=1, max_length=100)
    version: str = Field(pattern=VERSION, max_length=255)
    repository: Repository
    websiteUrl: str = Field(pattern=r"^https://")
    packages: list[Package] = Field(min_length=1)


@pytest.fixture
def told() -> dict[str, Any]:
    return json.loads((ROOT / "server.json").read_text(encoding="utf-8"))


def test_the_entry_has_only_documented_members(told: dict[str, Any]) -> None:
    server = Server.model_validate(told)
    for argument in server.packages[0].packageArguments:
        assert argument.type == "named" or argument.value or argument.valueHint


@pytest.mark.parametrize(
    "wrong",
    [{"name": "tause"}, {"description": "x" * 101}, {"version": "^1.0.0"}, {"stars": 5}],
)
def test_a_wrong_entry_would_be_refused(told: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Server.model_validate({**told, **wrong})


def test_every_version_is_this_one(told: dict[str, Any]) -> None:
    assert {told["version"], told["packages"][0]["version"]} == {__version__}


def test_the_readme_proves_the_ownership(told: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"mcp-name:\s*{re.escape(told['name'])}\b", readme)


def test_the_options_and_settings_exist(told: dict[str, Any]) -> None:
    from tause_mcp.cli.serve import serve
    from tause_mcp.settings import names

    package = told["packages"][0]
    options = {name for p in serve.params for name in p.opts}
    assert {a["name"] for a in package["packageArguments"] if a["type"] == "named"} <= options
    assert {v["name"] for v in package["environmentVariables"]} <= set(names())
