"""Whether a model is trained again, how, and whether the new one takes its place."""
