{{/* Egress to what is named, of networkPolicy.egress. (dict "context" $ "to" (list "dns" "database")) */}}
{{- define "largesse.egress" -}}
{{- $egress := .context.Values.networkPolicy.egress -}}
{{- range .to }}
{{- $peers := get $egress . }}
{{- if and $peers.to $peers.ports }}
- to:
    {{- toYaml $peers.to | nindent 4 }}
  ports:
    {{- range $port := $peers.ports }}
    - {protocol: TCP, port: {{ $port }}}
    {{- end }}
    {{- if eq . "dns" }}
    {{- range $port := $peers.ports }}
    - {protocol: UDP, port: {{ $port }}}
    {{- end }}
    {{- end }}
{{- end }}
{{- end }}
{{- end -}}
