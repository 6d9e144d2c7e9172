#!/bin/sh
# Makes the certificates that the tests of TLS use. Their keys are public and good for nothing else.
# Valid from 2020, so that no clock is too early for them.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/openssl.cnf" <<END
[ca]
default_ca = tests
[tests]
database = $work/index.txt
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[server]
subjectAltName = DNS:localhost
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
END
: > "$work/index.txt"

certificate() { # file, name, section, file of the signer
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
        -keyout "$work/$1.key" -out "$work/$1.csr"
    if [ "$1" = "$4" ]; then signer=-selfsign; else signer="-cert $work/$4.pem"; fi
    # shellcheck disable=SC2086
    openssl ca -batch -notext -config "$work/openssl.cnf" -extensions "$3" $signer -keyfile "$work/$4.key" \
        -startdate 20200101000000Z -enddate 21200101000000Z -in "$work/$1.csr" -out "$work/$1.pem"
}

certificate ca "pgAnalytics tests" authority ca
certificate other-ca "Somebody else" authority other-ca
certificate server localhost server ca
certificate client monitor client ca
cd "$work"
cp ca.pem other-ca.pem server.pem server.key client.pem client.key "$OLDPWD"
