{{/* What the pods of all components share. */}}

{{/* Not the labels of its owner: one with the chart's version would end every pod with each new chart. */}}
{{- define "largesse.podMetadata" -}}
labels:
  {{- include "largesse.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/part-of: largesse
  {{- with .of.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $scraping := dict "prometheus.io/scrape" "true" "prometheus.io/port" "9090" "prometheus.io/path" "/metrics" }}
{{- $isScraped := and .metrics .context.Values.monitoring.scrapeAnnotations.enabled }}
{{- with merge (dict) .of.podAnnotations (ternary $scraping dict (default false $isScraped)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Who the pod is and where it runs. (dict "context" $ "component" "api" "of" .Values.api "token" false) */}}
{{- define "largesse.podPlacement" -}}
serviceAccountName: {{ include "largesse.serviceAccountName" . }}
automountServiceAccountToken: {{ default false .token }}
enableServiceLinks: false
# Linux drops a SIGTERM that PID 1 does not handle yet: a pod that is ended in its first second would work on until its grace period is over
# and be killed amid a message. Here another process is PID 1, and such a pod leaves at once.
shareProcessNamespace: true
{{- with .context.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Replicas apart from each other, over zones and nodes, as far as there are any. */}}
{{- define "largesse.topologySpread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "largesse.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{- define "largesse.containerImage" -}}
image: {{ include "largesse.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/*
The environment of a role: what the chart knows, then the settings, those of the role last.
(dict "context" $ "of" .Values.api "needs" (list "aws" "keyring" "public" "mail"))
*/}}
{{- define "largesse.env" -}}
{{- $values := .context.Values -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ $values.database.existingSecret }}, key: {{ $values.database.key }}}
{{- with .of.databasePoolMax }}
- name: DATABASE_POOL_MAX
  value: {{ include "largesse.string" . | quote }}
{{- end }}
{{- with .of.shutdownGraceSeconds }}
- name: SHUTDOWN_GRACE_SECONDS
  value: {{ include "largesse.string" . | quote }}
{{- end }}
{{- if has "aws" .needs }}
- name: AWS_REGION
  value: {{ $values.aws.region }}
{{- with $values.aws.endpointUrl }}
- name: AWS_ENDPOINT_URL_SQS
  value: {{ . | quote }}
{{- end }}
{{- with $values.aws.existingSecret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef: {name: {{ $values.aws.existingSecret }}, key: {{ . }}}
{{- end }}
{{- end }}
{{- range $name, $_ := $values.consumers }}
{{- $consumer := include "largesse.consumer" (dict "context" $.context "name" $name) | fromYaml }}
- name: {{ $name | upper | replace "-" "_" }}_QUEUE_NAME
  value: {{ $consumer.queue.name }}
{{- end }}
{{- end }}
{{- if has "keyring" .needs }}
- name: KEYRING_FILE
  value: /run/secrets/largesse/keyring.json
{{- end }}
{{- if has "public" .needs }}
- name: PUBLIC_URL
  value: {{ $values.publicUrl | quote }}
{{- end }}
{{- if has "mail" .needs }}
- name: SMTP_URL
  valueFrom:
    secretKeyRef: {name: {{ $values.mail.existingSecret }}, key: {{ $values.mail.key }}}
- name: MAIL_FROM
  value: {{ $values.mail.from | quote }}
{{- end }}
{{- range $name, $value := merge (dict) (default dict .of.settings) $values.settings }}
- name: {{ $name }}
  value: {{ include "largesse.string" $value | quote }}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The keyring, as a file, and what every pod gets besides. */}}
{{- define "largesse.volumes" -}}
- name: keyring
  secret:
    secretName: {{ .Values.keyring.existingSecret }}
    defaultMode: 0440
    items: [{key: {{ .Values.keyring.key }}, path: keyring.json}]
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "largesse.volumeMounts" -}}
- {name: keyring, mountPath: /run/secrets/largesse, readOnly: true}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
