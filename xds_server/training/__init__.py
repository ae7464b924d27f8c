"""What learns offline: traces become windows become a transformer become ONNX. Needs the ``train`` extra."""
