"""Communicators: one file per way in which expert weights travel between ranks."""
