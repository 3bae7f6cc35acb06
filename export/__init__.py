"""From a trained checkpoint to what runs live: bundle (ONNX), TensorRT engines, and the report that proves parity."""
