"""Webhooks and links that a capability declares."""
