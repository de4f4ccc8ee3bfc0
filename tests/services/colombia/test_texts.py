"""Every sentence in two languages, chosen by the locale."""

import string
from pathlib import Path

import pytest

from tause_mcp.services.colombia import (
    find_municipality,
    language_of,
    normalize_address,
    validate_document,
    validate_nit,
    validate_phone,
    validate_plate,
    validate_postal_code,
)
from tause_mcp.services.colombia.refusals import REFUSALS
from tause_mcp.services.colombia.texts import TEXTS

SENTENCES = {**TEXTS, **REFUSALS}


def test_no_code_means_two_things() -> None:
    assert len(SENTENCES) == len(TEXTS) + len(REFUSALS)


@pytest.mark.parametrize("code", SENTENCES)
def test_both_languages_tell_the_same_things(code: str) -> None:
    es, en = SENTENCES[code]
    assert es and en
    assert es != en
    fields = [{name for _, name, _, _ in string.Formatter().parse(t) if name} for t in (es, en)]
    assert fields[0] == fields[1]


@pytest.mark.parametrize(
    ("locale", "language"),
    [("es-CO", "es"), ("es", "es"), ("ES_co", "es"), ("en-US", "en"), ("en", "en"), ("pt-BR", "en")]
    + [("", "es"), (None, "es"), (7, "es"), ("  ", "es"), ("est", "en")],
)
def test_a_locale_chooses_the_language(locale: object, language: str) -> None:
    assert language_of(locale) == language


def test_every_code_is_in_the_docs() -> None:
    page = Path(__file__).parents[3] / "docs" / "colombia.md"
    text = page.read_text(encoding="utf-8")
    assert [code for code in TEXTS if f"`{code}`" not in text] == []


def test_each_function_answers_in_the_language_asked_for() -> None:
    pairs = [
        (validate_nit, ("800197268-5",)),
        (validate_document, ("CC", "123456789")),
        (validate_phone, ("3991111111",)),
        (validate_plate, ("ABC123",)),
        (validate_postal_code, ("050001",)),
        (find_municipality, ("Villanueva",)),
        (normalize_address, ("Calle 100",)),
    ]
    for function, arguments in pairs:
        es = function(*arguments, language="es").reasons
        en = function(*arguments, language="en").reasons
        assert [r.code for r in es] == [r.code for r in en]
        assert all(a.text != b.text for a, b in zip(es, en, strict=True))
