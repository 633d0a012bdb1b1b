# Copyright The mrlog Authors
# SPDX-License-Identifier: Apache-2.0

# A native log (SHA-384 only) as canonical event log in JSON, the way a shell
# script does it: a few programs for every record. Measured by internal/perf;
# not for use.

n=0
mr=
printf '{"log":['
while IFS= read -r line || [ -n "$line" ]; do
	case $line in
	'' | '#'*) continue ;;
	esac
	if [ "$n" -eq 0 ]; then
		mr=$(printf '%s' "$line" | sed 's/^INIT sha384\///')
	else
		printf ',\n'
	fi
	digest=$(printf '%s' "$line" | sha384sum | cut -d' ' -f1)
	mr=$(printf '%s%s' "$mr" "$digest" | xxd -r -p | sha384sum | cut -d' ' -f1)
	content=$(printf '%s' "$line" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')
	printf '{"recnum":%d,"pcr":2,"digests":[{"hashAlg":"sha384","digest":"%s"}],"content_type":"CC-CEL","content":"%s"}' \
		"$n" "$digest" "$content"
	n=$((n + 1))
done <"$1"
printf '],"mr":"%s"}\n' "$mr"
