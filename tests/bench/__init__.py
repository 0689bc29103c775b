"""What searches cost, beside Spin and closed forms; `python -m tests.bench`."""
