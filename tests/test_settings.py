"""Settings are read once, wrong ones stop the start in one line, and secrets are never shown."""

from pathlib import Path

import pytest

from tause_mcp.errors import Misconfigured
from tause_mcp.settings import Settings, names, superseded


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.read({})
    assert settings.tenant == "default"
    assert settings.home == Path.home() / ".tause"
    assert settings.database_url == settings.public_url == ""


def test_an_empty_value_is_as_good_as_none() -> None:
    assert Settings.read({"TAUSE_DEADLINE": "", "TAUSE_TENANT": ""}) == Settings.read({})


WRONG = {
    "TAUSE_DEADLINE": ["abc", "0", "-1", "3601", "nan", "inf", "1e9"],
    "TAUSE_TENANT": ["A", "a", "a b", "ä-b", "../x", "x" * 64, "ab\n"],
    "TAUSE_LOG_LEVEL": ["verbose", "INFO"],
    "TAUSE_ENVIRONMENT": ["prod"],
    "TAUSE_TRUSTED_PROXIES": ["*", "0.0.0.0/0", "::/0", "proxy.example", "10.0.0.1/8", "10.0.0.1;"],
    "TAUSE_MAX_BODY": ["1", "1.5", "four"],
    "MCP_JWT_ALGORITHM": ["none", "RS256"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, told in WRONG.items() for v in told])
def test_a_wrong_value_stops_the_start_in_one_line_that_names_it(name: str, value: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        Settings.read({name: value})
    told = str(refused.value)
    assert told.startswith(f"{name}: ")
    assert "\n" not in told


def test_a_wrong_secret_is_not_echoed() -> None:
    with pytest.raises(Misconfigured) as refused:
        Settings.read({"TAUSE_DEADLINE": "canary-value", "MCP_JWT_SECRET": "canary-secret"})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("TAUSE_DATABASE_ULR", "TAUSE_DATABASE_URL"),
        ("TAUSE_TENNANT", "TAUSE_TENANT"),
        ("TAUSE_ZZZZZZ", None),
        ("TAUSE_JWT_SECRET", None),
    ],
)
def test_an_unknown_setting_stops_the_start(name: str, near: str | None) -> None:
    with pytest.raises(Misconfigured, match=f"{name} is not a setting") as refused:
        Settings.read({name: "canary"})
    assert "canary" not in str(refused.value)
    if near:
        assert f"did you mean {near}?" in str(refused.value)


def test_what_is_not_ours_is_not_read() -> None:
    assert Settings.read({"TAUSEX": "1", "tause_tenant": "aa", "PATH": "/bin"}) == Settings.read({})


def test_every_name_is_ours_or_established_and_described() -> None:
    told = names()
    assert len(told) <= 60
    assert all(
        name.startswith(("TAUSE_", "MCP_", "WOMPI_", "OPENAI_", "ANTHROPIC_")) for name in told
    )
    for name, field in told.items():
        assert Settings.model_fields[field].description, name
        assert name != "TAUSE_SETTINGS"


SECRETS = ["TAUSE_DATABASE_URL", "TAUSE_DATABASE_ADMIN_URL", "TAUSE_STORAGE_URL", "TAUSE_API_KEY",
           "MCP_JWT_SECRET"]  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_in_no_text_of_the_settings(name: str) -> None:
    settings = Settings.read({name: "scheme://user:canary@host"})
    assert getattr(settings, names()[name]) == "scheme://user:canary@host"
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.read({}).tenant = "bb"


def test_the_home_is_absolute_and_expands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.read({"TAUSE_HOME": "~/x"}).at_home("key") == tmp_path / "x" / "key"
    monkeypatch.chdir(tmp_path)
    assert Settings.read({"TAUSE_HOME": "y"}).at_home("key") == tmp_path / "y" / "key"


# --- the file -----------------------------------------------------------------------------------


def read(tmp_path: Path, text: str | bytes, **environ: str) -> Settings:
    path = tmp_path / "settings.env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Settings.read({"TAUSE_SETTINGS": str(path), **environ})


def test_a_file_gives_settings_and_the_environment_wins(tmp_path: Path) -> None:
    text = "# a comment\n\n TAUSE_TENANT = aa \r\nTAUSE_DEADLINE=5\nTAUSE_API_KEY='a=b\"c'\n"
    settings = read(tmp_path, text, TAUSE_DEADLINE="7")
    assert (settings.tenant, settings.deadline, settings.api_key) == ("aa", 7.0, 'a=b"c')


@pytest.mark.parametrize("value", ['"quoted"', "'quoted'", "quoted"])
def test_a_pair_of_quotes_is_no_part_of_a_value(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, f"TAUSE_API_KEY={value}").api_key == "quoted"


@pytest.mark.parametrize("value", ["'", "it's'", '"half', 'x"'])
def test_a_lone_quote_is(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, f"TAUSE_API_KEY={value}").api_key == value


