#!/bin/sh
# Makes throw-away certificates in DIR for tests/live/test_tls.c. Silent unless something fails. Most are for
# a.test.example, localhost, *.w.example, 127.0.0.1 and ::1, and issued by root.pem (P-256) or rootrsa.pem (RSA-4096).
# X.pem is a certificate, X.key its key, X.pin the SHA-256 of its public key in base64.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: tests/tls-certs.sh DIR" >&2
    exit 2
fi
version=$(cksum <"$0")
mkdir -p "$1"
cd "$1"

if [ -f made ] && [ "$(cat made)" = "$version" ] && openssl x509 -in good.pem -noout -checkend 86400 >made.log 2>&1; then
    exit 0
fi

work=$(mktemp -d ./work.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command, and shows what it said only when it fails.
quiet() {
    if ! "$@" >"$work/log" 2>&1; then
        echo "tests/tls-certs.sh: failed: $*" >&2
        cat "$work/log" >&2
        exit 1
    fi
}

cat >"$work/empty.cnf" <<END
[req]
distinguished_name = empty
prompt = no
[empty]
END

# ec_key FILE CURVE
ec_key() {
    quiet openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$1"
}

# rsa_key FILE BITS
rsa_key() {
    quiet openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1"
}

# key NAME [KIND]: makes NAME.key, or copies one of the costly kinds.
key() {
    case ${2-} in
    '') ec_key "$1.key" P-256 ;;
    P-*) ec_key "$1.key" "$2" ;;
    Ed25519) quiet openssl genpkey -algorithm ED25519 -out "$1.key" ;;
    RSA-PSS) quiet openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out "$1.key" ;;
    *) cp "$work/$2.key" "$1.key" ;;
    esac
}

# pin NAME
pin() {
    openssl x509 -in "$1.pem" -noout -pubkey | openssl pkey -pubin -outform DER |
        openssl dgst -sha256 -binary | openssl base64 -A >"$1.pin"
}

# self NAME SUBJECT EXTENSIONS [KIND]: a certificate that signs itself.
self() {
    key "$1" "${4-}"
    printf '%b' "$3" >"$work/extensions"
    quiet openssl req -new -sha256 -config "$work/empty.cnf" -subj "/CN=$2" -key "$1.key" -out "$work/request"
    quiet openssl x509 -req -sha256 -in "$work/request" -signkey "$1.key" -days 60 -extfile "$work/extensions" \
        -out "$1.pem"
}

# signed NAME ISSUER SUBJECT EXTENSIONS [KIND [DIGEST]]: a certificate for NAME.key signed by ISSUER.
signed() {
    key "$1" "${5-}"
    printf '%b' "$4" >"$work/extensions"
    serial=$((serial + 1))
    quiet openssl req -new -sha256 -config "$work/empty.cnf" -subj "/CN=$3" -key "$1.key" -out "$work/request"
    # The words of signing are arguments.
    # shellcheck disable=SC2086
    quiet openssl x509 -req "-${6-sha256}" -in "$work/request" -CA "$2.pem" -CAkey "$2.key" -set_serial "$serial" \
        -days 30 -extfile "$work/extensions" -out "$1.pem" $signing
}
serial=1000 signing=

# dated NAME ISSUER SUBJECT EXTENSIONS FROM TO: the same with dates; a NAME that is ISSUER signs itself.
dated() {
    key "$1"
    : >"$work/index"
    {
        printf '%s\n' '[ca]' 'default_ca = own' '[own]' "new_certs_dir = $work" "database = $work/index" \
            'rand_serial = yes' 'unique_subject = no' 'default_md = sha256' 'policy = any' '[any]' \
            'commonName = supplied' '[own-extensions]'
        printf '%b' "$4"
    } >"$work/ca.cnf"
    quiet openssl req -new -config "$work/empty.cnf" -subj "/CN=$3" -key "$1.key" -out "$work/request"
    own=
    if [ "$1" = "$2" ]; then
        own=-selfsign
    else
        own="-cert $2.pem"
    fi
    # The words of own are arguments.
    # shellcheck disable=SC2086
    quiet openssl ca -batch -notext -config "$work/ca.cnf" -extensions own-extensions $own -keyfile "$2.key" \
        -in "$work/request" -out "$1.pem" -startdate "$5" -enddate "$6"
}

names='subjectAltName=DNS:a.test.example,DNS:localhost,DNS:*.w.example,IP:127.0.0.1,IP:::1\n'
leaf="${names}"'extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\n'
root='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n'
last='basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n'

for bits in 1024 2048 3072; do
    rsa_key "$work/RSA-$bits.key" "$bits"
done
rsa_key "$work/RSA-4096.key" 4096
rsa_key "$work/RSA-4096b.key" 4096
# Five primes are found much sooner than two; the public key is of the same form.
quiet openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:8192 -pkeyopt rsa_keygen_primes:5 -out "$work/RSA-8192.key"

