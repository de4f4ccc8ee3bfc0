"""`tause-mcp prove`: isolation, durability, audit and limits of the very deployment that runs."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tause_mcp.cli import house
from tause_mcp.errors import Invalid, Misconfigured
from tause_mcp.settings import Settings

if TYPE_CHECKING:
    from tause_mcp.proof import Options


@click.command()
@click.option("--url", default="", help="The deployment. Default: where this home is served.")
@click.option("--probes", default=3000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--kills", default=5, show_default=True, type=click.IntRange(1, 1000))
@click.option("--only", default="", help="Names of checks, comma separated. Default: all.")
@click.option(
    "--out",
    default=".",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where proof.json and proof.md go.",
)
@click.option(
    "--verify",
    "file",
    default=None,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Verify a proof instead of making one.",
)
@click.option("--jwks", default="", help="With --verify: the key set, a file or a URL.")
def prove(out: Path, file: Path | None, jwks: str, **asked: Any) -> None:
    """Prove that the running deployment holds, with its plugins; write a signed report.

    Everything is done in throw-away tenants. Run it with the home and the settings that the
    deployment is served with.
    """
    if file is not None:
        _verify(file, jwks)
        return
    options = _options(**asked)
    settings = house.settings()
    out.mkdir(parents=True, exist_ok=True)
    try:
        passed = asyncio.run(_prove(settings, asked["url"], options, out))
    except asyncio.CancelledError:
        click.echo("ended; what was made for it is removed", err=True)
        sys.exit(130)
    if not passed:
        sys.exit(1)


def _options(url: str, probes: int, kills: int, only: str) -> "Options":
    from tause_mcp.proof import NAMES, Options

    named = frozenset(n.strip() for n in only.split(",") if n.strip())
    if strange := sorted(named - set(NAMES)):
        known = ", ".join(NAMES)
        raise Invalid(f"--only: no check {strange[0]!r}; there are {known}", field="only")
    return Options(probes, kills, named)


async def _prove(settings: Settings, url: str, options: "Options", out: Path) -> bool:
    from tause_mcp.proof import markdown, signed
    from tause_mcp.proof import prove as proven
    from tause_mcp.proof.deployment import opened

    _end_in_order()
    async with opened(settings, url) as deployment:
        _tell("a server was started for this" if deployment.started else "the server answers")
        proof = await proven(deployment, options, _tell)
        keyring = deployment.platform.verifier.keyring
        (out / "proof.json").write_bytes(signed(proof, keyring))
        (out / "proof.md").write_text(markdown(proof, keyring), encoding="utf-8")
    click.echo(f"{'PASSED' if proof.passed else 'FAILED'}: see {out / 'proof.md'}")
    return proof.passed


def _end_in_order() -> None:
    """SIGTERM ends it as Ctrl-C does: what was made is removed first."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _verify(file: Path, jwks: str) -> None:
    from tause_mcp.proof import verified

    kid, passed = verified(file.read_bytes(), _keys(jwks))
    click.echo(f"intact, signed by {kid}: the proof {'passed' if passed else 'FAILED'}")
    if not passed:
        sys.exit(1)


def _keys(jwks: str) -> Mapping[str, Any]:
    """The installation's keys: of a key set, else of this home."""
    from tause_mcp.auth.identities import Refused
    from tause_mcp.auth.jwks import keys_in
    from tause_mcp.auth.opening import fetched
    from tause_mcp.auth.signing import Keyring

    if not jwks:
        return Keyring.open(house.settings().at_home(""), "").verifying
    try:
        if "://" in jwks:
            return keys_in(asyncio.run(fetched(jwks)))
        return keys_in(Path(jwks).read_bytes())
    except Refused as refused:
        raise Invalid(f"--jwks: {refused}", field="jwks") from None
    except OSError as error:
        raise Misconfigured(f"--jwks: cannot be read: {error.strerror}") from None
