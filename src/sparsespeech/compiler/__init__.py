"""From an integer model to the program of an accelerator; ``lower.py`` lists the passes."""
