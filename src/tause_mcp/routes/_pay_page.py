"""The parts of the pay page: the bill, the form, and what is told of each state."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from html import escape

from tause_mcp import times
from tause_mcp.routes._page import note, page, visible
from tause_mcp.services.colombia.money import format_cents
from tause_mcp.services.payments import Payment, SavedSource, Terms

Words = Mapping[str, str]
BOGOTA = timezone(timedelta(hours=-5))
FIELDS = ("bank_code", "person_type", "full_name", "document_type", "document", "phone")
"""What a payer may be asked, in the order of the form."""
DOCUMENTS = ("CC", "CE", "NIT", "PPT", "PA", "TI")
_KINDS = ("natural", "juridica")
_INPUTS = {
    "full_name": 'autocomplete="name" maxlength="100"',
    "phone": 'type="tel" inputmode="numeric" autocomplete="tel-national" maxlength="20"',
    "document": 'autocomplete="off" autocapitalize="characters" maxlength="40"',
}
_LARGEST_IMAGE = 200_000
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def bill(words: Words, payment: Payment, merchant: str = "") -> str:
    """Whom, how much, what for."""
    who = (
        f'<p class="who">{words["to"]} <strong>{visible(merchant)}</strong></p>' if merchant else ""
    )
    lines = {
        "description": payment.description,
        "order": payment.order_id,
        "method": words.get(payment.method, payment.method),
    }
    return (
        f'{_test(words, payment.environment)}<section class="bill">{who}'
        f'<p class="sum">{format_cents(payment.amount)}</p>{_facts(words, lines)}</section>'
    )


def keeping(words: Words, source: SavedSource, merchant: str = "") -> str:
    """Whom, and that a way to pay is saved for later."""
    who = (
        f'<p class="who">{words["to"]} <strong>{visible(merchant)}</strong></p>' if merchant else ""
    )
    return (
        f'{_test(words, source.environment)}<section class="bill">{who}<p class="state">'
        f"{words['source']}</p>{_facts(words, {'method': words[source.type]})}</section>"
    )


def _test(words: Words, environment: str) -> str:
    return note(words["test"]) if environment == "test" else ""


def _facts(words: Words, told: Mapping[str, str | None]) -> str:
    lines = (
        f"<dt>{words[name]}</dt><dd>{visible(text)}</dd>" for name, text in told.items() if text
    )
    return f"<dl>{''.join(lines)}</dl>"


# --- the form -------------------------------------------------------------------------------------


def form(
    words: Words,
    *,
    sealed: str,
    terms: Terms,
    asked: Iterable[str],
    banks: Mapping[str, str],
    submit: str,
    typed: Mapping[str, str],
    wrong: Mapping[str, str],
) -> str:
    """What the payer fills in and accepts. `typed` is kept, but for the two ticks; `wrong`: field ->
    what is wrong with it."""
    fields = [_field(words, name, banks, typed.get(name, ""), wrong) for name in asked]
    ticks = [
        _tick(words, "terms", terms.policy_url, wrong),
        _tick(words, "personal", terms.personal_data_url, wrong),
    ]
    return (
        '<form method="post"><input type="hidden" name="form" '
        f'value="{escape(sealed)}">{"".join(fields)}{"".join(ticks)}'
        f'<button class="yes">{escape(submit)}</button></form>'
        f'<p class="small">{words["by_wompi"]}</p>'
    )


def _field(
    words: Words, name: str, banks: Mapping[str, str], value: str, wrong: Mapping[str, str]
) -> str:
    mark, told = _wrong(name, wrong)
    head = f'<label for="{name}">{words[name]}</label>'
    if name in _INPUTS:
        hint = f' placeholder="{words["phone_hint"]}"' if name == "phone" else ""
        shown = f'<input id="{name}" name="{name}" value="{escape(value)}" required {_INPUTS[name]}{hint}{mark}>'
        return f"{head}{shown}{told}"
    choices = {
        "bank_code": banks,
        "person_type": {kind: words[kind] for kind in _KINDS},
        "document_type": {kind: words[kind] for kind in DOCUMENTS},
    }[name]
    options = "".join(
        f'<option value="{escape(code)}"{" selected" if code == value else ""}>{visible(said)}</option>'
        for code, said in choices.items()
    )
    empty = f'<option value="">{words["choose"]}</option>'
    return f'{head}<select id="{name}" name="{name}" required{mark}>{empty}{options}</select>{told}'


def _tick(words: Words, name: str, url: str, wrong: Mapping[str, str]) -> str:
    mark, told = _wrong(name, wrong)
    link = f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">'
    text = words[name].format(open=link, close=f"</a> {words['new_tab']}")
    return (
        f'<label class="tick"><input type="checkbox" name="{name}" value="yes" required{mark}>'
        f"<span>{text}</span></label>{told}"
    )


def _wrong(name: str, wrong: Mapping[str, str]) -> tuple[str, str]:
    """The marks of a field, and the text beside it; the first that is wrong has the focus."""
    if name not in wrong:
        return "", ""
    focus = " autofocus" if name == next(iter(wrong)) else ""
    mark = f' aria-invalid="true" aria-describedby="{name}-wrong"{focus}'
    return mark, f'<p class="wrong" id="{name}-wrong">{escape(wrong[name])}</p>'


# --- states ---------------------------------------------------------------------------------------


def absent(words: Words) -> str:
    return page(words, note(words["absent"]))


def state(words: Words, name: str, shape: str = "") -> str:
    return f'<p class="state {shape}" role="status">{words[name]}</p>'


def going(words: Words, url: str, text: str, button: str) -> str:
    """A way on to another site; it does not learn where the payer comes from."""
    link = f'<a class="go" rel="noopener noreferrer" href="{escape(url)}">{words[button]}</a>'
    return f"<p>{words[text]}</p>{link}"


def refresh(seconds: int, url: str) -> str:
    """For the head: go on by itself, or look again without a `url`. Without script."""
    on = f";url={escape(url)}" if url else ""
    return f'<meta http-equiv="refresh" content="{seconds}{on}">'


def again(words: Words) -> str:
    return f'<a class="go" href="?">{words["reload"]}</a>'


def qr(words: Words, image: str) -> str:
    """The image, when it is one; nothing of what else a provider may answer."""
    kind = kind_of(image)
    if kind is None:
        return ""
    shown = f'<img class="qr" alt="{words["qr_alt"]}" src="data:image/{kind};base64,{image}">'
    return f"<p>{words['qr_now']}</p>{shown}"


def kind_of(image: str) -> str | None:
    """`png` or `svg+xml` for the base64 of such an image; None for anything else."""
    if not image or len(image) > _LARGEST_IMAGE or _BASE64.fullmatch(image) is None:
        return None
    try:
        raw = base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError):
        return None
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    start = raw[:512].lstrip().lower()
    return "svg+xml" if start.startswith((b"<svg", b"<?xml")) and b"<svg" in start else None


_GOOD, _BAD = ("approved", "available"), ("declined", "error", "unknown")


def final(words: Words, status: str, told: Mapping[str, str | None]) -> str:
    """How it ended, what to do, and what to keep."""
    shape = "good" if status in _GOOD else "bad" if status in _BAD else ""
    return f"{state(words, status, shape)}<p>{words[f'{status}_now']}</p>{_facts(words, told)}"


def kept(payment: Payment) -> dict[str, str | None]:
    """What a payer may be asked for later."""
    at = payment.finalized_at
    return {
        "date": None if at is None else told_at(at),
        "reference": payment.reference,
        "transaction": payment.provider_id,
        "said": payment.status_message if payment.status in ("declined", "error") else None,
    }


def told_at(micros: int) -> str:
    """A moment as it is read in Colombia."""
    at = datetime.fromtimestamp(micros / times.SECOND, UTC).astimezone(BOGOTA)
    return f"{at:%Y-%m-%d %H:%M} (Colombia)"
