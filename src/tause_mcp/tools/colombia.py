"""Colombia: validate what customers give, find places, count days, compute tax figures."""

from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from tause_mcp.capability import READ, Pages, tool
from tause_mcp.services import colombia as co
from tause_mcp.services.colombia import Colombia
from tause_mcp.services.colombia.refusals import refused
from tause_mcp.services.secrets import Secrets

_QUOTED = (
    'va como texto, entre comillas ("05001"): un número pierde los ceros a la izquierda / '
    "is text, in quotes: a number loses leading zeros"
)


def _text(given: Any) -> Any:
    """Codes and numbers of documents are text: a JSON number has lost its zeros already."""
    if isinstance(given, int | float):
        raise PydanticCustomError("text", _QUOTED)  # nobody knows the tenant's language yet
    return given


Text = BeforeValidator(_text)
Number = Annotated[str, Field(max_length=80, description="As written, separators too."), Text]
CheckDigit = Annotated[
    str | None, Field(max_length=8, description="When it is not in the number."), Text
]
DepartmentCode = Annotated[
    str | None, Field(max_length=20, description='Two digits as text, as "05".'), Text
]
Day = Annotated[str, Field(max_length=10, description="YYYY-MM-DD."), Text]
Year = Annotated[int, Field(ge=1985, le=2100)]
Pesos = Annotated[
    str,
    Field(max_length=32, description="Pesos as text, as 1500000.00; cut to two decimals."),
    Text,
]
_REFERENCE, _DIAN = "secret://", "secret://dian"
Short = Annotated[str, Field(max_length=64), Text]


class ColombiaReason(TypedDict):
    code: str
    text: str


class ColombiaVerdict(TypedDict):
    verdict: Literal["valid", "plausible", "invalid"]
    normalized: str
    check_digit: NotRequired[str]
    reasons: list[ColombiaReason]


class Department(TypedDict):
    code: str
    name: str
    municipalities: int


class DepartmentList(TypedDict):
    items: list[Department]


class Municipality(TypedDict):
    code: str
    name: str
    department_code: str
    department_name: str
    type: Literal["municipio", "area_no_municipalizada", "isla"]


class MunicipalityPage(TypedDict):
    items: list[Municipality]
    next_cursor: NotRequired[str]


class FoundMunicipality(TypedDict):
    status: Literal["found", "ambiguous", "similar", "not_found"]
    municipality: NotRequired[Municipality]
    candidates: list[Municipality]
    reasons: list[ColombiaReason]


class NormalizedAddress(TypedDict):
    normalized: str
    complete: bool
    parts: dict[str, str]
    reasons: list[ColombiaReason]


class Holiday(TypedDict):
    date: str
    name: str


class HolidayList(TypedDict):
    items: list[Holiday]


class BusinessDay(TypedDict):
    date: str
    skipped: list[Holiday]


class Money(TypedDict):
    amount: int
    currency: str


class UvtValue(TypedDict):
    year: int
    value: Money
    text: str
    resolution: NotRequired[str]


class Cufe(TypedDict):
    uuid: str
    scheme: Literal["CUFE-SHA384", "CUDE-SHA384"]
    url: str


# --- validation -----------------------------------------------------------------------------------


@tool("Validate a document", scope="colombia:read", hints=READ, flagship=True)
async def colombia_validate_document(
    colombia: Colombia,
    type: Annotated[  # noqa: A002  # the name that callers write
        str,
        Field(max_length=40, description="CC, NIT, TI, RC, NUIP, CE, TE, PPT, PEP, PA, DE or NE."),
        Text,
    ],
    number: Number,
    check_digit: CheckDigit = None,
) -> ColombiaVerdict:
    """Check a Colombian identity document. Use before storing or invoicing a customer.

    `plausible` is a right shape that nothing offline can prove; only a NIT can be `valid`.
    """
    return _verdict(
        co.validate_document(type, number, check_digit, language=colombia.language),
    )


@tool("Validate a NIT", scope="colombia:read", hints=READ)
async def colombia_validate_nit(
    colombia: Colombia, number: Number, check_digit: CheckDigit = None
) -> ColombiaVerdict:
    """Check a NIT and its check digit, read only after a hyphen or from `check_digit`.

    Use for companies and anyone who invoices; `normalized` leaves the check digit out.
    """
    return _verdict(co.validate_nit(number, check_digit, language=colombia.language))