# Roots.
self root 'Test root' "$root"
self other 'Other root' "$root"
self rootrsa 'Test root RSA' "$root" RSA-4096
self twin 'Test root' "$root" P-384
self twinrsa 'Test root RSA' "$root" RSA-4096b
self limited 'Limited root' "$root"'nameConstraints=critical,permitted;DNS:other.example\n'
self rootv1 'Version 1 root' ''
self root521 'P-521 root' "$root" P-521
self root8192 'RSA-8192 root' "$root" RSA-8192
self rootshort 'Short root' "$last"
self rootlimitedaddress 'Root of addresses' "$root"'nameConstraints=critical,permitted;IP:10.0.0.0/255.0.0.0\n'
self rootunknown 'Unknown root' "$root"'1.2.3.4=critical,ASN1:NULL\n'
self rootclient 'Client root' "$root"'extendedKeyUsage=clientAuth\n'
dated old old 'Old root' "$root" 20100101000000Z 20200101000000Z

# Keys and signatures.
signed good root server "$leaf"
signed p384 root server "$leaf" P-384
signed p521 root server "$leaf" P-521
signed under384 twin server "$leaf"
signed rsa2048 rootrsa server "$leaf" RSA-2048
signed rsa3072 rootrsa server "$leaf" RSA-3072
signed rsa4096 rootrsa server "$leaf" RSA-4096b
signed rsa1024 rootrsa server "$leaf" RSA-1024
signed sha384 rootrsa server "$leaf" RSA-2048 sha384
signed sha512 rootrsa server "$leaf" RSA-2048 sha512
signed sha1 rootrsa server "$leaf" RSA-2048 sha1
signed undertwinrsa twinrsa server "$leaf" RSA-2048
signed ed25519 root server "$leaf" Ed25519
signed rsa8192 rootrsa server "$leaf" RSA-8192
signed psskey rootrsa server "$leaf" RSA-PSS
signing='-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32'
signed pss rootrsa server "$leaf" RSA-2048
signing=
signed under521 root521 server "$leaf" P-521
signed under8192 root8192 server "$leaf" RSA-2048
signed encipher rootrsa server "${names}"'keyUsage=critical,keyEncipherment\n' RSA-2048

# Names.
signed nosan root a.test.example 'extendedKeyUsage=serverAuth\n'
signed v1 root localhost ''
signed wildtop root server 'subjectAltName=DNS:*.example\n'
signed wildaddress root 127.0.0.1 'subjectAltName=DNS:*.0.0.1,DNS:127.0.0.1\n'
signed wildpart root server 'subjectAltName=DNS:a*.test.example,DNS:*a.test.example,DNS:a.*.example\n'
signed wildtwice root server 'subjectAltName=DNS:*.*.example,DNS:*\n'
many=subjectAltName=
for number in 1 2 3 4 5 6 7 8 9 10 11 12; do
    many="${many}DNS:host$number.elsewhere.example,"
done
signed many root server "${many}IP:10.1.2.3\n"
signed addresses root server 'subjectAltName=IP:10.1.2.3,IP:2001:db8::1\n'
label=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
signed long root server "subjectAltName=DNS:$label.$label.$label.$label.example\n"

# Dates.
dated expired root server "$leaf" 20200101000000Z 20210101000000Z
dated notyet root server "$leaf" 20900101000000Z 20910101000000Z
signed underold old server "$leaf"
dated intexpired root 'Intermediate expired' "$last" 20200101000000Z 20210101000000Z
signed byexpired intexpired server "$leaf"
dated intnotyet root 'Intermediate not yet valid' "$last" 20900101000000Z 20910101000000Z
signed bynotyet intnotyet server "$leaf"

# Usages.
signed client root server "${names}"'extendedKeyUsage=clientAuth\n'
signed criticalclient root server "${names}"'extendedKeyUsage=critical,clientAuth\n'
signed criticalboth root server "${names}"'extendedKeyUsage=critical,serverAuth,clientAuth\n'
signed any root server "${names}"'extendedKeyUsage=anyExtendedKeyUsage\n'
signed criticalany root server "${names}"'extendedKeyUsage=critical,anyExtendedKeyUsage\n'
signed nousage root server "${names}"
signed critical root server "${names}"'1.2.3.4=critical,ASN1:NULL\n'
signed authority root server "${names}"'basicConstraints=CA:TRUE\n'

