"""The model file: format (``format.md``), writer, reader and proofs."""
