// The kinds that others add to a cluster: what their modules have as YAML is what they release. See build.
module campus-occupancy/tests/kubernetes/crds

go 1.24.4

require (
	github.com/cert-manager/cert-manager v1.18.2
	github.com/chaos-mesh/chaos-mesh v0.9.1-0.20260902003049-47411975a8cb
	github.com/external-secrets/external-secrets v0.18.2
	github.com/fluxcd/flagger v1.36.1
	github.com/kedacore/keda/v2 v2.17.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.4.1
)
