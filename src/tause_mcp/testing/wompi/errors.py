"""What the API refuses, in its own words.

Texts marked `measured` below were seen from the real sandbox or stand in its documentation; where a
text is not known, a known one is used in its place or it begins with `(Sandbox)`.
"""

from typing import Any

ABSENT = "No está presente"
FORMAT = "Formato inválido"

SUBJECT_TO_KEY = "La llave proporcionada no corresponde a este ambiente, se recibió: {}"
NO_KEY = "Se esperaba una llave pública o privada pero no se recibió ninguna"
UNKNOWN_KEY = "Llave no válida"
NOT_ENOUGH = "El token no tiene suficientes permisos"
NO_ENTITY = "La entidad solicitada no existe"
NO_MERCHANT = "Comercio con llave {} no encontrado"

REFERENCE_USED = "La referencia ya ha sido usada"
NO_SIGNATURE = "Firma de integridad requerida no enviada"
WRONG_SIGNATURE = "La firma es inválida"
TOKEN_USED = "El token de aceptación ya fue usado"  # noqa: S105
TOKEN_INVALID = "El token de aceptación es inválido"  # noqa: S105
TOKEN_FORMAT = "El token de aceptación está en un formato incorrecto"  # noqa: S105
MINIMUM = "El monto mínimo de una transacción es ${:,} exceptuando impuestos"
NOT_COP = "Debe ser igual a COP"
PATTERN = 'debe coincidir con el patron "{}"'
LUHN = "El número de tarjeta es inválido. Luhn check falló."
NO_METHOD = "No se especificó método de pago o fuente de pago"
SOURCE_DECLINED = "La fuente de pago ha sido declinada"
NO_INSTALLMENTS = "No se especificó el número de cuotas (installments)"


class Refused(Exception):
    """An error of the API: its status and its body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def error(status: int, kind: str, reason: str, **more: Any) -> Refused:
    """An error with one `reason`."""
    return Refused(status, {"error": {"type": kind, "reason": reason, **more}})


def invalid(field: str, *messages: str) -> Refused:
    """422 on one field."""
    told = {"type": "INPUT_VALIDATION_ERROR", "messages": {field: list(messages)}}
    return Refused(422, {"error": told})


def unprocessable(reason: str) -> Refused:
    """422 on the whole."""
    return error(422, "UNPROCESSABLE", reason)


def not_found(reason: str = NO_ENTITY) -> Refused:
    """404."""
    return error(404, "NOT_FOUND_ERROR", reason)


def key_refused(reason: str, status: int = 401) -> Refused:
    """401, or 403 for a key that may not."""
    return error(status, "INVALID_ACCESS_TOKEN", reason)


def foreign_key(key: str) -> Refused:
    """401: a key of the other environment. It echoes the key, as the real one does."""
    return key_refused(SUBJECT_TO_KEY.format(key))


def full() -> Refused:
    """503: the sandbox keeps no more."""
    return error(503, "SANDBOX_FULL", "(Sandbox) it keeps no more: POST /_sandbox/reset")
