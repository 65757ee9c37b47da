"""Tests with real container tools: dockerd, podman, skopeo, umoci, a registry; ``make test-containers``, as root."""
