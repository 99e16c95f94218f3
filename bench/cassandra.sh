#!/bin/bash
# Apache Cassandra 5 on this machine, beside us: its jars from Maven Central, a one-node cluster on loopback.
#   bench/cassandra.sh start            fetch what is missing, start it, wait until it takes clients
#   bench/cassandra.sh stop             end it
#   bench/cassandra.sh compare [N]      `ringlet stress` with N (300000) operations a run, first on it, then on a node of ours, each
#                                       alone on the machine with an empty directory: operations a second, the server's CPU time
#                                       for one, latencies in a closed loop, and at RATE (2000) a second from when each was due
# Everything lives in $RINGLET_CACHE (~/.cache/ringlet), outside the tree. HEAP (1G; compare: 2G), CASSANDRA_VERSION, ADDRESS and
# PORT (127.0.0.1:9042), THREADS (64) may be set; it needs a JDK 17 and Maven (openjdk-17-jdk-headless, maven).
# The node is as its own cassandra.yaml has it where that matters: periodic commit log, sixteen tokens, no authenticator;
# LATEST=1 has what cassandra_latest.yaml has: trie memtables off the heap, BTI tables.
set -eu
version=${CASSANDRA_VERSION:-5.0.6}
cache=${RINGLET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ringlet}
lib=$cache/cassandra-$version
address=${ADDRESS:-127.0.0.1}
port=${PORT:-9042}
run=$cache/cassandra-run-$address-$port
here=$(cd "$(dirname "$0")/.." && pwd)
ringlet=${RINGLET:-$here/build/ringlet}

say() { printf '%s\n' "$*" >&2; }

fetch() {
    [ -e "$lib/done" ] && return
    say "fetching cassandra-all $version with what it needs"
    mkdir -p "$lib"
    cat >"$lib/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>ringlet</groupId><artifactId>peer</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.cassandra</groupId>
<artifactId>cassandra-all</artifactId><version>$version</version></dependency></dependencies></project>
POM
    (cd "$lib" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars)
    touch "$lib/done"
}

configure() {
    mkdir -p "$run/conf" "$run/log"
    cat >"$run/conf/cassandra.yaml" <<YAML
cluster_name: Peer
num_tokens: 16
allocate_tokens_for_local_replication_factor: 3
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: [$run/data]
commitlog_directory: $run/commitlog
saved_caches_directory: $run/saved_caches
hints_directory: $run/hints
cdc_raw_directory: $run/cdc_raw
commitlog_sync: periodic
commitlog_sync_period: 10000ms
disk_failure_policy: stop
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "$address:$((port - 2042))"}]
listen_address: $address
storage_port: $((port - 2042))
rpc_address: $address
native_transport_port: $port
start_native_transport: true
materialized_views_enabled: true
user_defined_functions_enabled: true
YAML
    [ -z "${LATEST:-}" ] || cat >>"$run/conf/cassandra.yaml" <<YAML
memtable:
  configurations:
    skiplist: {class_name: SkipListMemtable}
    trie: {class_name: TrieMemtable}
    default: {inherits: trie}
memtable_allocation_type: offheap_objects
sstable:
  selected_format: bti
storage_compatibility_mode: NONE
YAML
    cat >"$run/conf/logback.xml" <<XML
<configuration><appender name="F" class="ch.qos.logback.core.FileAppender"><file>$run/log/system.log</file>
<encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="F"/></root></configuration>
XML
}

# What conf/jvm17-server.options opens to it.
exports="java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch java.management.rmi/com.sun.jmx.remote.internal.rmi
java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql jdk.compiler/com.sun.tools.javac.file
java.base/java.lang.ref java.base/java.lang.reflect jdk.unsupported/sun.misc"
opens="java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref java.base/jdk.internal.reflect
java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar jdk.management/com.sun.management.internal
java.base/sun.nio.ch java.base/java.io java.base/java.lang java.base/java.lang.reflect java.base/java.util
java.base/java.util.concurrent java.base/java.util.concurrent.atomic java.base/java.nio java.base/jdk.internal.misc
java.base/java.net"

running() { [ -e "$run/pid" ] && kill -0 "$(cat "$run/pid")" 2>/dev/null; }
listening() { (: <"/dev/tcp/$address/$port") 2>/dev/null; }

