#!/bin/sh
# peer-keys.sh FILE: a root, a server's certificate and its key as C arrays, and a time at which they are valid.
set -eu

file=$1
scratch=$file.d
rm -rf "$scratch"
mkdir -p "$scratch"
quiet() {
    "$@" 2>"$scratch/log" || {
        cat "$scratch/log" >&2
        exit 1
    }
}
for name in root leaf; do
    quiet openssl ecparam -name prime256v1 -genkey -noout -out "$scratch/$name.key"
done
quiet openssl req -x509 -new -key "$scratch/root.key" -sha256 -days 30 -subj '/CN=Board test root' \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -outform DER -out "$scratch/root.der"
quiet openssl x509 -inform DER -in "$scratch/root.der" -out "$scratch/root.pem"
quiet openssl req -new -key "$scratch/leaf.key" -subj '/CN=board test server' -out "$scratch/leaf.csr"
printf '%s\n' subjectAltName=DNS:tokens.example.test extendedKeyUsage=serverAuth >"$scratch/ext"
quiet openssl x509 -req -in "$scratch/leaf.csr" -CA "$scratch/root.pem" -CAkey "$scratch/root.key" -CAcreateserial \
    -sha256 -days 30 -extfile "$scratch/ext" -outform DER -out "$scratch/leaf.der"

# array NAME: the bytes of standard input.
array() {
    printf 'static const unsigned char %s[] = {\n' "$1"
    od -An -v -tx1 | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1, /g'
    printf '};\n'
}
{
    array peer_root <"$scratch/root.der"
    array peer_leaf <"$scratch/leaf.der"
    # The scalar alone: a private key of SEC 1 has its 32 bytes at offset 7.
    openssl ec -in "$scratch/leaf.key" -outform DER 2>"$scratch/log" | tail -c +8 | head -c 32 | array peer_scalar
    printf 'enum { PEER_NOW = %s };\n' "$(($(date +%s) + 86400))"
} >"$file.new"
mv "$file.new" "$file"
rm -rf "$scratch"
