#!/usr/bin/env python3
"""sbom.py PACKAGE TARGET: what a program is made of, as CycloneDX 1.5 JSON on standard output: each
crate that cargo links into it for this target, with its licence, its place in the registry and
the checksum of Cargo.lock. The same commit gives the same bytes."""
import json
import pathlib
import subprocess
import sys
import tomllib


def main():
    package, target = sys.argv[1:]
    root = pathlib.Path(__file__).resolve().parents[2]
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)
    crates = {crate["id"]: crate for crate in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    checksums = {(crate["name"], crate["version"]): crate.get("checksum") for crate in lock["package"]}
    top = next(crate["id"] for crate in metadata["packages"] if crate["name"] == package)

    def linked(node):
        """What is linked or runs while it is built; not what only tests need."""
        return sorted(part["pkg"] for part in node["deps"] if any(kind["kind"] != "dev" for kind in part["dep_kinds"]))

    seen, waiting = set(), [top]
    while waiting:
        crate = waiting.pop()
        if crate not in seen:
            seen.add(crate)
            waiting.extend(linked(nodes[crate]))

    def reference(crate):
        return f"pkg:cargo/{crates[crate]['name']}@{crates[crate]['version']}"

    def component(crate, kind):
        about = crates[crate]
        known = {"type": kind, "bom-ref": reference(crate), "name": about["name"], "version": about["version"], "purl": reference(crate)}
        if about["license"]:
            # Older crates write MIT/Apache-2.0.
            known["licenses"] = [{"expression": about["license"].replace("/", " OR ")}]
        if checksums.get((about["name"], about["version"])):
            known["hashes"] = [{"alg": "SHA-256", "content": checksums[about["name"], about["version"]]}]
        return known

    others = sorted(seen - {top}, key=reference)
    print(json.dumps({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(top, "application"), "properties": [{"name": "cargo:target", "value": target}]},
        "components": [component(crate, "library") for crate in others],
        "dependencies": [{"ref": reference(crate), "dependsOn": [reference(part) for part in linked(nodes[crate])]}
                         for crate in sorted(seen, key=reference)],
    }, indent=1))


main()
