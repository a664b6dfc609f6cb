"""Scripts that turn a checkpoint into ONNX and an engine directory. Used from a checkout."""
