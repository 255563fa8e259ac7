#!/usr/bin/env bash
# sipp through the stock config: CALLS calls in a second for SECONDS_ seconds; fails if a single call does.
# WARM_UP calls come before, a third of them at a fifth of the rate, the others at three fifths, for a server that
# compiles what it runs often (PyPy).
# It tells what sipp counted, the CPU time of all server processes, and what the server's socket had to drop.
set -euo pipefail
cd "$(dirname "$0")/../.."
CALLS=${CALLS:-500} SECONDS_=${SECONDS_:-60} PORT=${PORT:-15060} CALLEE=${CALLEE:-15070} CALLER=${CALLER:-15080} WARM_UP=${WARM_UP:-0}
read -ra server <<<"${SERVER:-.venv/bin/kamailio-py}"
work=$(mktemp -d)
mkdir "$work/run"
load=$(cut -d' ' -f1-3 /proc/loadavg)
"${server[@]}" -f /etc/kamailio/kamailio.cfg -DD -E -m 512 -Y "$work/run" -l "udp:127.0.0.1:$PORT" >"$work/log" 2>&1 &
master=$!
callee=
trap 'kill $master $callee 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
control() { kamcmd -s "unixs:$work/run/kamailio_ctl" "$@"; }
until control core.uptime >/dev/null 2>&1; do sleep 0.1; done
control ul.add location service "sip:service@127.0.0.1:$CALLEE" 3600 1.0 . 0 0 8191
(exec sipp -sf tests/system/sipp_callee.xml -i 127.0.0.1 -p "$CALLEE" -nostdin) >/dev/null 2>&1 &
callee=$!
cpu() { # seconds, of the server's processes
    local stats=("/proc/$master/stat")
    for child in $(cat "/proc/$master/task/$master/children"); do stats+=("/proc/$child/stat"); done
    awk -v tick="$(getconf CLK_TCK)" '{sub(/.*\) /, ""); sum += $12 + $13} END {printf "%.2f", sum / tick}' "${stats[@]}"
}
dropped() { awk -v port=":$(printf %04X "$PORT")" '$2 ~ port {print $NF}' /proc/net/udp; }
call() { # calls a second, calls, seconds at most
    sipp "127.0.0.1:$PORT" -sf tests/system/sipp_caller.xml -s service -i 127.0.0.1 -p "$CALLER" -r "$1" -l 100000 \
        -m "$2" -d 1000 -timeout "$3" -nostdin -trace_err -error_file "$work/errors"
}
if ((WARM_UP)); then
    call $((CALLS / 5)) $((WARM_UP / 3)) 300 >"$work/out" 2>&1 || true
    call $((CALLS * 3 / 5)) $((WARM_UP * 2 / 3)) 300 >"$work/out" 2>&1 || true
fi
before=$(cpu)
call "$CALLS" $((CALLS * SECONDS_)) $((SECONDS_ + 40)) >"$work/out" 2>&1 && result=0 || result=$?
echo "$CALLS calls/s for $SECONDS_ s, $(nproc) CPUs, load before: $load"
grep -E "Elapsed Time|Call Rate|Successful call|Failed call|Retransmissions" "$work/out" | tail -5
echo "CPU of the server: $(awk -v a="$before" -v b="$(cpu)" -v n=$((CALLS * SECONDS_)) 'BEGIN {printf "%.2f s, %.2f ms per call", b - a, (b - a) * 1000 / n}')"
echo "datagrams dropped by the socket: $(dropped)"
control core.shmmem k | grep -E "max_used|fragments" || true
exit $result
