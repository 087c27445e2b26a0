"""Word and character error rates with intervals."""
