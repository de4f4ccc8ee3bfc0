"""Real servers and clients for the tests."""
