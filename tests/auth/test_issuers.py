"""`TAUSE_TRUSTED_ISSUERS`: how it is written, and how it is not."""

import json

import pytest

from tause_mcp.auth.issuers import Issuer, path_of, read_issuers
from tause_mcp.errors import Misconfigured

IDP = "https://idp.example.com"


def test_nothing_stated_is_nobody_trusted() -> None:
    assert read_issuers("  ") == []


def test_a_line_of_issuers_with_their_key_sets() -> None:
    line = (
        f"{IDP}=https://idp.example.com/keys?v=1, oidc:https://b.example.com=http://127.0.0.1:9/k"
    )
    one, two = read_issuers(line)
    assert (one.issuer, one.jwks) == (IDP, "https://idp.example.com/keys?v=1")
    assert (two.issuer, two.jwks) == ("https://b.example.com", "http://127.0.0.1:9/k")
    assert one.audiences is None and one.needs == {"iss", "sub", "aud", "exp", "iat"}
    assert (one.tenant, one.roles, one.scopes) == ("tenant", "roles", "scope")


@pytest.mark.parametrize(
    ("line", "base"),
    [
        ("supabase:abcd", "https://abcd.supabase.co"),
        ("supabase:https://auth.example.com/", "https://auth.example.com"),
    ],
)
def test_supabase_is_a_project(line, base) -> None:
    (found,) = read_issuers(line)
    assert found.issuer == f"{base}/auth/v1"
    assert found.jwks == f"{base}/auth/v1/.well-known/jwks.json"
    assert found.audiences == {"authenticated"}
    assert path_of(found.tenant) == ("app_metadata", "tenant_id")


def test_firebase_is_a_project_whose_id_is_the_audience() -> None:
    (found,) = read_issuers("firebase:my-project")
    assert found.issuer == "https://securetoken.google.com/my-project"
    assert found.audiences == {"my-project"} and "auth_time" in found.needs


def test_a_file_states_every_field(tmp_path) -> None:
    path = tmp_path / "issuers.json"
    full = {
        "issuer": IDP,
        "jwks": f"{IDP}/keys",
        "audience": ["api", "https://idp.example.com/userinfo"],
        "required": ["email"],
        "tenant": ["https://example.com/tenant"],
        "roles": "realm_access.roles",
        "scopes": None,
        "tenants": ["acme", "eu-*"],
        "lifetime": 600,
    }
    preset = {"preset": "supabase", "project": "abcd", "jwks": "secret"}
    path.write_text(json.dumps([full, preset]))
    one, two = read_issuers(str(path))
    assert one == Issuer.model_validate(full)
    assert one.audiences == {"api", "https://idp.example.com/userinfo"}
    assert path_of(one.tenant) == ("https://example.com/tenant",)
    assert (two.jwks, two.audiences) == ("secret", {"authenticated"})


BAD_LINES = [
    "oidc:https://idp.example.com",
    "https://idp.example.com",
    f"{IDP}=",
    f"={IDP}/keys",
    f"{IDP}=ftp://idp.example.com/keys",
    f"{IDP}=https://[::1",
    f"{IDP}=file:///etc/passwd",
    f"{IDP}={IDP}/a,{IDP}={IDP}/b",
    f"local={IDP}/keys",
    f"shared:x={IDP}/keys",
    "supabase:",
    "firebase: ",
    "/nowhere/issuers.json",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_line_that_is_wrong_is_one_clear_line_back(line) -> None:
    with pytest.raises(Misconfigured) as refused:
        read_issuers(line)
    assert str(refused.value).startswith("TAUSE_TRUSTED_ISSUERS: ")
    assert "\n" not in str(refused.value)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(Misconfigured) as refused:
        read_issuers("https://idp.example.com=ftp://u:canary@idp.example.com/?t=canary")
    assert "canary" not in str(refused.value)


GOOD = {"issuer": IDP, "jwks": f"{IDP}/keys"}


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "{}",
        "[1]",
        json.dumps([{**GOOD, "unknown": 1}]),
        json.dumps([{**GOOD, "lifetime": 0}]),
        json.dumps([{**GOOD, "always": "../x"}]),
        json.dumps([{**GOOD, "preset": "auth0"}]),
        json.dumps([{**GOOD, "preset": ["oidc"]}]),
        json.dumps([{"issuer": IDP}]),
        json.dumps([{**GOOD, "issuer": "x" * 256}]),
        json.dumps([{"preset": "supabase"}]),
    ],
)
def test_a_file_that_is_wrong_is_one_clear_line_back(tmp_path, content) -> None:
    path = tmp_path / "issuers.json"
    path.write_text(content)
    with pytest.raises(Misconfigured, match=r"^TAUSE_TRUSTED_ISSUERS: ") as refused:
        read_issuers(str(path))
    assert "\n" not in str(refused.value) and str(path) not in str(refused.value)
