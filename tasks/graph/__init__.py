"""Trained models as ONNX graphs, and the proof that a graph does what the model does."""
