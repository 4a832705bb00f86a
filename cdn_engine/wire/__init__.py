"""Requests to a store: one attempt, whether to retry it, and how fast its bytes may pass. Private."""
