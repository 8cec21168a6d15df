"""`WorkflowForm`: from a workflow's input schema to controls, and back to its input."""
