#!/bin/sh
# Makes throw-away certificates in DIR for the tests and the demo. Silent unless something fails.
#
#   ca.pem               the root that signs all the others but selfsigned and other-ca
#   other-ca.pem         a root that signs nothing
#   leaf.pem, rsa.pem    localhost, 127.0.0.1 and ::1; EC P-256 and RSA-2048
#   wrong-name.pem       other.test
#   expired.pem          was valid in January 2020
#   notyet.pem           valid from 2090 on
#   selfsigned.pem       localhost, its own issuer
#   chain.pem            a leaf followed by the intermediate that signed it
#   nointermediate.pem   such a leaf alone
#
# The key of X.pem is X.key.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: tests/certs.sh DIR" >&2
    exit 2
fi
mkdir -p "$1"
cd "$1"

if [ -f made ] && openssl x509 -in leaf.pem -noout -checkend 86400 >made.log 2>&1; then
    exit 0
fi

work=$(mktemp -d ./work.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command, and shows what it said only when it fails.
quiet() {
    if ! "$@" >"$work/log" 2>&1; then
        echo "tests/certs.sh: failed: $*" >&2
        cat "$work/log" >&2
        exit 1
    fi
}

cat >"$work/ca.cnf" <<END
[ca]
default_ca = throwaway
[throwaway]
new_certs_dir = $work
database = $work/index
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = empty
prompt = no
[empty]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1,IP:::1
subjectKeyIdentifier = hash
[other-name]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:other.test
subjectKeyIdentifier = hash
END
: >"$work/index"

ec_key() {
    quiet openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

# self NAME SUBJECT SECTION DAYS: a certificate that signs itself.
self() {
    ec_key "$1.key"
    quiet openssl req -x509 -new -sha256 -config "$work/ca.cnf" -extensions "$3" -subj "/CN=$2" -days "$4" \
        -key "$1.key" -out "$1.pem"
}

# signed NAME ISSUER SUBJECT SECTION [DATES...]: a certificate for NAME.key signed by ISSUER.
signed() {
    name=$1 issuer=$2 subject=$3 section=$4
    shift 4
    quiet openssl req -new -config "$work/ca.cnf" -subj "/CN=$subject" -key "$name.key" -out "$work/request"
    quiet openssl ca -batch -notext -config "$work/ca.cnf" -extensions "$section" -cert "$issuer.pem" \
        -keyfile "$issuer.key" -in "$work/request" -out "$name.pem" "$@"
}

self ca "Throw-away root" root 60
self other-ca "Other throw-away root" root 60
self selfsigned localhost leaf 30

for name in leaf wrong-name expired notyet chain nointermediate; do
    ec_key "$name.key"
done
ec_key "$work/intermediate.key"
quiet openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key

signed leaf ca localhost leaf -days 30
signed rsa ca localhost leaf -days 30
signed wrong-name ca other.test other-name -days 30
signed expired ca localhost leaf -startdate 20200101000000Z -enddate 20200201000000Z
signed notyet ca localhost leaf -startdate 20900101000000Z -enddate 20900201000000Z
signed "$work/intermediate" ca "Throw-away intermediate" root -days 60
signed chain "$work/intermediate" localhost leaf -days 30
signed nointermediate "$work/intermediate" localhost leaf -days 30
cat "$work/intermediate.pem" >>chain.pem
chmod 600 ./*.key
touch made
