"""A model finds the tool for what it wants, in Spanish and in English."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tause_mcp.catalog import Catalog, load
from tause_mcp.services.catalog.search import Entry, Index, fold


def index_of(catalog: Catalog) -> Index:
    """As the platform makes it."""
    words = {c.name: f"{c.words} {c.about}" for c in catalog.capabilities}
    tools = catalog.tools.values()
    return Index(Entry(o.name, o.title, o.description, words[o.capability]) for o in tools)


CATALOG = load(())
INDEX = index_of(CATALOG)

WANTED = {
    "storage_put": "guardar archivo|guardar un archivo|subir un fichero|save a file|upload file",
    "storage_get": "leer archivo|descargar archivo|read a file|download a file",
    "storage_list": "list files|listar archivos|ver mis archivos",
    "storage_delete": "delete file|borrar archivo|eliminar un archivo|remove files",
    "storage_copy": "copy a file|copiar archivo|duplicar archivo",
    "storage_sign_url": "share link|enlace para compartir|compartir un archivo con un enlace",
    "storage_stat": "file size|tamaño de un archivo",
    "access_create_key": "crear llave de acceso|crear clave api|new api key|create API key",
    "access_revoke_key": "revoke key|revocar llave|anular una clave",
    "access_list_keys": "listar llaves|list api keys|my keys",
    "access_whoami": "who am I|quién soy|Quien soy yo?|what may I do|mis permisos",
    "access_define_role": "definir rol|crear un rol|create a role",
    "access_assign_role": "dar un rol a alguien|asignar rol|give someone a role",
    "access_unassign_role": "quitar rol|take a role away",
    "access_remove_role": "borrar rol|delete a role",
    "access_list_roles": "roles disponibles|list roles",
    "tenants_create": "crear inquilino|create a tenant|new customer",
    "tenants_delete": "borrar inquilino|eliminar inquilino|delete tenant",
    "tenants_suspend": "suspender inquilino|suspend tenant|pausar un cliente",
    "tenants_resume": "reactivar inquilino|resume a tenant",
    "tenants_configure": "configurar inquilino|cambiar límites|change configuration",
    "tenants_get_usage": "uso|consumo del mes|how much have I used",
    "tenants_explain": "where does this setting come from|de dónde viene este valor",
    "tenants_list": "list tenants|listar inquilinos",
    "approvals_list": "aprobaciones pendientes|pending approvals",
    "approvals_get": "ver una aprobación|show an approval",
    "audit_search": "auditoría|who changed what|quién cambió qué|audit log",
    "audit_verify": "verify audit chain|verificar la cadena",
    "audit_export": "exportar auditoría|export audit",
    "colombia_validate_document": "validar documento|check a document",
    "colombia_validate_nit": "validar un nit|dígito de verificación|validate nit",
    "colombia_validate_cedula": "validar cédula|check a cedula",
    "colombia_validate_phone": "validar teléfono|validar un celular|check a phone number",
    "colombia_validate_plate": "validar placa|check a license plate",
    "colombia_find_municipality": "buscar municipio|código dane de una ciudad|find a city",
    "colombia_list_departments": "departamentos de colombia|list departments",
    "colombia_list_holidays": "festivos|días festivos del año|public holidays",
    "colombia_add_business_days": "días hábiles|add business days",
    "colombia_normalize_address": "normalizar dirección|clean an address",
    "colombia_get_uvt": "uvt|valor de la uvt",
    "colombia_compute_cufe": "cufe|calcular el cude de una factura",
    "payments_create": "cobrar un pedido|collect a payment|cobrar un pago",
    "payments_get": "ver un pago|is it paid",
    "payments_create_link": "crear enlace de pago|payment link",
    "payments_void": "reembolsar un pago|refund a payment|anular pago",
    "payments_list_banks": "bancos de pse|list banks",
    "payments_save_source": "guardar tarjeta|save a card",
    "payments_schedule": "cobro recurrente|recurring charge",
    "payments_unschedule": "cancelar la suscripción|stop a recurring charge",
    "payments_reconcile": "conciliar con wompi|reconcile a payment",
    "catalog_search": "buscar herramienta|find a tool",
    "catalog_call": "run any tool|ejecutar una herramienta",
}


@pytest.mark.parametrize(
    ("query", "name"), [(q, name) for name, told in WANTED.items() for q in told.split("|")]
)
def test_the_wanted_tool_is_among_the_first_three(query: str, name: str) -> None:
    assert name in INDEX.search(query, CATALOG.tools, 3)


def test_the_wanted_tool_is_mostly_the_first() -> None:
    asked = [(q, name) for name, told in WANTED.items() for q in told.split("|")]
    first = [INDEX.search(query, CATALOG.tools, 1) == [name] for query, name in asked]
    assert sum(first) / len(first) > 0.8


@pytest.mark.parametrize("name", sorted(CATALOG.tools))
def test_a_tool_is_found_by_its_name_and_by_its_title(name: str) -> None:
    assert INDEX.search(name, CATALOG.tools, 1) == [name]
    assert name in INDEX.search(CATALOG.tools[name].title, CATALOG.tools, 3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("auditoria", "AUDITORÍA"),
        ("quién soy", "quien soy"),
        ("archivo", "archivos"),
        ("key", "KEYS"),
        ("crear  llave", "crear, llave!"),
    ],
)
def test_accents_case_plurals_and_marks_do_not_matter(one: str, other: str) -> None:
    found = INDEX.search(one, CATALOG.tools, 8)
    assert found
    assert found == INDEX.search(other, CATALOG.tools, 8)


def test_only_what_is_allowed_is_found() -> None:
    allowed = [n for n in CATALOG.tools if n != "storage_put"]
    found = INDEX.search("storage_put guardar archivo", allowed, 50)
    assert "storage_put" not in found
    assert set(found) <= set(allowed)
    assert INDEX.search("guardar archivo", [], 8) == []
    assert INDEX.search("guardar archivo", ["no_such_tool"], 8) == []


def test_what_is_not_allowed_changes_no_order_of_the_rest() -> None:
    """Else a caller could tell what exists beyond its scopes."""
    allowed = [n for n in CATALOG.tools if not n.startswith("storage_put")]
    whole = INDEX.search("guardar archivo", CATALOG.tools, 50)
    assert [n for n in whole if n != "storage_put"] == INDEX.search("guardar archivo", allowed, 50)


@pytest.mark.parametrize("query", ["", "  ", "the of a", "de la", "¿?", "zxqwv", "日本語", "\0"])
def test_a_query_that_says_nothing_finds_nothing(query: str) -> None:
    assert INDEX.search(query, CATALOG.tools, 8) == []


def test_the_limit_holds_and_the_order_is_stable() -> None:
    whole = INDEX.search("list", CATALOG.tools, 50)
    assert len(whole) > 4
    assert INDEX.search("list", CATALOG.tools, 4) == whole[:4]
    assert INDEX.search("list", reversed(list(CATALOG.tools)), 50) == whole
    assert index_of(load(())).search("list", CATALOG.tools, 50) == whole


def test_ties_are_broken_by_name() -> None:
    index = Index(Entry(name, "Same", "same", "same") for name in ("b_put", "a_put", "c_put"))
    assert index.search("same", ["c_put", "a_put", "b_put"], 8) == ["a_put", "b_put", "c_put"]


def test_the_longest_query_is_answered_at_once() -> None:
    began = time.process_time()
    INDEX.search("guardar archivo " * 31, CATALOG.tools, 50)
    assert time.process_time() - began < 0.5


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_query(query: str) -> None:
    found = INDEX.search(query, CATALOG.tools, 8)
    assert len(found) == len(set(found)) <= 8
    assert all(word.isascii() for word in fold(query))
