{{/* Names and labels. Components are api, consumer-<queue>, reconciler, migrate, test. */}}

{{- define "largesse.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* (dict "context" $ "component" "api") */}}
{{- define "largesse.name" -}}
{{- printf "%s-%s" (include "largesse.fullname" .context) .component -}}
{{- end -}}

{{/* What never changes in the life of a release. (dict "context" $ "component" "api") */}}
{{- define "largesse.selectorLabels" -}}
app.kubernetes.io/name: {{ default .context.Chart.Name .context.Values.nameOverride }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* (dict "context" $ "component" "api") */}}
{{- define "largesse.labels" -}}
{{ include "largesse.selectorLabels" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: largesse
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* (dict "context" $ "component" "api" "of" .Values.api) */}}
{{- define "largesse.serviceAccountName" -}}
{{- if .of.serviceAccount.create -}}
{{- default (include "largesse.name" .) .of.serviceAccount.name -}}
{{- else -}}
{{- .of.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "largesse.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A consumer as its entry and the defaults say, in YAML. (dict "context" $ "name" "gifts") */}}
{{- define "largesse.consumer" -}}
{{- $consumer := mustMergeOverwrite (deepCopy .context.Values.consumerDefaults) (default dict (get .context.Values.consumers .name)) -}}
{{- if not $consumer.queue.name -}}
{{- $_ := set $consumer.queue "name" (printf "largesse-%s" .name) -}}
{{- end -}}
{{- toYaml $consumer -}}
{{- end -}}

{{/* The policy of a queue, with or without a cluster to keep it. (dict "context" $ "name" "gifts" "spec" …) */}}
{{- define "largesse.deadLetterPolicy" -}}
apiVersion: largesse.dev/v1alpha1
kind: DeadLetterPolicy
metadata:
  name: {{ printf "%s-%s" (include "largesse.fullname" .context) .name }}
  labels:
    {{- include "largesse.selectorLabels" (dict "context" .context "component" "reconciler") | nindent 4 }}
spec:
  queue: {{ .name }}
  {{- toYaml .spec | nindent 2 }}
{{- end -}}

{{/* A value as a string: numbers as their digits, however large (Helm reads 1000000 as a float and writes 1e+06). */}}
{{- define "largesse.string" -}}
{{- if kindIs "float64" . -}}{{ toJson . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end -}}
