"""What a person can pick in a host."""
