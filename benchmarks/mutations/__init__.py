"""Damaged pictures, sent to a real service: each is answered, and none costs more than its own."""
