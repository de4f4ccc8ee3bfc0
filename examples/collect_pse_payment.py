"""Collect a payment by PSE, end to end, on this machine: no money moves, nothing leaves it.

    python examples/collect_pse_payment.py

A local Wompi and a TauseStack server start in a folder of their own. An agent checks the customer's
document, chooses a bank and asks for the payment; a person approves it; the payer accepts the terms
on the pay page and decides at the bank; Wompi's event arrives; the ledger says what happened. Then
once more, with the server killed between Wompi's answer and its own: the payment is found again,
and charged once.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2

import tause_mcp.client as ts
from tause_mcp.testing.wompi import Sandbox, Served, serving

CUSTOMER = {
    "full_name": "Ana María Rodríguez",
    "email": "ana@example.com",
    "phone": "3001234567",
    "document_type": "CC",
    "document": "1020304050",
}


def say(step: str, text: object) -> None:
    print(f"{step:>12}  {text}", flush=True)


class Server:
    """A `tause-mcp` process with its own home, collecting through the local Wompi."""

    def __init__(self, home: Path, sandbox: Sandbox, wompi: Served) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home = home
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TAUSE_", "WOMPI_"))},
            "TAUSE_HOME": str(home),
            "TAUSE_LOG_LEVEL": "error",
            "WOMPI_BASE_URL": wompi.base_url,
            "WOMPI_CHECKOUT_URL": wompi.checkout_url,
            "WOMPI_PUBLIC_KEY": sandbox.keys.public,
            "WOMPI_PRIVATE_KEY": sandbox.keys.private,
            "WOMPI_EVENTS_SECRET": sandbox.keys.events,
            "WOMPI_INTEGRITY_SECRET": sandbox.keys.integrity,
        }

    def start(self) -> None:
        command = (*self._command(), "serve", "--transport", "http", "--port", str(self.port))
        self.process = subprocess.Popen(command, env=self.environ, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.1)
        raise SystemExit("the server did not start")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait()

    def run(self, *arguments: str) -> None:
        """A command of the shell, as a person beside the server types it."""
        subprocess.run((*self._command(), *arguments), env=self.environ, check=True)

    def _command(self) -> tuple[str, ...]:
        return sys.executable, "-m", "tause_mcp"


async def ask_for_payment(server: Server, order: str, pesos: int, bank: str) -> dict[str, Any]:
    """What an agent does: validate, choose the bank by its name, and ask; a person approves."""
    told = {"type": CUSTOMER["document_type"], "number": CUSTOMER["document"]}
    verdict = await ts.call("colombia_validate_document", told)
    say("customer", f"{told['type']} {verdict['normalized']}: {verdict['verdict']}")
    banks = (await ts.call("payments_list_banks", {}))["items"]
    code = next(b["code"] for b in banks if b["name"] == bank)
    say("bank", f"{bank} ({code}), of {len(banks)}")

    async def ask() -> dict[str, Any]:
        return await ts.payments.create_pse_payment(
            pesos, CUSTOMER["email"], code, reference=order, description="Plan mensual"
        )

    payment = await ask()
    while payment["status"] == "approval_required":
        say("approval", payment["summary"])
        await asyncio.to_thread(server.run, "approvals", "approve", payment["id"])
        payment = await ask()
    again = await ask()
    assert again["id"] == payment["id"], "the same order is the same payment"
    say("pay page", payment["pay_url"])
    return payment


async def pay(http: httpx2.AsyncClient, pay_url: str) -> httpx2.Response:
    """What a payer's browser does on the pay page: read, fill in, tick both terms, send."""
    page = await http.get(pay_url, headers={"accept-language": "es-CO"})
    terms = re.findall(r'href="(https?://[^"]+)" target="_blank"', page.text)
    say("terms", " and ".join(unescape(link) for link in terms))
    hidden = re.search(r'name="form" value="([^"]+)"', page.text)
    assert hidden, page.text
    asked = {n: v for n, v in CUSTOMER.items() if f'name="{n}"' in page.text}
    form = {**asked, "form": unescape(hidden[1]), "terms": "yes", "personal": "yes"}
    if 'name="person_type"' in page.text:
        form["person_type"] = "natural"
    return await http.post(pay_url, data=form, follow_redirects=True)


async def at_the_bank(http: httpx2.AsyncClient, page: httpx2.Response) -> httpx2.Response:
    """Follow the pay page to the bank, agree there, and come back."""
    link = re.search(r'href="([^"]+/_sandbox/authorize/[^"]+)"', page.text)
    assert link, page.text
    bank = await http.get(unescape(link[1]))
    say("bank's page", bank.url)
    action = re.search(r'<form method="post" action="([^"]+)"', bank.text)
    choice = re.search(r'<button name="([^"]+)" value="([^"]+)"', bank.text)
    assert action and choice, bank.text
    target = urljoin(str(bank.url), unescape(action[1]))
    return await http.post(target, data={choice[1]: choice[2]}, follow_redirects=True)


async def ended(payment_id: str) -> dict[str, Any]:
    """The payment once it is final: Wompi's event, or the reconciler, brings the news."""
    for _ in range(120):
        payment = await ts.call("payments_get", {"id": payment_id})
        if payment["status"] not in ("awaiting_payer", "processing", "pending"):
            return payment
        await asyncio.sleep(0.5)
    raise SystemExit(f"still {payment['status']}: {payment}")


async def collect(server: Server, sandbox: Sandbox) -> None:
    say("--", "a payment from beginning to end")
    payment = await ask_for_payment(server, "A-17", 50_000, "Banco que aprueba")
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        back = await at_the_bank(http, await pay(http, payment["pay_url"]))
    say("returned to", back.url.copy_with(query=None))
    done = await ended(payment["id"])
    say("ledger", f"{done['status']}, {done['amount']}, Wompi's {done['provider_id']}")
    say("webhook", [a.status for one in sandbox.deliveries for a in one.attempts])


async def made_by(sandbox: Sandbox, reference: str) -> None:
    """Wait until Wompi has made a payment."""
    for _ in range(1200):
        if sandbox.creates[reference]:
            return
        await asyncio.sleep(0.05)
    raise SystemExit("Wompi was never asked")


async def collect_though_killed(server: Server, sandbox: Sandbox) -> None:
    say("--", "the same, killed between Wompi's answer and ours")
    payment = await ask_for_payment(server, "A-18", 75_000, "Banco que aprueba")
    sandbox.fail("POST /transactions", "timeout")
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        paying = asyncio.create_task(pay(http, payment["pay_url"]))
        await made_by(sandbox, payment["reference"])
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        await asyncio.gather(paying, return_exceptions=True)
        say("killed", "Wompi has the payment, and the ledger does not know")
        await asyncio.to_thread(server.start)
        back = await http.get(payment["pay_url"])
        page = await http.get(payment["pay_url"]) if "authorize" not in back.text else back
        await at_the_bank(http, page)
    done = await ended(payment["id"])
    made = sandbox.creates[payment["reference"]]
    say("ledger", f"{done['status']}; payments that Wompi made of this order: {made}")
    assert (done["status"], made) == ("approved", 1)


async def main() -> None:
    sandbox = Sandbox()
    with tempfile.TemporaryDirectory() as folder, serving(sandbox) as wompi:
        server = Server(Path(folder) / "home", sandbox, wompi)
        sandbox.webhook_url = f"{server.url}/webhooks/wompi/default"
        server.start()
        try:
            ts.configure(server.url, (server.home / "key").read_text().strip())
            await collect(server, sandbox)
            await collect_though_killed(server, sandbox)
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(main())
