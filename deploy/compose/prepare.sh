#!/usr/bin/env bash
# Makes secrets/ beside this file: the cluster's secrets key, an authority, the nodes' certificate
# and, in secrets/client, a client's. What is there already stays. Run it as root, so that the files
# can be given to the user of the containers.
set -euo pipefail
umask 077
cd "$(dirname "$0")"
mkdir -p secrets/client
cd secrets

# The user of deploy/docker/Dockerfile.
readonly user=10001

[[ -e secrets.key ]] || openssl rand -hex 32 >secrets.key

if [[ ! -e ca.crt ]]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
        -subj "/CN=openshell authority" -keyout ca.key -out ca.crt
fi

# name, subject, extensions
certificate() {
    [[ -e $1.crt ]] && return
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 825 -extfile <(echo "$3") -out "$1.crt"
    rm "$1.csr"
}

certificate tls "/CN=openshell" "subjectAltName=DNS:localhost,DNS:node-1,DNS:node-2,DNS:node-3,IP:127.0.0.1"
certificate client/tls "/CN=admin/OU=openshell-admin" "extendedKeyUsage=clientAuth"

chown "$user:$user" secrets.key tls.crt tls.key ca.crt
chmod 0400 secrets.key tls.key
chmod 0444 tls.crt ca.crt
