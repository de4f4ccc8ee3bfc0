"""What the module says, in Spanish and English. A code is stable: programs may switch on it."""

from collections.abc import Mapping
from typing import Literal

Language = Literal["es", "en"]

TEXTS: Mapping[str, tuple[str, str]] = {
    # what cannot be read
    "not_text": (
        "Debe ser texto entre comillas: un número pierde los ceros a la izquierda.",
        "Must be text in quotes: a number loses leading zeros.",
    ),
    "empty": ("Está vacío.", "It is empty."),
    "too_long": (
        "Es demasiado largo: más de {most} caracteres.",
        "It is over {most} characters long.",
    ),
    "foreign_digits": (
        "Tiene cifras de otro alfabeto o de ancho completo: escriba 0 a 9.",
        "It has full-width digits or those of another script: write 0 to 9.",
    ),
    "sign": (
        "Empieza con un signo: escriba solo las cifras.",
        "It begins with a sign: write only the digits.",
    ),
    "letters": ("Tiene letras: solo lleva cifras.", "It has letters: it takes digits only."),
    "separators": (
        "Los separadores no se entienden: puntos o espacios cada tres cifras, o ninguno.",
        "The separators make no sense: dots or spaces every three digits, or none.",
    ),
    "characters": (
        "Tiene caracteres que no son letras ni cifras.",
        "It has characters that are neither letters nor digits.",
    ),
    # documents
    "leading_zero": ("Empieza por cero.", "It begins with a zero."),
    "length": (
        "Tiene {has} caracteres; {kind} lleva de {least} a {most}.",
        "It has {has} characters; {kind} has {least} to {most}.",
    ),
    "unusual_length": (
        "{has} caracteres no es una longitud usual de {kind}: revísela.",
        "{has} characters is not a usual length of {kind}: check it.",
    ),
    "shape_only": (
        "Tiene la forma de {kind}; sin consultar a quien la expide no se prueba que exista.",
        "It has the shape of {kind}; only its issuer can prove that it exists.",
    ),
    "not_in_use": (
        "{kind} pertenece a un programa que terminó.",
        "{kind} belongs to a programme that has ended.",
    ),
    "check_digit_unused": (
        "{kind} no lleva dígito de verificación; con él, use el tipo NIT.",
        "{kind} has no check digit; with one, use the type NIT.",
    ),
    # NIT
    "check_digit_ok": (
        "El dígito de verificación corresponde.",
        "The check digit is the right one.",
    ),
    "check_digit_mismatch": (
        "El dígito de verificación de {body} es {right}, no {given}.",
        "The check digit of {body} is {right}, not {given}.",
    ),
    "check_digit_absent": (
        "Falta el dígito de verificación tras un guion: no se comprobó; sería {right}.",
        "No check digit after a hyphen: nothing was checked; it would be {right}.",
    ),
    "check_digit_ambiguous": (
        "Diez cifras sin guion pueden ser nueve y su dígito de verificación, o una cédula de diez: "
        "escriba el dígito tras un guion.",
        "Ten digits without a hyphen may be nine and their check digit, or a cédula of ten: write "
        "the check digit after a hyphen.",
    ),
    "check_digit_format": (
        "El dígito de verificación es una sola cifra de 0 a 9.",
        "A check digit is one digit from 0 to 9.",
    ),
    "check_digit_conflict": (
        "El dígito tras el guion y el que se dio aparte no coinciden.",
        "The digit after the hyphen and the one given apart are not the same.",
    ),
    "final_consumer": (
        "Es el número de consumidor final, no el de una persona.",
        "It is the number for an unnamed final consumer, not a person's.",
    ),
    # phones
    "mobile": ("Celular de un rango asignado.", "A mobile number in an assigned range."),
    "fixed_line": ("Fijo de un rango asignado.", "A fixed line in an assigned range."),
    "toll_free": ("Línea gratuita 01800.", "A toll-free 01800 number."),
    "unassigned_range": (
        "Tiene la forma de un celular, en un rango no asignado.",
        "It has the shape of a mobile number, in a range that is not assigned.",
    ),
    "unknown_area": (
        "Ningún fijo empieza así: 60, una cifra de indicativo (1, 2, 4 a 8) y siete cifras.",
        "No fixed line begins so: 60, one digit of the area (1, 2, 4 to 8) and seven digits.",
    ),
    "other_country": (
        "El indicativo no es el de Colombia (+57).",
        "The country code is not Colombia's (+57).",
    ),
    "old_numbering": (
        "Es la numeración anterior a septiembre de 2021: hoy un fijo es 60, el indicativo y siete "
        "cifras.",
        "It is the numbering before September 2021: a fixed line now is 60, the area and seven "
        "digits.",
    ),
    "phone_length": (
        "Tiene {has} cifras; un teléfono tiene diez.",
        "It has {has} digits; a phone number has ten.",
    ),
    "not_a_phone": (
        "Un celular empieza por 3 y un fijo por 60.",
        "A mobile number begins with 3 and a fixed line with 60.",
    ),
    # plates, postal codes, addresses
    "plate": ("Placa de {kind} por su forma.", "A plate of {kind} by its shape."),
    "plate_letters": (
        "Las placas llevan letras de la A a la Z, sin Ñ ni tildes.",
        "Plates have letters from A to Z, no Ñ and no accents.",
    ),
    "not_a_plate": (
        "No es forma de placa: AAA123 carro, AAA12B moto, R12345 remolque, CD1234 diplomática.",
        "No plate looks so: AAA123 car, AAA12B motorcycle, R12345 trailer, CD1234 diplomatic.",
    ),
    "postal_code_length": (
        "Tiene {has} cifras; un código postal tiene seis.",
        "It has {has} digits; a postal code has six.",
    ),
    "postal_code_department": (
        "Ningún departamento tiene el código {department}, con el que empieza.",
        "No department has the code {department}, with which it begins.",
    ),
    "postal_code": (
        "Tiene la forma de un código postal de {department}.",
        "It has the shape of a postal code of {department}.",
    ),
    "address": (
        "Tiene vía y número; no se prueba que exista.",
        "It has road and number; that it exists is not proved.",
    ),
    "address_partial": (
        "Le falta el número de la vía que cruza o la placa.",
        "The number of the crossing road or of the door is missing.",
    ),
    "no_road": (
        "No empieza por un tipo de vía como Calle o Carrera: solo se quitaron signos y tildes.",
        "It begins with no kind of road such as Calle or Carrera: only marks and accents went.",
    ),
    # places
    "ambiguous_name": (
        "Hay {count} con ese nombre: diga el departamento o el código.",
        "{count} have that name: tell the department or the code.",
    ),
    "similar_names": ("Ninguno se llama así; estos se parecen.", "None has that name; these do."),
    "unknown_place": (
        "Ningún municipio se llama así.",
        "No municipality has that name.",
    ),
    "unknown_department": (
        "Ningún departamento se llama así.",
        "No department has that name.",
    ),
    "unknown_code": ("Ningún municipio tiene ese código.", "No municipality has that code."),
    "code_length": (
        "El código de un municipio es texto de cinco cifras: ¿{meant}?",
        "A municipality's code is text of five digits: {meant}?",
    ),
    "replaced_code": (
        "El código {old} fue reemplazado por {new}.",
        "The code {old} was replaced by {new}.",
    ),
    "retired": (
        "{old} ({name}) salió de la lista del DANE.",
        "{old} ({name}) left DANE's list.",
    ),
    "elsewhere": (
        "No está en ese departamento; estos llevan el nombre.",
        "It is not in that department; these have the name.",
    ),
}


def say(code: str, language: Language, **told: object) -> str:
    """The sentence of a code in a language."""
    return TEXTS[code][language == "en"].format(**told)


def language_of(locale: object) -> Language:
    """From a tenant's locale: Spanish, unless it names another language."""
    text = locale.strip().lower() if isinstance(locale, str) else ""
    return "es" if not text or text.replace("_", "-").split("-")[0] == "es" else "en"
