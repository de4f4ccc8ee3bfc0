"""`tause-mcp sandbox wompi`, as a process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import httpx2
import pytest
from tests.support.serving import plain

START = [sys.executable, "-m", "tause_mcp", "sandbox", "wompi"]


@contextmanager
def started(*options: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """The process, and what it printed."""
    environ = plain(os.devnull)  # type: ignore[arg-type]  # it has no home
    process = subprocess.Popen(
        [*START, *options], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        told: dict[str, str] = {}
        assert process.stdout is not None
        for line in process.stdout:
            name, equals, value = line.strip().partition("=")
            if equals:
                told[name] = value
            if name == "SANDBOX_CONTROL_TOKEN":
                break
        yield process, told
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_what_it_prints_makes_a_payment_and_sigterm_ends_it() -> None:
    with started("--seed", "7") as (process, told):
        with httpx2.Client(base_url=told["WOMPI_BASE_URL"], trust_env=False, verify=False) as http:
            merchant = http.get(f"/merchants/{told['WOMPI_PUBLIC_KEY']}").json()["data"]
            signed = f"order-1150000COP{told['WOMPI_INTEGRITY_SECRET']}"
            body = {
                "acceptance_token": merchant["presigned_acceptance"]["acceptance_token"],
                "accept_personal_auth": merchant["presigned_personal_data_auth"][
                    "acceptance_token"
                ],
                "amount_in_cents": 150_000,
                "currency": "COP",
                "customer_email": "ana@example.com",
                "reference": "order-1",
                "signature": sha256(signed.encode()).hexdigest(),
                "payment_method": {"type": "NEQUI", "phone_number": "3991111111"},
            }
            headers = {"authorization": f"Bearer {told['WOMPI_PUBLIC_KEY']}"}
            made = http.post("/transactions", json=body, headers=headers)
            assert made.status_code == 201, made.text
            path = f"/transactions/{made.json()['data']['id']}"
            assert http.get(path).json()["data"]["status"] == "APPROVED"
            control = {"authorization": f"Bearer {told['SANDBOX_CONTROL_TOKEN']}"}
            listed = http.get(f"{told['SANDBOX_CONTROL_URL']}/transactions", headers=control)
            assert listed.json()["creates"] == {"order-1": 1}
            payouts = {
                "x-api-key": told["WOMPI_PAYOUTS_API_KEY"],
                "user-principal-id": told["WOMPI_PAYOUTS_USER_PRINCIPAL_ID"],
            }
            banks = http.get(f"{told['WOMPI_PAYOUTS_URL']}/v1/banks", headers=payouts)
            assert banks.status_code == 200
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")


def test_a_seed_prints_the_same_keys_and_another_token() -> None:
    runs = []
    for _ in range(2):
        with started("--seed", "7") as (_process, told):
            runs.append(told)
    keys = [name for name in runs[0] if name.endswith(("_KEY", "_SECRET", "_ID"))]
    assert len(keys) == 7
    assert [runs[0][k] for k in keys] == [runs[1][k] for k in keys]
    assert runs[0]["SANDBOX_CONTROL_TOKEN"] != runs[1]["SANDBOX_CONTROL_TOKEN"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--resolve-after", "soon"], "resolve_after: 'soon' is none of manual"),
        (["--webhook-url", "shop"], "webhook_url: must be an http or https URL"),
    ],
)
def test_what_cannot_be_read_is_one_line(options: list[str], told: str) -> None:
    done = subprocess.run([*START, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_one_line() -> None:
    with started() as (_process, told):
        port = told["WOMPI_BASE_URL"].removesuffix("/v1").rpartition(":")[2]
        done = subprocess.run([*START, "--port", port], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"cannot serve on 127.0.0.1:{port}: Address already in use" in done.stderr
