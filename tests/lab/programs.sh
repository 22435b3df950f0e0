#!/usr/bin/env bash
# Builds the lab's Go programs: programs.sh FOLDER PROGRAM... A program that is up to date is left alone.
# The Makefile calls it while cargo works, and the lab calls it for what is still missing.
set -euo pipefail
sources=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift

# Without a version the components call themselves v0.0.0 and refuse each other.
kubernetes_version() {
	local package=k8s.io/component-base/version version major minor
	version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
	IFS=. read -r major minor _ <<<"${version#v}"
	echo "-X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor" \
		"-X $package.gitTreeState=clean"
}

for program; do
	flags= package=.
	case $program in
	hyperkube) cd "$sources/kubernetes/v1.36" && flags=$(kubernetes_version) ;;
	etcdctl | etcdutl) cd "$sources/tools" && package=go.etcd.io/etcd/$program/v3 ;;
	crictl) cd "$sources/tools" && package=sigs.k8s.io/cri-tools/cmd/crictl ;;
	*) cd "$sources/$program" ;;
	esac
	echo "lab: building $program with Go" >&2
	"$sources/go" build -ldflags "-s -w $flags" -o "$folder/$program" "$package" || {
		echo "lab: Go could not build $program, see above" >&2
		exit 1
	}
done
