#!/usr/bin/env bash
# Runs `hephy prepare` with the arguments given, and leaves dirs.txt and the need-flags in the current directory too,
# where pipelines look for them that were written before hephy.
#
#   hack/prepare_diff.sh [hephy prepare's arguments]
#
# hephy is $HEPHY, else what an earlier prepare handed on as .hephy/bin/<machine>/hephy, else the one on the PATH.
# Without git's knowledge of them the copies are untracked files: they belong to no image, unless there is one in the
# repository's root. Such a repository lists them in .gitignore, or uses the files below .hephy.
set -euo pipefail

out=${HEPHY_OUT:-.hephy}
expect=
for argument in "$@"; do
  if [[ -n $expect ]]; then
    out=$argument
    expect=
    continue
  fi
  case $argument in
    --out) expect=1 ;;
    --out=*) out=${argument#--out=} ;;
  esac
done

if [[ -n ${HEPHY:-} ]]; then
  hephy=$HEPHY
elif [[ -x .hephy/bin/$(uname -m)/hephy ]]; then
  # It is replaced while it runs where it is another version: run a copy.
  hephy=$(mktemp)
  trap 'rm -f "$hephy"' EXIT
  cp ".hephy/bin/$(uname -m)/hephy" "$hephy"
  chmod 755 "$hephy"
elif hephy=$(command -v hephy); then
  :
else
  echo 'prepare_diff.sh: hephy is not here: set HEPHY to its path, or put it on the PATH' >&2
  exit 127
fi

"$hephy" prepare "$@"

for file in "$out/dirs.txt" "$out"/need_*.txt; do
  cp "$file" "${file##*/}.new"
  mv "${file##*/}.new" "${file##*/}"
done
