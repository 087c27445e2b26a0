"""Reading recordings of any format and sample rate as mono float32 at the model's rate."""
