{{- /* Variables of the server and of whatever works on its store. */ -}}
{{- define "pganalytics.serverEnv" -}}
{{- $env := dict
  "ENVIRONMENT" .Values.server.environment
  "LOG_LEVEL" .Values.server.logLevel
  "PGANALYTICS_LOG_FORMAT" "json"
  "PGANALYTICS_DATA_DIR" "/var/lib/pganalytics"
  "PGANALYTICS_LISTEN" "0.0.0.0"
  "UI_PORT" "0"
  "PGANALYTICS_DRAIN_DELAY" "5"
  "PGANALYTICS_SQL_WORKERS" (.Values.server.sqlWorkers | int64 | toString)
  "PGANALYTICS_SQL_WORKER_MEMORY" (.Values.server.sqlWorkerMemory | int64 | toString)
  "PGANALYTICS_INGEST_MEMORY" (.Values.server.ingestMemory | int64 | toString)
  "PGANALYTICS_INGEST_MEMORY_PER_COLLECTOR" (.Values.server.ingestMemory | int64 | toString)
-}}
{{- range tuple "JWT_SECRET" "REGISTRATION_SECRET" "PGANALYTICS_ADMIN_PASSWORD" "PGANALYTICS_SCRAPE_TOKEN" -}}
{{- $_ := set $env (printf "%s_FILE" .) (printf "/run/secrets/pganalytics/%s" (. | trimPrefix "PGANALYTICS_" | lower)) -}}
{{- end -}}
{{- if .Values.server.tls.enabled -}}
{{- $_ := set $env "TLS_CERT" "/etc/pganalytics/tls/tls.crt" -}}
{{- $_ := set $env "TLS_KEY" "/etc/pganalytics/tls/tls.key" -}}
{{- else -}}
{{- $_ := set $env "PGANALYTICS_INSECURE_LISTEN" "true" -}}
{{- end -}}
{{- toYaml (mergeOverwrite $env .Values.server.settings) -}}
{{- end -}}

{{- define "pganalytics.claim" }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  labels: {{- include "pganalytics.labels" .context | nindent 4 }}
  annotations:
    # Data outlives the release.
    helm.sh/resource-policy: keep
spec:
  accessModes: [ReadWriteOnce]
  {{- with .volume.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: { storage: {{ .volume.size }} }
{{- end -}}
