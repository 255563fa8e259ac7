#!/usr/bin/env bash
# sipp through the stock config: CALLS calls in a second for SECONDS seconds; fails if a single call does.
set -euo pipefail
cd "$(dirname "$0")/../.."
CALLS=${CALLS:-500} SECONDS_=${SECONDS_:-60} PORT=${PORT:-15060} CALLEE=${CALLEE:-15070} CALLER=${CALLER:-15080}
server=${SERVER:-.venv/bin/kamailio-py}
work=$(mktemp -d)
mkdir "$work/run"
$server -f /etc/kamailio/kamailio.cfg -DD -E -m 512 -Y "$work/run" -l "udp:127.0.0.1:$PORT" >"$work/log" 2>&1 &
master=$!
trap 'kill $master $callee 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
callee=
until [ -S "$work/run/kamailio_ctl" ]; do sleep 0.05; done
sleep 1
kamcmd -s "unixs:$work/run/kamailio_ctl" ul.add location service "sip:service@127.0.0.1:$CALLEE" 3600 1.0 . 0 0 8191
(exec sipp -sf tests/system/sipp_callee.xml -i 127.0.0.1 -p "$CALLEE" -nostdin) >/dev/null 2>&1 &
callee=$!
sipp "127.0.0.1:$PORT" -sf tests/system/sipp_caller.xml -s service -i 127.0.0.1 -p "$CALLER" -r "$CALLS" -l 100000 \
    -m $((CALLS * SECONDS_)) -d 1000 -nostdin -trace_err -error_file "$work/errors" >"$work/out" 2>&1 && result=0 || result=$?
grep -E "Elapsed Time|Call Rate|Successful call|Failed call" "$work/out" | tail -4
exit $result
