"""When training ends: pure rules over what was observed, with their state in the checkpoint."""
