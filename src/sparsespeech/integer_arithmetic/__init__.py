"""The one integer arithmetic: rules R1 to R13 (``spec.md``), numpy reference, tables, vectors."""
