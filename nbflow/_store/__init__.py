"""Durable state: what is committed here is all that survives a crash."""
