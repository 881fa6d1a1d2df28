{{- /* Labels of everything. What selects pods is not among them: it may never change. */ -}}
{{- define "campus.labels" -}}
app.kubernetes.io/part-of: campus
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /*
A ConfigMap has another name with another content. It is a hook, which Helm makes and then forgets: of what is the release's
own it removes the old one at once, while pods of the release before may still have to start, and must go back to it.
*/ -}}
{{- define "campus.before" -}}
helm.sh/hook: pre-install,pre-upgrade,pre-rollback
helm.sh/hook-delete-policy: before-hook-creation
{{- end -}}

{{- /* An image of ours: (list $ NAME). */ -}}
{{- define "campus.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $image := $root.Values.image -}}
{{- with index $image.digests $name -}}
{{ $image.registry }}/{{ $name }}@{{ . }}
{{- else -}}
{{ $image.registry }}/{{ $name }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* Annotations, or nothing. */ -}}
{{- define "campus.annotations" -}}
{{- if . }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- /*
The name of a ConfigMap, with the hash of its content as kustomize makes it (which takes no name into it, and writes some
digits otherwise): (list $ NAME [DEFINE]), where the content is what "campus.data.DEFINE" makes. Of `kinds` there may be
none; then pods do without.
*/ -}}
{{- define "campus.config" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $data := printf "%s\n" (include (printf "campus.data.%s" (last .)) $root) | fromYaml -}}
{{- if $data -}}
{{- $hash := dict "kind" "ConfigMap" "name" "" "data" $data | toJson | sha256sum | trunc 10 -}}
{{ $name }}-{{ $hash | replace "0" "g" | replace "1" "h" | replace "3" "k" | replace "a" "m" | replace "e" "t" }}
{{- else -}}
{{ $name }}
{{- end -}}
{{- end -}}

{{- /* Variables as a ConfigMap has them. YAML makes a number of 1000000 that would be written 1e+06. */ -}}
{{- define "campus.variables" -}}
{{- range $name, $value := . }}
{{ $name }}: {{ ternary (printf "%.0f" (toString $value | float64)) (toString $value) (kindIs "float64" $value) | quote }}
{{- end -}}
{{- end -}}

{{- define "campus.data.settings" -}}
{{- $variables := deepCopy .Values.settings -}}
{{- if .Values.kinds }}{{ $_ := set $variables "KINDS_FILE" "/etc/campus/kinds.json" }}{{ end -}}
{{- if .Values.tracing.enabled -}}
{{- $variables = merge $variables (dict "TRACES_URL" .Values.tracing.url "TRACES_SHARE" .Values.tracing.share) -}}
{{- end -}}
{{- include "campus.variables" $variables -}}
{{- end -}}

{{- define "campus.data.ingest" -}}
{{- include "campus.variables" .Values.ingest -}}
{{- end -}}

{{- define "campus.data.stores" -}}
{{- $variables := deepCopy .Values.stores -}}
{{- $names := dict
  "minCount" "PRIVACY_MIN_COUNT" "publicOccupancy" "API_PUBLIC_OCCUPANCY" "archive" "ARCHIVE" "documentsKeep" "DOCUMENTS_KEEP"
  "occupancyKeep" "OCCUPANCY_KEEP" "marksKeep" "MARKS_KEEP" "deadLettersKeep" "DEAD_LETTERS_KEEP"
-}}
{{- range $key, $value := .Values.privacy }}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $variables (get $names $key) $value }}{{ end -}}
{{- end -}}
{{- include "campus.variables" $variables -}}
{{- end -}}

{{- define "campus.data.proxies" -}}
API_TRUSTED_PROXIES: {{ .Values.trustedProxies | quote }}
{{- end -}}

{{- define "campus.data.kinds" -}}
{{- with .Values.kinds }}kinds.json: {{ . | toJson }}{{ end -}}
{{- end -}}

{{- define "campus.data.backup" -}}
{{- include "campus.variables" .Values.backup.settings -}}
{{- end -}}
