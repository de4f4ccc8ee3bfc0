"""What an argument is refused with, in Spanish and English. Verdicts are in `texts`."""

from collections.abc import Mapping

from tause_mcp.errors import Invalid, TauseError
from tause_mcp.services.colombia.texts import Language

REFUSALS: Mapping[str, tuple[str, str]] = {
    "document_type": (
        "uno de {known}, o su código de la DIAN como texto",
        "one of {known}, or its DIAN code as text",
    ),
    "department_code": (
        'dos cifras como texto, así: "05"; un número pierde el cero',
        'two digits as text, such as "05"; a number loses the zero',
    ),
    "no_department": (
        "ningún departamento tiene el código {given}: colombia_list_departments los dice",
        "no department has the code {given}: colombia_list_departments tells them",
    ),
    "year": ("de {first} a {last}", "from {first} to {last}"),
    "days": (
        "un número entero, hasta {most} en cada sentido",
        "a whole number, at most {most} either way",
    ),
    "no_holidays": (
        "los festivos se conocen de {first} a {last}",
        "holidays are known from {first} to {last}",
    ),
    "day": (
        "un día como AAAA-MM-DD, así: 2026-07-13",
        "a day as YYYY-MM-DD, such as 2026-07-13",
    ),
    "no_uvt": (
        "la UVT se conoce de {first} a {last}; la DIAN fija la siguiente en diciembre",
        "the UVT is known from {first} to {last}; DIAN sets the next one in December",
    ),
    "environment": ("es production o test", "is production or test"),
    "invoice_number": (
        "letras y cifras, con el prefijo y sin separadores",
        "letters and digits, with the prefix and no separator",
    ),
    "issue_time": ("HH:MM:SS-05:00, hora de Colombia", "HH:MM:SS-05:00, Colombia's time"),
    "digits": (
        "cifras, sin dígito de verificación ni separadores",
        "digits, without the check digit or separators",
    ),
    "alphanumeric": (
        "letras y cifras, sin dígito de verificación",
        "letters and digits, no check digit",
    ),
    "technical_key": (
        "la clave técnica (CUFE) o el PIN del software (CUDE)",
        "the technical key (CUFE) or the software's PIN (CUDE)",
    ),
    "secret_name": (
        "un secreto para esto empieza por secret://dian",
        "a secret for this begins with secret://dian",
    ),
    "pesos": (
        "pesos como texto, así: 1500000.00, sin signo ni separador de miles",
        "pesos as text such as 1500000.00: no sign, no separator of thousands",
    ),
}


def refused(
    reason: str,
    field: str,
    language: Language,
    kind: type[TauseError] = Invalid,
    **told: object,
) -> TauseError:
    """The failure to raise about an argument."""
    text = REFUSALS[reason][language == "en"].format(**told)
    return kind(f"{field}: {text}", field=field)
