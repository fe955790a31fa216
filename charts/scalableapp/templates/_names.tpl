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

{{/* The Secret with the certificate of the live measurements' API. */}}
{{- define "live.secret" -}}
{{ .Values.liveApi.certificate.secretName | default (printf "%s-live-api" .Release.Name) }}
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

{{/* The bundled Prometheus's configuration: files/prometheus.yaml, which is one as it is, with the chart's values in it. */}}
{{- define "prometheus.config" -}}
{{- $bundled := .Values.prometheus.bundled }}
{{- $config := .Files.Get "files/prometheus.yaml" | fromYaml }}
{{- $_ := set $config.global "scrape_interval" $bundled.scrapeInterval }}
{{- $_ := set $config.global "scrape_timeout" $bundled.scrapeInterval }}
{{- $namespaces := .Values.watchNamespaces }}
{{- range $config.scrape_configs }}
{{- if and (eq .job_name "kubelet") $bundled.kubelet.insecureSkipVerify }}
{{- $_ := set . "tls_config" (dict "insecure_skip_verify" true) }}
{{- end }}
{{- if and (eq .job_name "scalableapp") $namespaces }}
{{- range .kubernetes_sd_configs }}
{{- $_ := set . "namespaces" (dict "names" $namespaces) }}
{{- end }}
{{- end }}
{{- end }}
{{- $_ := set $config "rule_files" (list "/etc/prometheus/alerts.yaml") }}
{{- toYaml $config }}
{{- end }}

{{/* files/alerts.yaml, with the place of the runbooks and the labels of the values in it. */}}
{{- define "prometheus.alerts" -}}
{{- $alerts := .Files.Get "files/alerts.yaml" | fromYaml }}
{{- $values := .Values.alerts }}
{{- range $alerts.groups }}
{{- range .rules }}
{{- $_ := set .annotations "runbook_url" (printf "%s%s" $values.runbooks .annotations.runbook_url) }}
{{- $_ := set . "labels" (merge (dict) $values.labels .labels) }}
{{- end }}
{{- end }}
{{- toYaml $alerts }}
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
