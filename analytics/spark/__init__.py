"""The jobs on a cluster: a manifest for Kubernetes, and what `spark-submit` runs."""
