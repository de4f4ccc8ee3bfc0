"""Colombia: documents, phones, places, calendar, tax. Pure functions over packaged data.

from tause_mcp.services.colombia import validate_nit
validate_nit("800197268-4").verdict  # "valid"
"""

from tause_mcp.capability import Capability
from tause_mcp.services.colombia.addresses import Address, normalize_address
from tause_mcp.services.colombia.calendar import (
    add_business_days,
    day_of,
    holidays,
    is_business_day,
)
from tause_mcp.services.colombia.documents import document_type, validate_cedula, validate_document
from tause_mcp.services.colombia.finding import Finding, find_municipality
from tause_mcp.services.colombia.invoices import (
    compute_cude,
    compute_cufe,
    event_cude,
    search_url,
    software_security_code,
)
from tause_mcp.services.colombia.money import format_cents, format_pesos, get_uvt
from tause_mcp.services.colombia.nit import format_nit, nit_check_digit, validate_nit
from tause_mcp.services.colombia.phones import validate_phone
from tause_mcp.services.colombia.places import (
    Department,
    Municipality,
    departments,
    municipalities,
    municipalities_of,
    validate_postal_code,
)
from tause_mcp.services.colombia.plates import validate_plate
from tause_mcp.services.colombia.service import Colombia
from tause_mcp.services.colombia.texts import Language, language_of
from tause_mcp.services.colombia.verdicts import Reason, Verdict

CAPABILITY = Capability(
    name="colombia",
    about="NIT, cédulas, phones, plates, municipalities, holidays, UVT and CUFE of Colombia",
    words="colombia colombiano dian rut nit cédula divipola dane uvt tax cliente customer",
    services={Colombia: lambda binding: Colombia(language_of(binding.value("locale")))},
    modules=(),
)

__all__ = [
    "CAPABILITY",
    "Address",
    "Colombia",
    "Department",
    "Finding",
    "Language",
    "Municipality",
    "Reason",
    "Verdict",
    "add_business_days",
    "compute_cude",
    "compute_cufe",
    "day_of",
    "departments",
    "document_type",
    "event_cude",
    "find_municipality",
    "format_cents",
    "format_nit",
    "format_pesos",
    "get_uvt",
    "holidays",
    "is_business_day",
    "language_of",
    "municipalities",
    "municipalities_of",
    "nit_check_digit",
    "normalize_address",
    "search_url",
    "software_security_code",
    "validate_cedula",
    "validate_document",
    "validate_nit",
    "validate_phone",
    "validate_plate",
    "validate_postal_code",
]
