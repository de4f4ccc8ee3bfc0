"""The proof as a whole: which checks there are, in which order."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex

from tause_mcp.proof.catalogue import Same
from tause_mcp.proof.chains import Audited
from tause_mcp.proof.deployment import Deployment
from tause_mcp.proof.findings import Check, Proof, Tell, checked
from tause_mcp.proof.isolation import Walked
from tause_mcp.proof.kills import Killed
from tause_mcp.proof.races import Raced
from tause_mcp.proof.replicas import Replicated
from tause_mcp.proof.subject import subject_of

Work = Callable[[Check], Awaitable[None]]
NAMES = ("catalogue", "isolation", "durability", "replicas", "audit", "limits", "backup")


@dataclass(frozen=True, slots=True)
class Options:
    """How thorough a proof is."""

    probes: int = 3000
    kills: int = 5
    only: frozenset[str] = frozenset()
    """Names of checks; the others are told as not made. Empty: all."""


async def prove(deployment: Deployment, options: Options, tell: Tell) -> Proof:
    """Make every check, one after another; one that fails does not end the rest."""
    made_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    proof = Proof(subject_of(deployment.platform), made_at)
    for check, work in _checks(deployment, options):
        if options.only and check.name not in options.only:
            check.absent = "it was not asked for"
            proof.checks.append(check)
        else:
            proof.checks.append(await checked(check, work, tell))
    return proof


def _checks(deployment: Deployment, options: Options) -> list[tuple[Check, Work]]:
    stem = f"xprove{token_hex(4)}"  # no word of the catalogue begins so: searching it finds nothing

    def named(what: str) -> str:
        return f"{stem}-{what}"

    return [
        (
            Check("catalogue", "what is proven is what is served"),
            Same(deployment, named("catalogue")),
        ),
        (
            Check("isolation", "nobody finds anything of another tenant, by any way there is"),
            Walked(deployment, stem, options.probes),
        ),
        (
            Check("durability", "kill -9 loses nothing that was acknowledged"),
            Killed(deployment, named("kill"), options.kills),
        ),
        (
            Check("replicas", "every connection sees what was written, and what ended within 5 s"),
            Replicated(deployment, named("replica")),
        ),
        (
            Check("audit", "every tenant's chain is whole"),
            Audited(deployment, named("audit")),
        ),
        (
            Check("limits", "limits are exact while many call at once"),
            Raced(deployment, named("race")),
        ),
        (
            Check("backup", "a throw-away tenant is the same after backup and restore"),
            _restored(deployment),
        ),
    ]


def _restored(deployment: Deployment) -> Work:
    """Nothing here makes backups yet: said, and not counted as shown."""

    async def told(check: Check) -> None:
        offered = "privacy_backup" in deployment.platform.catalog.tools
        check.absent = (
            "this version of prove does not drive privacy_backup"
            if offered
            else "the catalogue has no tool privacy_backup"
        )

    return told
