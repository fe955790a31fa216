{{/* What the schema cannot say. The operator refuses the same at its start. */}}
{{- define "operator.checks" -}}
{{- $tick := include "sortable.duration" .Values.tick }}
{{- $second := include "sortable.duration" "1s" }}
{{- range $name := list "queryInterval" "requestWindow" "cpuWindow" "diagnosisWindow" "canarySlice" "staleness" }}
{{- if lt (include "sortable.duration" (index $.Values.prometheus $name)) $second }}
{{- fail (printf "prometheus.%s (%s) must be at least 1s" $name (index $.Values.prometheus $name)) }}
{{- end }}
{{- end }}
{{- $short := include "sortable.duration" .Values.prometheus.shortRequestWindow }}
{{- if and (lt $short $second) (ne $short (include "sortable.duration" "0s")) }}
{{- fail (printf "prometheus.shortRequestWindow (%s) must be 0s or at least 1s" .Values.prometheus.shortRequestWindow) }}
{{- end }}
{{- if lt $tick $second }}
{{- fail (printf "tick (%s) must be at least 1s" .Values.tick) }}
{{- end }}
{{- if eq (include "sortable.duration" .Values.prometheus.timeout) (include "sortable.duration" "0s") }}
{{- fail "prometheus.timeout must be longer than 0s" }}
{{- end }}
{{- if ge (include "sortable.duration" .Values.prometheus.timeout) $tick }}
{{- fail (printf "prometheus.timeout (%s) must be shorter than tick (%s)" .Values.prometheus.timeout .Values.tick) }}
{{- end }}
{{- range $list := list "watchNamespaces" "excludeNamespaces" }}
{{- range $name := index $.Values $list }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" $name) }}
{{- fail (printf "%s has %q, which cannot be the name of a namespace: use at most 63 lower-case letters, digits and dashes, and begin and end with a letter or digit" $list $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.watchNamespaces .Values.excludeNamespaces }}
{{- fail "set watchNamespaces or excludeNamespaces, not both" }}
{{- end }}
{{- if and .Values.liveApi.enabled (ne (empty .Values.liveApi.certificate.secretName) (empty .Values.liveApi.certificate.ca)) }}
{{- fail "set both of liveApi.certificate.secretName and liveApi.certificate.ca, or neither" }}
{{- end }}
{{- end }}

{{/* A duration as nanoseconds after a date, with as many digits as any other: a longer one sorts later as text. */}}
{{- define "sortable.duration" -}}
{{ (toDate "2006-01-02" "2010-01-01" | mustDateModify .).UnixNano }}
{{- end }}
