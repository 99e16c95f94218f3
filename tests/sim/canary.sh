#!/bin/sh
# A test that cannot fail is worth nothing: with each of the model's planted mistakes (enum canary in model.h) the model tests
# must fail within a few seeds, and say so. A mistake that gets through fails this script.
status=0
caught()
{
    out=$("$@" 2>&1) && { echo "not caught: $*"; status=1; return; }
    case $out in
    *FAILED\ at\ operation*) echo "caught: $*" ;;
    *) echo "failed otherwise: $*: $out"; status=1 ;;
    esac
}
for canary in 1 2 3 5 6; do
    caught tests/sim/merge_model --runs 20 --canary $canary
done
for canary in 1 2 3 4 5; do
    caught tests/sim/store_model --runs 12 --ops 3000 --canary $canary
done
exit $status
