"""The claims of the database, on each of its engines."""
