"""What learns offline: traces become windows become networks become ONNX. Needs the ``train`` extra."""
