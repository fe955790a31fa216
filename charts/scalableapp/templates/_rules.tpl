{{/* What the operator may do where it watches. */}}
{{- define "operator.rules" -}}
# What people declare is read, never written.
- apiGroups: [scalableapp.dev]
  resources: [scalableapps, scalingoverrides]
  verbs: [list, watch]
# An app says how it stands, and an override whether it acts.
- apiGroups: [scalableapp.dev]
  resources: [scalableapps/status, scalingoverrides/status]
  verbs: [patch]
# Owner references that block deletion need this where the admission plugin OwnerReferencesPermissionEnforcement is on.
- apiGroups: [scalableapp.dev]
  resources: [scalableapps/finalizers]
  verbs: [update]
# The children of a ScalableApp.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, update, delete]
# Readiness and start of the pods decide how their CPU counts.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Events repeat themselves by a patch.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
