"""Running an exported graph with numpy, onnxruntime and tokenizers alone."""
