"""The architectures that are drawn as OpenVINO graphs straight from their safetensors, one a file."""