@tool("Validate a cédula", scope="colombia:read", hints=READ)
async def colombia_validate_cedula(colombia: Colombia, number: Number) -> ColombiaVerdict:
    """Check the shape of a cédula de ciudadanía; it has no check digit. Use for adult citizens."""
    return _verdict(co.validate_cedula(number, language=colombia.language))


@tool("Validate a phone", scope="colombia:read", hints=READ)
async def colombia_validate_phone(colombia: Colombia, number: Number) -> ColombiaVerdict:
    """Check a Colombian phone number and write it as +57. Use before messages and calls."""
    return _verdict(co.validate_phone(number, language=colombia.language))


@tool("Validate a plate", scope="colombia:read", hints=READ)
async def colombia_validate_plate(
    colombia: Colombia, plate: Annotated[str, Field(max_length=80), Text]
) -> ColombiaVerdict:
    """Check the shape of a vehicle's plate. Use before storing one."""
    return _verdict(co.validate_plate(plate, language=colombia.language))


@tool("Validate a postal code", scope="colombia:read", hints=READ)
async def colombia_validate_postal_code(
    colombia: Colombia, code: Annotated[str, Field(max_length=80), Text]
) -> ColombiaVerdict:
    """Check that a postal code has six digits and begins with a department's code."""
    return _verdict(co.validate_postal_code(code, language=colombia.language))


def _verdict(found: co.Verdict) -> ColombiaVerdict:
    return cast(ColombiaVerdict, found.told())


def _reasons(reasons: tuple[co.Reason, ...]) -> list[ColombiaReason]:
    return [ColombiaReason(code=code, text=text) for code, text in reasons]


# --- places ---------------------------------------------------------------------------------------


@tool("List departments", scope="colombia:read", hints=READ)
async def colombia_list_departments() -> DepartmentList:
    """List the 33 departments by DANE code. Use for forms and to group by department."""
    return DepartmentList(items=shown_departments())


def shown_departments() -> list[Department]:
    return [cast(Department, row._asdict()) for row in co.departments().values()]


@tool("List municipalities", scope="colombia:read", hints=READ)
async def colombia_list_municipalities(
    colombia: Colombia,
    pages: Pages,
    department_code: DepartmentCode = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 200,
    cursor: Annotated[str | None, Field(max_length=1024)] = None,
) -> MunicipalityPage:
    """List municipalities by DANE code, of one department or of all. Use for forms."""
    after = pages.position(cursor, department_code) or ""
    rows = (
        tuple(co.municipalities().values())
        if department_code is None
        else co.municipalities_of(department_code, language=colombia.language)
    )
    items = [shown(row) for row in rows if row.code > after][: limit + 1]
    page = pages.page(items, limit, lambda item: item["code"], department_code)
    return cast(MunicipalityPage, page)


def shown(row: co.Municipality) -> Municipality:
    return cast(Municipality, row._asdict())


@tool("Find a municipality", scope="colombia:read", hints=READ, flagship=True)
async def colombia_find_municipality(
    colombia: Colombia,
    name: Annotated[str, Field(max_length=80, description="A name or DANE code."), Text],
    department: Annotated[
        str | None, Field(max_length=80, description="Its name or code."), Text
    ] = None,
) -> FoundMunicipality:
    """Find a Colombian municipality's DANE code by name; accents do not matter.

    Many names exist twice: then it returns candidates, so ask which one is meant.
    """
    found = co.find_municipality(name, department, language=colombia.language)
    told = FoundMunicipality(
        status=found.status,
        candidates=[shown(row) for row in found.candidates],
        reasons=_reasons(found.reasons),
    )
    if found.municipality is not None:
        told["municipality"] = shown(found.municipality)
    return told


@tool("Normalize an address", scope="colombia:read", hints=READ)
async def colombia_normalize_address(
    colombia: Colombia, address: Annotated[str, Field(max_length=200), Text]
) -> NormalizedAddress:
    """Write an address with DIAN's abbreviations and split it. Use before storing or comparing."""
    found = co.normalize_address(address, language=colombia.language)
    return NormalizedAddress(
        normalized=found.normalized,
        complete=found.complete,
        parts=dict(found.parts),
        reasons=_reasons(found.reasons),
    )


