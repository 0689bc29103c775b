"""The real side of the model: what vectors are replayed on, and what is used beside a server."""