start() {
    fetch
    if running; then
        say "it runs already, process $(cat "$run/pid")"
        return
    fi
    configure
    options=()
    for m in $exports; do options+=(--add-exports "$m=ALL-UNNAMED"); done
    for m in $opens; do options+=(--add-opens "$m=ALL-UNNAMED"); done
    heap=${HEAP:-1G}
    cd "$run"
    setsid java "${options[@]}" "-Xms$heap" "-Xmx$heap" -Xss256k -XX:+UseG1GC -XX:MaxGCPauseMillis=300 -XX:+ParallelRefProcEnabled \
        -XX:+AlwaysPreTouch -XX:+UseTLAB -XX:+UseNUMA -Djava.net.preferIPv4Stack=true \
        -Djdk.attach.allowAttachSelf=true "-javaagent:$lib/jars/jamm-0.4.0.jar" -ea:org.apache.cassandra... -da:net.openhft... \
        -Dcassandra.storagedir="$run" -Dcassandra.config="file://$run/conf/cassandra.yaml" -Dlogback.configurationFile="file://$run/conf/logback.xml" \
        -Dcassandra.logdir="$run/log" -Dcassandra-foreground=yes -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=100 \
        -Djava.io.tmpdir="$run" -Dio.netty.tryReflectionSetAccessible=true \
        -cp "$run/conf:$lib/jars/*" org.apache.cassandra.service.CassandraDaemon >"$run/log/out" 2>&1 </dev/null &
    echo $! >"$run/pid"
    for ((i = 0; i < 600; i++)); do
        listening && { say "Apache Cassandra $version on $address:$port, process $(cat "$run/pid")"; return; }
        running || break
        sleep 0.2
    done
    say "it did not start; $run/log/out ends with:"
    tail -20 "$run/log/out" >&2
    return 1
}

stop() {
    running || return 0
    pid=$(cat "$run/pid")
    kill "$pid"
    for ((i = 0; i < 150; i++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$run/pid"
}

# --- compare -------------------------------------------------------------------------------------------------------

# A member of a line of JSON: name [inside which object]
member() { sed -E "s/.*${2:+\"$2\": \{[^\}]*}\"$1\": ([0-9.]+).*/\1/"; }

# measure NAME PID LOAD WORD…: one line of the table
measure() {
    name=$1 pid=$2 load=$3
    shift 3
    json=$("$ringlet" --json stress "$@" cl=ONE -node "$address" -port native="$port" -log quiet -pid "$pid") || say "$name: $* failed"
    printf '| %s | %s | %.0f | %.1f | %.0f | %.2f | %.2f | %.2f |\n' "$name" "$load" "$(echo "$json" | member operations_per_second)" \
        "$(echo "$json" | member server_cpu_us_per_operation)" "$(echo "$json" | member operations_per_cpu_second)" \
        "$(echo "$json" | member p50 latency_ms)" "$(echo "$json" | member p99 latency_ms)" "$(echo "$json" | member p999 latency_ms)"
}

# runs NAME PID N: after a warm-up, which a compiler at run time needs
runs() {
    rate="threads=${THREADS:-64} connections=8" at=${RATE:-2000}
    for load in write read; do
        "$ringlet" --json stress $load n="$3" no-warmup cl=ONE -pop seq=1.."$3" -node "$address" -port native="$port" -log quiet -rate $rate >/dev/null
    done
    pop="-pop dist=uniform(1..$3)"
    measure "$1" "$2" write write n="$3" no-warmup -rate $rate
    measure "$1" "$2" read read n="$3" no-warmup $pop -rate $rate
    measure "$1" "$2" "write at $at/s" write duration="${SECONDS_AT_RATE:-20}s" no-warmup $pop -rate $rate fixed="$at"/s
    measure "$1" "$2" "read at $at/s" read duration="${SECONDS_AT_RATE:-20}s" no-warmup $pop -rate $rate fixed="$at"/s
}

compare() {
    n=${1:-300000}
    HEAP=${HEAP:-2G}
    echo "| server | load | op/s | CPU µs/op | op/CPU s | p50 ms | p99 ms | p99.9 ms |"
    echo "|---|---|---|---|---|---|---|---|"
    stop
    rm -rf "$run"
    start
    runs "Apache Cassandra $version" "$(cat "$run/pid")" "$n"
    stop
    ours=$cache/ringlet-run-$address-$port
    rm -rf "$ours"
    mkdir -p "$ours"
    "$ringlet" node --data "$ours/data" --listen "$address:$((port - 2042))" --cql "$address:$port" >"$ours/out" 2>&1 &
    pid=$!
    trap 'kill $pid 2>/dev/null' EXIT
    for ((i = 0; i < 200; i++)); do listening && break; sleep 0.05; done
    listening || { say "our node does not listen; $ours/out ends with:"; tail "$ours/out" >&2; exit 1; }
    runs Ringlet "$pid" "$n"
    kill "$pid"
    wait "$pid" || true
    trap - EXIT
}

case ${1:-} in
start) start ;;
stop) stop ;;
compare) compare "${2:-}" ;;
*) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
