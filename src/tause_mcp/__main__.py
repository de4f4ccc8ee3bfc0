"""`python -m tause_mcp`."""

from tause_mcp.cli import main

main()