@pytest.mark.parametrize(
    ("text", "line"),
    [("TAUSE_TENANT", 1), ("A=1\nexport TAUSE_TENANT=aa", 2), ("\n\n=x", 3), ("a b=1", 1)],
)
def test_a_line_that_says_nothing_is_named(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(Misconfigured, match=f"line {line} is not NAME=value"):
        read(tmp_path, text)


def test_an_unknown_name_in_the_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_TENNANT is not a setting"):
        read(tmp_path, "TAUSE_TENNANT=aa")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for settings in ({"TAUSE_SETTINGS": str(tmp_path / "none")}, {"TAUSE_SETTINGS": str(tmp_path)}):
        with pytest.raises(Misconfigured, match="TAUSE_SETTINGS: cannot read"):
            Settings.read(settings)
    with pytest.raises(Misconfigured, match="not UTF-8"):
        read(tmp_path, b"TAUSE_TENANT=\xff\xfe")


# --- older names --------------------------------------------------------------------------------


def test_each_older_name_is_told_with_its_successor() -> None:
    told = superseded(
        {"TAUSESTACK_STORAGE_BACKEND": "s3", "SUPABASE_JWT_SECRET": "canary", "SUPABASE_X": "1",
         "MY_SUPABASE_URL": "1", "tausestack_x": "1"}
    )  # fmt: skip
    assert told == [
        "SUPABASE_JWT_SECRET is not read any more: MCP_JWT_SECRET",
        "SUPABASE_X is not read any more: see docs/settings.md",
        "TAUSESTACK_STORAGE_BACKEND is not read any more: TAUSE_STORAGE_URL",
    ]
    assert superseded({}) == []


# --- Wompi --------------------------------------------------------------------------------------

KEYS = {
    "WOMPI_PUBLIC_KEY": "pub_test_canary",
    "WOMPI_PRIVATE_KEY": "prv_test_canary",
    "WOMPI_EVENTS_SECRET": "test_events_canary",
    "WOMPI_INTEGRITY_SECRET": "test_integrity_canary",
}
PRODUCTION = {name: value.replace("test", "prod") for name, value in KEYS.items()}
WOMPI = "https://production.wompi.co/v1"


@pytest.mark.parametrize("keys", [{}, KEYS, PRODUCTION])
def test_wompis_keys_are_a_whole_set_or_none(keys: dict[str, str]) -> None:
    settings = Settings.read(keys)
    assert settings.wompi_private_key == keys.get("WOMPI_PRIVATE_KEY", "")
    shown = repr(settings).replace(settings.wompi_public_key or "-", "")
    assert "canary" not in shown


def refusal(**environ: str) -> str:
    with pytest.raises(Misconfigured) as refused:
        Settings.read(environ)
    told = str(refused.value)
    assert "canary" not in told
    assert "\n" not in told
    return told


@pytest.mark.parametrize("name", KEYS)
def test_a_half_given_set_stops_the_start(name: str) -> None:
    told = refusal(**{n: value for n, value in KEYS.items() if n != name})
    assert told == f"{name}: Wompi's four keys go together, and this one is missing"


@pytest.mark.parametrize("name", KEYS)
def test_keys_of_two_environments_stop_the_start(name: str) -> None:
    assert refusal(**KEYS | {name: PRODUCTION[name]}).startswith(f"{name}: this key is of Wompi's")


@pytest.mark.parametrize("name", KEYS)
def test_a_key_in_anothers_place_stops_the_start(name: str) -> None:
    others = [value for other, value in KEYS.items() if other != name]
    for other in ("x", *others, "pub_test_", "{}\n", "{} x", "{}é", " {}"):
        told = refusal(**KEYS | {name: other.format(KEYS[name])})
        assert told.startswith(f"{name}: write a key that starts with ")


def test_a_production_key_goes_to_wompi_alone() -> None:
    assert refusal(**PRODUCTION, WOMPI_BASE_URL="http://127.0.0.1:9/v1").startswith(
        "WOMPI_BASE_URL: production keys go to Wompi alone"
    )
    assert refusal(**PRODUCTION, WOMPI_BASE_URL="https://sandbox.wompi.co/v1")
    assert Settings.read({**PRODUCTION, "WOMPI_BASE_URL": f"{WOMPI}/"}).wompi_base_url == WOMPI
    assert refusal(**KEYS, WOMPI_BASE_URL=WOMPI).startswith("WOMPI_BASE_URL: this is Wompi's")


@pytest.mark.parametrize("name", ["WOMPI_BASE_URL", "WOMPI_CHECKOUT_URL", "WOMPI_PAYOUTS_URL"])
def test_an_address_is_one(name: str) -> None:
    field = names()[name]
    for good in ("http://127.0.0.1:8123/v1", "https://wompi.example.com", "http://[::1]:80/v1"):
        assert getattr(Settings.read({name: good + "/"}), field) == good
    for bad in ("ftp://a/", "/v1", "a", "http://", "http://u:canary@a/", "http://a/?b", "http://a/#b",
                "http://a:0/", "http://a:x/", "http://a:99999/", "http://a/ b", "http://[a/"):  # fmt: skip
        assert refusal(**{name: bad}).startswith(f"{name}: write http(s)://host")
