{{/*
The permissions of the telemetry library's resource detector. It gets single objects by name, and never lists or
watches objects. A service also runs without these permissions, but its telemetry then has fewer attributes. 
*/}}
{{- define "service.rbac" -}}
{{- if .Values.rbac.create -}}
{{- $fullname := include "sightline.fullname" . -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $fullname }}
  namespace: {{ include "sightline.namespace" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" .) }}
  {{- . | nindent 2 }}
  {{- end }}
rules:
  # The service reads the start time, image, container ID and owner of its own pod.
  - apiGroups: [""]
    resources: [pods]
    verbs: [get]
  # The owner of the pod is a ReplicaSet, and the owner of the ReplicaSet is the Deployment.
  - apiGroups: [apps]
    resources: [replicasets]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $fullname }}
  namespace: {{ include "sightline.namespace" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" .) }}
  {{- . | nindent 2 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $fullname }}
subjects:
  - kind: ServiceAccount
    name: {{ include "service.serviceAccountName" . }}
    namespace: {{ include "sightline.namespace" . }}
{{- if .Values.rbac.clusterRole }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ include "service.clusterRoleName" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" .) }}
  {{- . | nindent 2 }}
  {{- end }}
rules:
  # This rule is for the attribute k8s.node.uid. It covers all nodes, because a pod's node is not known in advance.
  - apiGroups: [""]
    resources: [nodes]
    verbs: [get]
  # By convention, k8s.cluster.uid is the UID of the namespace kube-system.
  - apiGroups: [""]
    resources: [namespaces]
    resourceNames: [kube-system]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "service.clusterRoleName" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" .) }}
  {{- . | nindent 2 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "service.clusterRoleName" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "service.serviceAccountName" . }}
    namespace: {{ include "sightline.namespace" . }}
{{- end }}
{{- end }}
{{- end -}}
