"""What a proof consists of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

from tause_mcp import log
from tause_mcp.errors import TauseError

Verdict = Literal["pass", "fail", "not available"]
Tell = Callable[[str], None]
"""Progress, one line at a time."""
_MOST = 20
_log = log.get("proof")


@dataclass
class Check:
    """One check: what was counted, and what is wrong. Nothing wrong is a pass."""

    name: str
    claim: str
    counts: dict[str, int | float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    absent: str = ""
    """Why it could not be made; such a check neither passes nor fails."""
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        if self.problems:
            return "fail"
        return "not available" if self.absent else "pass"

    def require(self, held: bool, problem: str) -> None:
        """Write down a problem unless it held."""
        if not held and len(self.problems) < _MOST:
            self.problems.append(problem)

    def told(self) -> dict[str, Any]:
        """As the report shows it."""
        shown: dict[str, Any] = {"name": self.name, "claim": self.claim, "verdict": self.verdict}
        shown |= {"counts": self.counts, "seconds": round(self.seconds, 1)}
        if self.problems:
            shown["problems"] = self.problems
        return shown | ({"absent": self.absent} if self.absent else {})


@dataclass
class Proof:
    """Every check, and of what."""

    subject: dict[str, Any]
    """Versions, engines, settings and plugins; names no machine, host, path or secret."""
    made_at: str
    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every check that could be made was passed, and any was."""
        verdicts = [check.verdict for check in self.checks]
        return "pass" in verdicts and "fail" not in verdicts


async def checked(check: Check, work: Callable[[Check], Awaitable[None]], tell: Tell) -> Check:
    """Make one check; a check that breaks has failed."""
    tell(f"{check.name}: {check.claim}")
    began = perf_counter()
    try:
        await work(check)
    except Exception as error:  # whatever it was, the claim is not shown
        _log.exception("check_broke", check=check.name)
        said = str(error) if isinstance(error, TauseError) else type(error).__name__
        check.problems.append(f"the check could not be finished: {said}")
    check.seconds = perf_counter() - began
    counted = ", ".join(f"{count} {what}" for what, count in check.counts.items())
    tell(f"  {check.verdict}: {counted or check.absent or '; '.join(check.problems)}")
    return check