# Clients.
client='extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n'
signed clientp256 root client "$client"
signed clientp384 root client "$client" P-384
signed clientp521 root client "$client" P-521
signed clientrsa root client "$client" RSA-2048
signed clientother other client "$client"
signed intclient root 'Client intermediate' "$last"
signed clientbelow intclient client "$client"
cat clientbelow.pem intclient.pem >clientchain.pem
cp clientbelow.key clientchain.key
cp clientrsa.pem clientpkcs1.pem
quiet openssl rsa -traditional -in clientrsa.key -out clientpkcs1.key
cp clientp384.pem clientsec1.pem
quiet openssl ec -in clientp384.key -out clientsec1.key
cp clientrsa.pem clientencrypted.pem
quiet openssl pkcs8 -topk8 -passout pass:x -in clientrsa.key -out clientencrypted.key
cp clientrsa.pem clientold.pem
quiet openssl rsa -traditional -aes128 -passout pass:x -in clientrsa.key -out clientold.key
cat clientp521.key clientp521.pem >clientboth.pem
cp clientp256.pem clientwrong.pem
cp clientrsa.key clientwrong.key

# Intermediates, and a server below each.
# below NAME EXTENSIONS [ISSUER [KIND]]
below() {
    signed "int$1" "${3-root}" "Intermediate $1" "$2" "${4-}"
    signed "by$1" "int$1" server "$leaf" "${4-}"
}
below plain "$last"
below rsa "$last" rootrsa RSA-2048
below noca 'basicConstraints=CA:FALSE\n'
below client "$last"'extendedKeyUsage=clientAuth\n'
below critical "$last"'extendedKeyUsage=critical,serverAuth\n'
below names "$last"'nameConstraints=critical,permitted;DNS:localhost,permitted;DNS:test.example\n'
below othernames "$last"'nameConstraints=critical,permitted;DNS:elsewhere.example\n'
below softnames "$last"'nameConstraints=permitted;DNS:elsewhere.example\n'
below nonames "$last"'nameConstraints=critical,excluded;DNS:localhost\n'
below addresses "$last"'nameConstraints=critical,permitted;IP:127.0.0.0/255.0.0.0\n'
below noaddresses "$last"'nameConstraints=critical,excluded;IP:0.0.0.0/0.0.0.0\n'
below softnonames "$last"'nameConstraints=excluded;DNS:localhost\n'
below softaddresses "$last"'nameConstraints=permitted;IP:10.0.0.0/255.0.0.0\n'
below softnoaddresses "$last"'nameConstraints=excluded;IP:127.0.0.0/255.0.0.0\n'
below six "$last"'nameConstraints=critical,permitted;IP:::/::\n'
below nosix "$last"'nameConstraints=critical,excluded;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n'
below mail "$last"'nameConstraints=critical,permitted;email:x.example\n'
below softmail "$last"'nameConstraints=permitted;email:x.example\n'
below any "$last"'extendedKeyUsage=anyExtendedKeyUsage\n'
below 384 "$last" root P-384
below 521 "$last" root P-521
for bits in 1024 8192; do
    signed "int$bits" rootrsa "Intermediate RSA-$bits" "$last" "RSA-$bits"
    signed "by$bits" "int$bits" server "$leaf"
done
signed inted25519 root 'Intermediate Ed25519' "$last" Ed25519
signed byed25519 inted25519 server "$leaf" '' null
signed intsha1 rootrsa 'Intermediate SHA-1' "$last" RSA-2048 sha1
signed bysha1 intsha1 server "$leaf" RSA-2048
below long "$root"
signed intlong2 intlong 'Intermediate long 2' "$last"
signed bylong2 intlong2 server "$leaf"
signed intshort rootshort 'Intermediate short' "$last"
signed byshort intshort server "$leaf"
signed underunknown rootunknown server "$leaf"
signed underclient rootclient server "$leaf"
signed bylimitedaddress rootlimitedaddress server "$leaf"
signed intdeep intplain 'Intermediate deep' "$last"
signed bydeep intdeep server "$leaf"
signed bylimited limited server "$leaf"
signed byv1 rootv1 server "${names}"

# Self-signed servers.
self self 'self-signed' "${names}"'basicConstraints=CA:TRUE\n'
self selfleaf 'self-signed server' "${names}"'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n' RSA-2048
self selfother 'self-signed server' "${names}"'basicConstraints=CA:FALSE\n' RSA-3072

for name in good root rootrsa other intplain byplain rsa2048 p384 selfleaf; do
    pin "$name"
done
cat old.pem root.pem >oldandroot.pem
cat root.pem twin.pem >roottwin.pem
cat twin.pem root.pem >twinroot.pem
cat rootrsa.pem twinrsa.pem >rsatwin.pem
cat twinrsa.pem rootrsa.pem >twinrsaroot.pem
cat intdeep.pem intplain.pem >deep.pem
cat intlong2.pem intlong.pem >long2.pem
cat intplain.pem root.pem >withroot.pem
cat root.pem intplain.pem >wrongorder.pem
quiet openssl x509 -in root.pem -trustout -addreject serverAuth -out rejected.pem
quiet openssl x509 -in root.pem -outform DER -out root.der
chmod 600 ./*.key
echo "$version" >made
