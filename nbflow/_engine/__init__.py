"""The engine's core: loop, runs, retries, threads, output capture and clock.

Nothing here is public. Modules decide in plain functions over records and act in one
thin asynchronous place; time and ids always come from a `clock.Clock`.
"""
