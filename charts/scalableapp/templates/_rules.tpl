{{/* The operator's rights in the namespaces that it watches. */}}
{{- define "operator.rules" -}}
# Specs are read, never written.
- apiGroups: [scalableapp.dev]
  resources: [scalableapps, scalingoverrides]
  verbs: [list, watch]
# The status of both kinds.
- apiGroups: [scalableapp.dev]
  resources: [scalableapps/status, scalingoverrides/status]
  verbs: [patch]
# Owner references that block deletion need this where the admission plugin OwnerReferencesPermissionEnforcement is on.
- apiGroups: [scalableapp.dev]
  resources: [scalableapps/finalizers]
  verbs: [update]
# The children of a ScalableApp.
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [""]
  resources: [services, serviceaccounts, configmaps]
  verbs: [get, list, watch, create, patch, update, delete]
# The password of a cache is created, and never read.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, update, delete]
# Only where Gateway API is installed: the way of requests from its Gateways.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, update, delete]
# The readiness and start time of pods determine how their CPU counts. The annotation by which idle workers leave first
# is patched, and the label by which a pod is in its Service.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
# A pod that alone does not reach a dependency is replaced.
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
{{- if .Values.cnpg.enabled }}
# Clusters of CloudNativePG are read, and nothing of them is written but their scale.
- apiGroups: [postgresql.cnpg.io]
  resources: [clusters]
  verbs: [list, watch]
- apiGroups: [postgresql.cnpg.io]
  resources: [clusters/scale]
  verbs: [patch]
{{- end }}
# The memory of the shards of a cache changes while they run.
- apiGroups: [""]
  resources: [pods/resize]
  verbs: [patch]
# Events of a StatefulSet are read only while it lacks pods: they alone say why.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
# A repeated event is a patch.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
