"""A run on Kubernetes: manifests for kustomize, and the secrets of a cluster of one's own."""
