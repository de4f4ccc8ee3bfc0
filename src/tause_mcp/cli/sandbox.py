"""`tause-mcp sandbox`: local doubles of outside companies, served on loopback."""

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from tause_mcp.errors import Invalid, Misconfigured

if TYPE_CHECKING:
    from tause_mcp.testing.wompi import Sandbox, Served


@click.group()
def sandbox() -> None:
    """Serve a local double of an outside company, for tests."""


@sandbox.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Default: a free one.")
@click.option("--webhook-url", default=None, help="Where events go.")
@click.option(
    "--resolve-after",
    default="polls:1,PSE=manual",
    show_default=True,
    help="When payments end: manual, polls:N or seconds:S, and per method.",
)
@click.option("--seed", default=0, show_default=True, type=int, help="Of the keys and ids.")
@click.option("--pse-at-once", is_flag=True, help="PSE shows its URL only with its end.")
def wompi(port: int, pse_at_once: bool, **options: Any) -> None:
    """Serve a local Wompi: payments, checkout, payouts, webhooks, faults. See docs/sandbox.md."""
    from tause_mcp.testing.wompi import Sandbox

    try:
        double = Sandbox(pse_url_stage=not pse_at_once, **options)
    except ValueError as problem:
        raise Invalid(str(problem)) from None
    try:
        asyncio.run(_serve(double, port))
    except OSError as error:
        told = os.strerror(error.errno) if error.errno else str(error)
        raise Misconfigured(f"--port: cannot serve on 127.0.0.1:{port}: {told}") from None


async def _serve(double: "Sandbox", port: int) -> None:
    """Until SIGTERM or Ctrl-C."""
    from tause_mcp.testing.wompi import running

    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with running(double, port) as served:
        click.echo(block(double, served))
        sys.stdout.flush()
        await ended.wait()


def block(double: "Sandbox", served: "Served") -> str:
    """What to paste, and where to look."""
    keys = double.keys
    names = {
        "WOMPI_BASE_URL": served.base_url,
        "WOMPI_PUBLIC_KEY": keys.public,
        "WOMPI_PRIVATE_KEY": keys.private,
        "WOMPI_EVENTS_SECRET": keys.events,
        "WOMPI_INTEGRITY_SECRET": keys.integrity,
        "WOMPI_CHECKOUT_URL": served.checkout_url,
        "WOMPI_PAYOUTS_URL": served.payouts_url,
        "WOMPI_PAYOUTS_API_KEY": keys.payouts_api,
        "WOMPI_PAYOUTS_USER_PRINCIPAL_ID": keys.payouts_principal,
        "WOMPI_PAYOUTS_EVENTS_SECRET": keys.payouts_events,
        "SANDBOX_CONTROL_URL": served.control_url,
        "SANDBOX_CONTROL_TOKEN": double.control_token,
    }
    lines = [f"A local Wompi at {served.url}: no money moves, nothing leaves this machine.", ""]
    return "\n".join([*lines, *(f"{name}={value}" for name, value in names.items())])