# --- days -----------------------------------------------------------------------------------------


@tool("List holidays", scope="colombia:read", hints=READ)
async def colombia_list_holidays(colombia: Colombia, year: Year) -> HolidayList:
    """List the public holidays of a year, in order. Use to plan dates."""
    found = co.holidays(year, language=colombia.language)
    return HolidayList(items=[_holiday(on.isoformat(), name) for on, name in found.items()])


def _holiday(on: str, name: str) -> Holiday:
    return Holiday(date=on, name=name)


@tool("Add business days", scope="colombia:read", hints=READ)
async def colombia_add_business_days(
    colombia: Colombia,
    date: Day,
    days: Annotated[
        int, Field(ge=-2000, le=2000, description="Counted from the next day; may be negative.")
    ],
    saturdays: Annotated[bool, Field(description="Whether Saturdays count.")] = False,
) -> BusinessDay:
    """Tell the day that is so many business days away. Use for terms and due dates.

    `skipped` are the holidays on weekdays in between, the last 60 at most.
    """
    start = co.day_of(date, language=colombia.language)
    found = co.add_business_days(start, days, saturdays=saturdays, language=colombia.language)
    skipped = [_holiday(on.isoformat(), name) for on, name in found.skipped[-60:]]
    return BusinessDay(date=found.day.isoformat(), skipped=skipped)


# --- tax ------------------------------------------------------------------------------------------


@tool("Get the UVT", scope="colombia:read", hints=READ)
async def colombia_get_uvt(
    colombia: Colombia,
    year: Annotated[int | None, Field(ge=1985, le=2100, description="By default this one.")] = None,
) -> UvtValue:
    """Tell the tax unit (UVT) of a year in pesos. Use for thresholds and fines."""
    asked = colombia.today().year if year is None else year
    found = co.get_uvt(asked, language=colombia.language)
    cents = found.pesos * 100
    told = UvtValue(
        year=found.year,
        value=Money(amount=cents, currency="COP"),
        text=co.format_cents(cents),
    )
    if found.resolution:
        told["resolution"] = found.resolution
    return told


@tool("Compute a CUFE or CUDE", scope="colombia:read", hints=READ)
async def colombia_compute_cufe(
    colombia: Colombia,
    secrets: Secrets,
    number: Annotated[str, Field(max_length=64, description="With prefix, no separator."), Text],
    issue_date: Day,
    issue_time: Annotated[str, Field(max_length=14, description="HH:MM:SS-05:00."), Text],
    amount: Pesos,
    total: Pesos,
    issuer_nit: Annotated[str, Field(max_length=64, description="Without check digit."), Text],
    customer_id: Short,
    key: Annotated[
        str,
        Field(
            max_length=160,
            description="Technical key of the range, for a CUDE the PIN; or secret://dian-...",
        ),
        Text,
    ],
    iva: Pesos = "0",
    inc: Pesos = "0",
    ica: Pesos = "0",
    kind: Literal["cufe", "cude"] = "cufe",
    environment: Literal["production", "test"] = "production",
) -> Cufe:
    """Compute the CUFE of an electronic invoice, or the CUDE of a note, and its QR address.

    Use it to check a document; `amount` is before taxes, `total` with them.
    """
    uuid = co.compute_cufe(
        number=number,
        issue_date=issue_date,
        issue_time=issue_time,
        amount=amount,
        total=total,
        issuer_nit=issuer_nit,
        customer_id=customer_id,
        key=await _key(colombia, secrets, key),
        iva=iva,
        inc=inc,
        ica=ica,
        environment=environment,
        language=colombia.language,
    )
    scheme: Literal["CUFE-SHA384", "CUDE-SHA384"] = (
        "CUFE-SHA384" if kind == "cufe" else "CUDE-SHA384"
    )
    return Cufe(uuid=uuid, scheme=scheme, url=co.search_url(uuid, environment))


async def _key(colombia: Colombia, secrets: Secrets, text: str) -> str:
    """The key, or what a secret named `dian...` holds: a digest of any other would help to guess it."""
    if text.startswith(_REFERENCE) and not text.startswith(_DIAN):
        raise refused("secret_name", "key", colombia.language)
    return await secrets.resolve(text)
