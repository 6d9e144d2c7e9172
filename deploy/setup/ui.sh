#!/usr/bin/env bash
# Builds the web UI from its lock file into ui/dist: `ui.sh`. Tests it as well:
# `ui.sh test` (types, units, sizes, then a browser against real servers, which
# `make test` has built). Ends with 3 where there is no fitting Node.
set -euo pipefail
cd "$(dirname "$0")/../../ui"
least=20.19

if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then
  echo "ui.sh: the web UI needs Node $least or newer with npm to be built" >&2
  exit 3
fi
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
  echo "ui.sh: the web UI needs Node $least or newer to be built; this is $(node --version)" >&2
  exit 3
fi

# Nothing that a package brings is run when it is installed, and no browser is fetched.
stamp=node_modules/.package-lock.json
if [ ! -f "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
  PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  touch "$stamp"
fi

if [ "${1:-}" = test ]; then
  npm run --silent licences
  npm run --silent types
  npm run --silent unit
fi
npm run --silent build
if [ "${1:-}" = test ]; then
  npm run --silent budget
  npm run --silent e2e
fi
