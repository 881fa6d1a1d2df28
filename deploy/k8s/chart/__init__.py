"""The Helm chart of deploy/chart, written from what kustomize makes of deploy/k8s: `python -m deploy.k8s.chart`."""
