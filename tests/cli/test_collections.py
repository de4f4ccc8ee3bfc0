"""Collections from the models of a module, made once however often it is asked."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tause_mcp.cli import app

MODELS = """
from typing import Annotated
from pydantic import BaseModel, Field

class Address(BaseModel):
    city: Annotated[str, Field(json_schema_extra={"index": True})]
    street: Annotated[str, Field(json_schema_extra={"encrypted": True})]

class OrderLine(BaseModel):
    model_config = {"json_schema_extra": {"collection": "order_lines"}}
    buyer: Annotated[str, Field(json_schema_extra={"references": "customer"})]
    price: Annotated[int, Field(ge=0, json_schema_extra={"index": True})]

class Customer(BaseModel):
    email: Annotated[str, Field(json_schema_extra={"unique": True})]
    home: Address | None = None
    address: Address
    active: bool = True
"""


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAUSE_STORAGE_URL", "memory://")
    name = f"models_of_{abs(hash(str(tmp_path)))}"
    path = tmp_path / f"{name}.py"
    path.write_text(MODELS)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["collections", *arguments])


def test_the_models_are_shown_as_collections(models: Path) -> None:
    told = run("generate", "--models", models.stem)
    assert told.exit_code == 0, told.output
    customer, lines = json.loads(told.stdout)
    assert (customer["name"], lines["name"]) == ("customer", "order_lines")
    assert customer["indexes"] == ["address.city"] and lines["indexes"] == ["price"]
    assert customer["schema"]["properties"]["active"]["default"] is True
    assert "index" not in json.dumps(customer["schema"])


@pytest.mark.embedded
def test_creating_twice_changes_nothing_and_a_difference_is_told(models: Path) -> None:
    first = run("generate", "--models", models.stem, "--create")
    assert first.exit_code == 0, first.output
    assert [line.split()[-1] for line in first.stdout.splitlines()] == ["created", "created"]
    again = run("generate", "--models", models.stem, "--create")
    assert [line.split()[-1] for line in again.stdout.splitlines()] == ["unchanged", "unchanged"]
    listed = run("list").stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [["customer", "v1"], ["order_lines", "v1"]]
    other = models.with_name(f"{models.stem}_2.py")
    other.write_text(MODELS.replace("ge=0", "ge=1"))
    told = run("generate", "--models", other.stem, "--create")
    assert "differs" in told.stdout and told.exit_code == 1
    assert "database_migrate" in str(told.exception)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "no Pydantic model"),
        ("import nothing_like_it", "cannot be imported"),
        ("from pydantic import BaseModel\nclass A(BaseModel):\n  a: 'A | None' = None", "itself"),
    ],
)
def test_what_is_no_collection_is_one_line(models: Path, text: str, told: str) -> None:
    bad = models.with_name(f"{models.stem}_bad_{len(text)}.py")
    bad.write_text(text)
    ended = run("generate", "--models", bad.stem)
    assert ended.exit_code == 1 and told in str(ended.exception)
