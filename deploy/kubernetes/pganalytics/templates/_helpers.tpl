{{- define "pganalytics.name" -}}
{{- default (ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name)) .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "pganalytics.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* What does not change as long as a release lives. */ -}}
{{- define "pganalytics.selector" -}}
app.kubernetes.io/name: {{ .context.Chart.Name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "pganalytics.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .context.Chart.AppVersion .image.tag }}
{{- end -}}
{{- end -}}

{{- define "pganalytics.tlsSecret" -}}
{{- default (printf "%s-tls" (include "pganalytics.name" .)) .Values.server.tls.existingSecret -}}
{{- end -}}

{{- define "pganalytics.secret" -}}
{{- if .Values.server.secrets.existingSecret -}}
{{ .Values.server.secrets.existingSecret }}
{{- else if .Values.server.secrets.generate -}}
{{ include "pganalytics.name" . }}-secrets
{{- else -}}
{{ fail "server.secrets: name an existingSecret, or set generate to true to try it out" }}
{{- end -}}
{{- end -}}

{{- define "pganalytics.scheme" -}}{{ ternary "https" "http" .Values.server.tls.enabled }}{{- end -}}

{{- define "pganalytics.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "pganalytics.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "pganalytics.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
