"""How a payment or token gets from pending to its end."""

from tause_mcp.testing.wompi import methods, webhooks
from tause_mcp.testing.wompi.config import rules
from tause_mcp.testing.wompi.store import FINAL, State, Token, Transaction


def read(state: State, made: Transaction) -> Transaction:
    """One read of a payment by the API: it may have come further since the last."""
    if made.status == "PENDING":
        made.polls += 1
        advance(state, made)
    return made


def advance(state: State, made: Transaction) -> None:
    """Show the URL, or end, when it is time."""
    if made.polls >= state.config.url_after and not _at_once(state, made):
        reveal(state, made)
    if made.plan is not None and _due(state, made):
        finish(state, made, made.plan)


def _at_once(state: State, made: Transaction) -> bool:
    return made.method == "PSE" and not state.config.pse_url_stage


def reveal(state: State, made: Transaction) -> None:
    """Show what the payer needs: a URL, a QR, a code."""
    if not made.revealed and (made.payment_source_id is None or made.plan is None):
        made.revealed = True
        made.extra.update(methods.METHODS[made.method].reveal(state, made))


def _due(state: State, made: Transaction) -> bool:
    rule = state.rule(made.method)
    if rule.kind == "seconds":
        return state.now() >= made.created_at + rule.amount
    shown_first = made.method in ("PSE", "PCOL") and not _at_once(state, made)
    waits = state.config.url_after if shown_first else 0
    return rule.kind == "polls" and made.polls >= waits + rule.amount


def finish(state: State, made: Transaction, outcome: str, told: str | None = None) -> None:
    """End a payment and announce it."""
    reveal(state, made)
    made.status = methods.status_of(outcome)
    made.status_message = told or methods.message(made.method, outcome)
    made.finalized_at = state.now()
    made.extra.update(methods.closing(state, made, outcome))
    state.pending.pop(made.id, None)
    _spend(state, made)
    _confirm(state, made)
    webhooks.transaction_updated(state, made)


def _spend(state: State, made: Transaction) -> None:
    """A link for single use ends with its first approved payment."""
    link = state.links.get(made.payment_link_id or "")
    if link and made.status == "APPROVED":
        link.paid = True
        link.active = link.active and not link.fields["single_use"]


def _confirm(state: State, made: Transaction) -> None:
    """An account that was to be authorised with its first payment now is."""
    source = state.sources.get(made.payment_source_id or 0)
    if source and source.token.status == "AVAILABLE" and made.status == "APPROVED":
        finish_token(state, source.token, "APPROVED")


def void(state: State, made: Transaction) -> None:
    """APPROVED -> VOIDED."""
    made.status, made.status_message = "VOIDED", None
    made.finalized_at = state.now()
    webhooks.transaction_updated(state, made)


def decide(state: State, made: Transaction, outcome: str, message: str | None, force: bool) -> None:
    """By hand: end what is pending, void what is approved, or anything with `force`.

    Raises:
        ValueError: no such status, or a way back.
    """
    status = methods.status_of(outcome)
    if status not in (*FINAL, "PENDING"):
        raise ValueError(f"status: one of {', '.join(FINAL)}")
    if made.status == "PENDING" and status not in ("PENDING", "VOIDED"):
        finish(state, made, outcome, message)
    elif made.status == "APPROVED" and status == "VOIDED":
        void(state, made)
    elif force:
        made.status, made.status_message = status, message
        made.finalized_at = None if status == "PENDING" else state.now()
        webhooks.transaction_updated(state, made)
    else:
        raise ValueError(f"{made.id} is {made.status}: it cannot become {status} without force")


def read_token(state: State, token: Token) -> Token:
    """One read of a token."""
    if token.status == "PENDING":
        token.polls += 1
        advance_token(state, token)
    return token


def advance_token(state: State, token: Token) -> None:
    """A Nequi token ends by itself; others by a page or a code."""
    rule = state.rule("NEQUI")
    by_reads = rule.kind == "polls" and token.polls >= rule.amount
    by_time = rule.kind == "seconds" and state.now() >= token.created_at + rule.amount
    if token.kind == "nequi" and (by_reads or by_time):
        finish_token(state, token, token.becomes)


def finish_token(state: State, token: Token, status: str) -> None:
    """End a token and announce it, where the API does."""
    token.status, token.updated_at = status, state.now()
    state.pending_tokens.pop(token.id, None)
    if token.kind in ("nequi", "bancolombia_transfer"):
        webhooks.token_updated(state, token)


def settle(state: State) -> float | None:
    """End what time has ended; when the next one is due."""
    if not any(rule.kind == "seconds" for rule in rules(state.config.resolve_after).values()):
        return None
    for made in list(state.pending.values()):
        advance(state, made)
    for token in list(state.pending_tokens.values()):
        advance_token(state, token)
    ends = (_ends(state, made) for made in state.pending.values())
    waits = (_token_ends(state, token) for token in state.pending_tokens.values())
    return min((at for at in (*ends, *waits) if at is not None), default=None)


def _ends(state: State, made: Transaction) -> float | None:
    rule = state.rule(made.method)
    if made.plan is None or rule.kind != "seconds":
        return None
    return made.created_at + rule.amount


def _token_ends(state: State, token: Token) -> float | None:
    rule = state.rule("NEQUI")
    return token.created_at + rule.amount if rule.kind == "seconds" else None
