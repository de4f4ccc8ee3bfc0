"""Colombia without a server: plain functions with plain answers.

The reasons behind a verdict are in `tause_mcp.services.colombia`, which is imported when first
used.
"""


def validate_cedula(cedula: str) -> bool:
    """Whether it has the shape of a cédula de ciudadanía. It has no check digit: nothing offline
    proves that one exists."""
    from tause_mcp.services import colombia

    return bool(colombia.validate_cedula(cedula))


def validate_nit(nit: str) -> bool:
    """Whether a NIT such as `800197268-4` has the right check digit, written after a hyphen.

    Without one nothing can be checked: False.
    """
    from tause_mcp.services import colombia

    return colombia.validate_nit(nit).verdict == "valid"


def get_departamentos() -> list[dict[str, str]]:
    """The 33 departments: `[{"code": "05", "name": "ANTIOQUIA"}, ...]`, by DANE code."""
    from tause_mcp.services import colombia

    return [{"code": row.code, "name": row.name} for row in colombia.departments().values()]


def get_municipios(dept_code: str) -> list[dict[str, str]]:
    """The municipalities of a department: `[{"code": "05001", "name": "MEDELLÍN", ...}, ...]`
    with `department_code`, `department_name` and `type`.

    Raises:
        Invalid: the code is not two digits as text. NotFound: no department has it.
    """
    from tause_mcp.services import colombia

    return [row._asdict() for row in colombia.municipalities_of(dept_code)]
