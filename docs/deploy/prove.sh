#!/bin/sh
# Fetches a signed bundle from a static host or S3, proves it on this device, and reports one line.
#
#   NAME=mnist-digits VERSION=1.1.0 FROM=https://example.org/releases TRUST=/etc/device/public.pem \
#       REPORTS=https://example.org/reports/mnist-digits-1.1.0 sh prove.sh
#
# Run it in a folder of its own that outlives a restart: a download that breaks off goes on where it
# stopped, also at the next call. DEVICE is this device's name (default: its host name). IMAGES=100
# proves on the first 100 images only, for slow devices. curl reads ~/.curlrc, which may hold keys.
# Exit status: that of `serving prove`, or 4 if the bundle could not be fetched.
set -u
: "${NAME:?}" "${VERSION:?}" "${FROM:?}" "${TRUST:?}" "${REPORTS:?}"
release=$NAME-$VERSION
device=$(printf %s "${DEVICE:-$(hostname)}" | tr -c 'A-Za-z0-9._-' _)
started=$(date +%s)
: >report.json
pauses="${PAUSES:-1 10 60 300} 0" # seconds after each attempt

fetch() {
    [ -f "$1" ] && return 0
    for pause in $pauses; do
        curl --fail --silent --show-error --location --connect-timeout 30 --speed-limit 1000 \
            --speed-time 60 --continue-at - --output "$1.part" "$FROM/$1" 2>errors
        code=$?
        [ $code = 0 ] && mv "$1.part" "$1" && return 0
        case $code in 22 | 33 | 36) rm -f "$1.part" ;; esac # the host cannot go on with this part
        sleep "$pause"
    done
    return 1
}

if fetch "$release.sig" && fetch "$release.tar.gz"; then
    fetched=true
    serving prove "$release.tar.gz" --trust "$TRUST" --at-least "$VERSION" \
        ${IMAGES:+--images "$IMAGES"} --json >report.json 2>errors
    status=$?
    # What was refused is fetched anew next time.
    ! grep -q '^  "refused": true' report.json || rm -f "$release.sig" "$release.tar.gz"
else
    fetched=false status=4
fi
tail -n 1 report.json | grep -q '^}' || echo null >report.json
problem=$(tail -n 1 errors | tr -d '"\\[:cntrl:]')
printf '{"device": "%s", "release": "%s", "fetched": %s, "status": %s, "seconds": %s, "problem": "%s", "report": %s}\n' \
    "$device" "$release" $fetched $status $(($(date +%s) - started)) "$problem" \
    "$(tr -d '\n' <report.json)" >line.json
for pause in $pauses; do
    curl --fail --silent --show-error --location --connect-timeout 30 --max-time 60 \
        --upload-file line.json "$REPORTS/$device.json" && exit $status
    sleep "$pause"
done
echo "the report was not sent; it is in $PWD/line.json" >&2
exit $status
