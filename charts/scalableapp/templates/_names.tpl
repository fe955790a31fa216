{{/* The operator's objects. */}}
{{- define "operator.name" -}}
{{ .Release.Name }}-operator
{{- end }}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
{{ include "release.labels" . }}
{{- end }}

{{/* The bundled Prometheus's objects. */}}
{{- define "prometheus.name" -}}
{{ .Release.Name }}-prometheus
{{- end }}

{{- define "prometheus.selector" -}}
app.kubernetes.io/name: prometheus
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: prometheus
{{- end }}

{{- define "prometheus.labels" -}}
{{ include "prometheus.selector" . }}
{{ include "release.labels" . }}
{{- end }}

{{/* Every object of the release. */}}
{{- define "release.labels" -}}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a container, and a read-only root besides. */}}
{{- define "container.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "pod.securityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
