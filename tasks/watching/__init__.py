"""Watching a training run from the outside: TensorBoard, Weights & Biases, callbacks, and samples of what it writes."""
