"""What the conformance vectors hold: directed extremes and seeded random cases of R1 to R13."""
