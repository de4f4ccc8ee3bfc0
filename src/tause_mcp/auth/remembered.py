"""Verified tokens, remembered for moments: a hit costs a hash and a look-up."""

from hashlib import blake2b
from secrets import token_bytes
from time import monotonic

from tause_mcp.auth.compact import LONGEST
from tause_mcp.auth.identities import Door
from tause_mcp.tenancy import BELIEVED, Caller


class Remembered:
    """Callers by the hash of token and door; no token is kept, and no refusal either.

    Refusals are not remembered: each is judged anew, so that a flood of them evicts nothing and a
    grant works the moment it is stored.
    """

    def __init__(self, most: int = 8192, seconds: float = BELIEVED) -> None:
        self._most = most
        self._seconds = seconds
        self._salt = token_bytes(16)
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self.generation = 0

    def name(self, token: str, door: Door) -> bytes:
        """What `token` is remembered under at `door`."""
        data = token[: LONGEST + 1].encode("utf-8", "surrogatepass")
        return blake2b(data + door.mark, digest_size=16, salt=self._salt).digest()

    def get(self, name: bytes) -> Caller | None:
        """The caller, while it may be believed without another look."""
        found = self._known.get(name)
        return found[0] if found is not None and monotonic() < found[1] else None

    def put(
        self, name: bytes, caller: Caller, *, began: float, life: float, generation: int
    ) -> None:
        """Remember `caller`, whose verification began at the monotonic second `began`.

        Counted from the beginning, as what was read may have changed since; nothing when `forget`
        came in between. `life` is what the credential had left, in seconds.
        """
        if generation != self.generation or life <= 0:
            return
        self._known.pop(name, None)
        while len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[name] = caller, began + min(self._seconds, life)

    def forget(self) -> None:
        """Forget everything at once, what is being verified now included."""
        self.generation += 1
        self._known.clear()
