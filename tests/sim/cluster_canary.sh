#!/bin/sh
# A test that cannot fail is worth nothing: with each planted mistake (enum cluster_canary in cluster_world.h) cluster_sim must fail
# within the seeds given here, and say so. A mistake that gets through fails this script.
status=0
caught()
{
    canary=$1 seed=$2 runs=$3
    out=$(tests/sim/cluster_sim --quiet --canary "$canary" --seed "$seed" --runs "$runs" 2>&1) && { echo "not caught: $canary"; status=1; return; }
    case $out in
    *FAILED\ at*) echo "caught: $canary: $(printf '%s\n' "$out" | grep 'FAILED at' | cut -c1-160)" ;;
    *) echo "failed otherwise: $canary: $out"; status=1 ;;
    esac
}
caught early_ack 1 20
caught no_repair 1 20
caught tombstone 1 40
caught hints_dropped 1 400
caught batchlog 1 600
caught no_promise 1 600
caught index 1 20
exit $status
