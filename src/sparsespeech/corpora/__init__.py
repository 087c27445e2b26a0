"""Manifests of speech corpora: reading, building, synthesising, augmenting."""
