#!/usr/bin/env bash
# Installs the Debian packages that tests need, when run as root on a machine with apt; says so otherwise.
# Their servers must not start by themselves: tests start their own on loopback.
set -euo pipefail
packages=(
  bind9 bind9-dnsutils knot        # DNS by RFC 2136
  chromium                         # the console, looked at
  conntrack iproute2 libnftables1 nftables  # front-end nodes in network namespaces
  etcd-server
  netconfd openssh-server          # NETCONF over SSH
  prometheus
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed: ${missing[*]} (needs root and apt-get); the tests that need them will be skipped"
  exit 0
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
echo "installing Debian packages for the tests: ${missing[*]}"
apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null \
  || echo "could not install: ${missing[*]}; the tests that need them will be skipped"
