"""When two URLs name the same resource."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.auth.audience import normalised

LABEL = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
SEGMENT = st.from_regex(r"[A-Za-z0-9_.~-]{1,8}", fullmatch=True)
PATH = st.lists(SEGMENT, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts))


@given(st.sampled_from(["http", "https"]), LABEL, PATH, st.integers(1, 65535), st.integers(0, 3))
def test_case_default_port_and_trailing_slashes_say_nothing(scheme, host, path, port, slashes):
    url = f"{scheme}://{host}.example.com:{port}{path}"
    same = f"{scheme.upper()}://{host.upper()}.EXAMPLE.com:{port}{path}{'/' * slashes}"
    assert normalised(same) == normalised(url)
    default = {"http": 80, "https": 443}[scheme]
    bare = f"{scheme}://{host}.example.com{path}"
    assert (normalised(url) == normalised(bare)) == (port == default)


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text):
    for url in (text, f"https://{text}", f"https://h/{text}"):
        assert normalised(normalised(url)) == normalised(url)


@given(PATH, PATH)
def test_other_paths_are_other_resources(one, other):
    same = normalised(f"https://h{one}") == normalised(f"https://h{other}")
    assert same == (one == other)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "urn:house",
        "https://",
        "ftp://HOST/",
        "https://H/a?b",
        "https://H/#",
        "https://u@H/",
        "https://H\\@evil/",
        "https://H/\n",
        "https://H /",
        "https://H:port/",
        "https://H:99999/",
        "https://[::1/",
        "https://é.example.com/",
    ],
)
def test_what_is_no_plain_url_equals_only_itself(url):
    assert normalised(url) == url


def test_an_ipv6_host_keeps_its_brackets():
    assert normalised("HTTP://[::1]:80/mcp/") == "http://[::1]/mcp"
    assert normalised("http://[FE80::1]:8765/mcp") == "http://[fe80::1]:8765/mcp"
