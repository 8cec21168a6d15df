"""What a workflow is before it runs: its source, its input, its app, its registry."""
