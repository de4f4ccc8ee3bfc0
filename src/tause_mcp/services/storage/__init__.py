"""Objects kept for one tenant."""
