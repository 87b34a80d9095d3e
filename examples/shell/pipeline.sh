#!/bin/sh
# A log pipeline out of ordinary commands: count what a log is made of.
#
#     pipeline.sh [FILE]
#
# Needs `trunkline` in the PATH and a running `trunkline serve`; TRUNKLINE_URL says where, if not
# at the usual place.
set -eu

log=${1:-/var/log/dpkg.log}
topic=example.log.$$
method=example.upper.$$

# Whatever happens, leave nothing behind.
worker=
tidy() {
    [ -z "$worker" ] || kill "$worker" || true
    trunkline topic rm "$topic" >/dev/null
}
trap tidy EXIT
trap 'exit 130' INT TERM

# Every line is a durable message: confirmed once it is on the disk.
trunkline subscription add "$topic" counter >/dev/null
trunkline publish "$topic" --lines <"$log"

# Take them out again, in order, and count by the third word (in dpkg's log: what it did). A line
# is acked once it is printed. `--exec CMD` would run CMD for each and ack if it succeeds.
lines=$(grep -c '' "$log")
echo "the most common of $lines lines:"
trunkline consume "$topic" --subscription counter --count "$lines" --idle-timeout 30s |
    awk '{ print $3 }' | sort | uniq -c | sort -rn | head -n 5

# Any program is a worker: params come on its standard input, the result is what it prints.
trunkline worker --handler example --method "$method" -- tr a-z A-Z &
worker=$!
until answer=$(trunkline call "$method" '["a shell pipeline is a worker"]' 2>/dev/null); do
    kill -0 "$worker" # or the script ends here
    sleep 0.1
done
echo "$answer"
