"""Findings and reports as text."""
