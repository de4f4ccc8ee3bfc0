"""Lexical search over the tools, in Spanish and English, without a model or a network.

BM25-like: rare words weigh more, a word of the name more than one of the description; accents,
case and plurals fold; a prefix of four letters counts for less.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORD = re.compile(r"[a-z0-9]+")
_COMMON = """
a an and as at by for from have how i in is it me much my need of on one or please the to want what
with como cual de del desde el en la las lo los mi mis para por que quiero se su sus un una y yo
"""
_STOP = frozenset(_COMMON.split())
VERBS: Mapping[str, str] = {
    "put": "store save upload write guardar subir almacenar escribir",
    "get": "read fetch download obtener leer ver consultar descargar",
    "stat": "size metadata exists información tamaño existe",
    "list": "show see all listar mostrar ver todos",
    "delete": "remove erase borrar eliminar quitar",
    "copy": "duplicate copiar duplicar",
    "sign": "link url share enlace compartir firmar",
    "create": "add new make crear nuevo agregar añadir",
    "configure": "set change setting configurar ajustar cambiar",
    "explain": "why where come source explicar origen donde viene valor",
    "suspend": "disable pause suspender pausar",
    "resume": "enable reactivar reanudar",
    "revoke": "disable invalidate revocar anular",
    "define": "set declare create make new definir crear nuevo",
    "assign": "give grant asignar dar otorgar",
    "unassign": "take away withdraw remove desasignar retirar quitar",
    "remove": "delete quitar eliminar borrar",
    "search": "find look buscar encontrar",
    "verify": "check verificar comprobar",
    "validate": "check verify correct validar verificar comprobar revisar válido",
    "find": "search look buscar encontrar",
    "add": "sumar agregar después after",
    "normalize": "clean format normalizar estandarizar",
    "compute": "calculate calcular",
    "document": "documento identidad",
    "phone": "teléfono celular móvil mobile",
    "plate": "placa vehículo carro license",
    "postal": "zip código postal",
    "departments": "departamentos states",
    "municipalities": "municipios ciudades cities towns",
    "municipality": "municipio ciudad dane código city town",
    "address": "dirección",
    "holidays": "festivos feriados calendario public",
    "business": "días hábiles laborales working",
    "cufe": "cude factura electrónica invoice",
    "export": "download exportar",
    "whoami": "who am identity me may do allowed permissions quién soy identidad permisos puedo hacer",
    "void": "refund give return back anular reembolsar devolver reintegrar",
    "charge": "collect cobrar cargar",
    "schedule": "recurring subscription repeat programar recurrente suscripción",
    "unschedule": "stop end cancel recurring cancelar detener suscripción",
    "cancel": "close stop cancelar cerrar",
    "save": "store keep guardar",
    "reconcile": "check sync update conciliar actualizar estado",
    "banks": "bancos pse",
    "source": "card tarjeta",
    "usage": "used consumption statistics uso usado consumo estadísticas",
}


def fold(text: str) -> list[str]:
    """Words of `text`: lower case, no accents, the ending of a plural (or a last e) cut."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return [_stem(w) for w in _WORD.findall(plain) if w not in _STOP]


def _stem(word: str) -> str:
    for ending in ("es", "s", "e"):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            return word[: -len(ending)]
    return word


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool, as search sees it."""

    name: str
    title: str
    description: str
    words: str


class Index:
    """All tools of a catalogue, ready to be searched."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._weights = {e.name: _weigh(e) for e in entries}
        seen = Counter(word for weights in self._weights.values() for word in weights)
        total = len(self._weights)
        self._rarity = {word: math.log(1 + total / n) for word, n in seen.items()}

    def search(self, query: str, allowed: Iterable[str], limit: int) -> list[str]:
        """Names of the best allowed entries, best first: a name as it is written is; names break
        ties."""
        wanted = Counter(fold(query))
        scores = {name: self._score(name, wanted) for name in allowed if name in self._weights}
        best = sorted(
            (n for n, s in scores.items() if s > 0), key=lambda n: (n != query, -scores[n], n)
        )
        return best[:limit]

    def _score(self, name: str, wanted: Mapping[str, int]) -> float:
        weights = self._weights[name]
        return sum(n * self._match(word, weights) for word, n in wanted.items())

    def _match(self, word: str, weights: Mapping[str, float]) -> float:
        if word in weights:
            return weights[word] * self._rarity[word]
        near = [w for w in weights if len(word) >= 4 and len(w) >= 4 and _akin(w, word)]
        return max((0.5 * weights[w] * self._rarity[w] for w in near), default=0.0)


def _akin(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _weigh(entry: Entry) -> dict[str, float]:
    parts = entry.name.split("_")
    verbs = " ".join(VERBS.get(part, "") for part in parts[1:])
    weights: dict[str, float] = {}
    for text, weight in (
        (entry.words, 1.0),
        (entry.description, 1.0),
        (verbs, 2.0),
        (entry.title, 2.5),
        (" ".join(parts), 3.0),
    ):
        for word in fold(text):
            weights[word] = max(weights.get(word, 0.0), weight)
    return weights
