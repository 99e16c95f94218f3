/* The plain model of a cluster's tables: see the header.
 *
 * The rule for an atom: of all writes that were acknowledged before the read began and that the
 * read must meet, the greatest is the least that the read may show. It may show any greater one
 * that was not refused. Nothing (absent) is right where the least is a deletion or has expired (by
 * anybody's clock: an earlier read may have made it a tombstone), or where such a one that is
 * greater may be there. */
#include "tests/sim/cluster_model.h"

#include <inttypes.h>
#include <stdio.h>

/* Levels. */

static unsigned quorum(unsigned n)
{
    return n / 2 + 1;
}

static unsigned sum(const unsigned *n)
{
    unsigned all = 0;
    for (unsigned i = 0; i < CM_DCS_MAX; i++)
        all += n[i];
    return all;
}

struct cm_strength cm_strength_of(const struct cm_replication *r, int consistency,
                                  unsigned local_dc)
{
    struct cm_strength s = {0};
    unsigned local = r->per_dc ? local_dc : 0;
    switch (consistency) {
    case REPL_CL_ONE:
        s.total = 1;
        break;
    case REPL_CL_TWO:
        s.total = 2;
        break;
    case REPL_CL_THREE:
        s.total = 3;
        break;
    case REPL_CL_QUORUM:
        s.total = quorum(sum(r->rf));
        break;
    case REPL_CL_ALL:
        s.total = sum(r->owners);
        memcpy(s.by_dc, r->owners, sizeof s.by_dc);
        break;
    case REPL_CL_LOCAL_ONE:
        s.total = s.by_dc[local] = 1;
        break;
    case REPL_CL_LOCAL_QUORUM:
        s.total = s.by_dc[local] = quorum(r->rf[local]);
        break;
    case REPL_CL_EACH_QUORUM:
        for (unsigned i = 0; i < r->dc_count; i++)
            s.by_dc[i] = r->rf[i] ? quorum(r->rf[i]) : 0;
        s.total = sum(s.by_dc);
        break;
    default:
        break; /* ANY: nobody for sure */
    }
    return s;
}

bool cm_meet(const struct cm_replication *r, const struct cm_strength *a,
             const struct cm_strength *b)
{
    if (a->total + b->total > sum(r->owners))
        return true;
    for (unsigned i = 0; r->per_dc && i < CM_DCS_MAX; i++)
        if (a->by_dc[i] + b->by_dc[i] > r->owners[i])
            return true;
    return false;
}

/* What was written. */

void cm_init(struct cm_model *m)
{
    *m = (struct cm_model){0};
}

void cm_see_clocks(struct cm_model *m, const struct cluster_world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        cluster_node_sync_clock(&w->nodes[i]);
        int64_t now_s = base_clock_wall_s(&w->nodes[i].clock.base);
        m->latest_s = now_s > m->latest_s ? now_s : m->latest_s;
    }
}

static void partition_free(struct cm_partition *p)
{
    for (struct cm_write *w = p->writes, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    for (unsigned a = 0; a < CM_ATOMS_MAX; a++)
        for (struct cm_seen *s = p->seen[a], *next; s; s = next) {
            next = s->next;
            free(s);
        }
}

void cm_fini(struct cm_model *m)
{
    for (struct cm_table *t = m->tables, *next; t; t = next) {
        next = t->next;
        for (unsigned p = 0; p < CM_PARTITIONS_MAX; p++)
            partition_free(&t->partitions[p]);
        free(t);
    }
    for (struct cm_op *op = m->ops, *next; op; op = next) {
        next = op->next;
        free(op);
    }
    *m = (struct cm_model){0};
}

struct cm_table *cm_table_add(struct cm_model *m, struct base_uuid id)
{
    struct cm_table *t = cluster_must(calloc(1, sizeof *t));
    t->id = id;
    t->next = m->tables;
    m->tables = t;
    return t;
}

struct cm_table *cm_table_find(const struct cm_model *m, struct base_uuid id)
{
    struct cm_table *t = m->tables;
    while (t && !base_uuid_equal(t->id, id))
        t = t->next;
    return t;
}

struct cm_op *cm_begin(struct cm_model *m, const char *what)
{
    struct cm_op *op = cluster_must(calloc(1, sizeof *op));
    op->number = ++m->op_count;
    op->begin = ++m->tick;
    op->what = what;
    op->next = m->ops;
    m->ops = op;
    return op;
}

void cm_end(struct cm_model *m, struct cm_op *op, enum cm_outcome outcome, int rc)
{
    BASE_ASSERT(op->outcome == CM_PENDING && outcome != CM_PENDING);
    op->outcome = outcome;
    op->rc = rc;
    op->end = ++m->tick;
    m->acked += outcome == CM_ACKED;
    m->unknown += outcome == CM_UNKNOWN;
    m->refused += outcome == CM_REFUSED;
}

struct cm_write *cm_add(struct cm_table *t, unsigned partition, struct cm_op *op, enum cm_kind kind,
                        int64_t ts)
{
    struct cm_write *w = cluster_must(calloc(1, sizeof *w));
    w->op = op;
    w->kind = kind;
    w->ts = ts;
    w->next = t->partitions[partition].writes;
    t->partitions[partition].writes = w;
    return w;
}

/* What a write does to an atom. */

struct effect {
    bool any, deletion;
    int64_t ts;
    uint64_t value;
    int32_t ttl;
    int64_t expires_s;
};

static struct effect effect_of(const struct cm_write *w, unsigned atom)
{
    struct effect e = {.ts = w->ts};
    unsigned row = atom ? (atom - 1) / 3 : 0, which = atom ? (atom - 1) % 3 : 0;
    bool in_rows = atom != CM_STATIC && row >= w->row_lo && row <= w->row_hi;
    switch (w->kind) {
    case CM_DELETE_PARTITION:
        e.any = e.deletion = true;
        break;
    case CM_DELETE_ROWS:
        e.any = e.deletion = in_rows;
        break;
    case CM_DELETE_CELL:
        e.any = e.deletion = in_rows && which > 0 && w->value[which - 1];
        break;
    case CM_STATIC_ROW:
        e.any = atom == CM_STATIC;
        e.value = w->value[0];
        break;
    case CM_ROW:
        e.any = in_rows && (which == 0 ? w->liveness : w->value[which - 1] != 0);
        e.value = e.any && which > 0 ? w->value[which - 1] : 0;
        break;
    }
    e.ttl = e.deletion ? 0 : w->ttl;
    e.expires_s = e.ttl ? w->expires_s : 0;
    return e;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Which of two stays: >0: a. */
static int compare(const struct effect *a, const struct effect *b)
{
    if (a->ts != b->ts)
        return a->ts > b->ts ? 1 : -1;
    if (a->deletion != b->deletion)
        return a->deletion ? 1 : -1;
    if (!a->ttl != !b->ttl)
        return a->ttl ? 1 : -1;
    if (a->expires_s != b->expires_s)
        return a->expires_s > b->expires_s ? 1 : -1;
    if (a->ttl != b->ttl)
        return a->ttl < b->ttl ? 1 : -1;
    return compare_u64(a->value, b->value);
}

static bool is_gone(const struct effect *e, int64_t now_s)
{
    return e->deletion || (e->ttl && e->expires_s <= now_s);
}

/* Judging one atom. */

struct judge {
    int64_t latest_s;
    bool syncs_fail;
    const struct cm_table *table;
    unsigned partition, atom;
    const struct cm_read *read;
    struct effect least; /* what must be seen, or something greater */
    const struct cm_write *least_by;
    const char *least_why;
};

static void raise_least(struct judge *j, const struct effect *e, const struct cm_write *by,
                        const char *why)
{
    if (e->any && (!j->least.any || compare(e, &j->least) > 0)) {
        j->least = *e;
        j->least_by = by;
        j->least_why = why;
    }
}

static void find_least(struct judge *j)
{
    const struct cm_partition *p = &j->table->partitions[j->partition];
    for (const struct cm_write *w = p->writes; w; w = w->next) {
        struct effect e = effect_of(w, j->atom);
        if (w->op->outcome == CM_ACKED && w->op->end < j->read->begin &&
            cm_meet(&j->table->replication, &w->op->strength, &j->read->strength))
            raise_least(j, &e, w, "acknowledged");
    }
    for (const struct cm_seen *s = j->read->look ? NULL : p->seen[j->atom]; s; s = s->next) {
        if (j->syncs_fail && s->write->op->outcome != CM_ACKED)
            continue;
        struct effect e = effect_of(s->write, j->atom);
        if (s->tick < j->read->begin &&
            cm_meet(&j->table->replication, &s->strength, &j->read->strength))
            raise_least(j, &e, s->write, "seen before");
    }
    if (j->read->truncated_us != INT64_MIN)
        raise_least(j, &(struct effect){.any = true, .deletion = true, .ts = j->read->truncated_us},
                    NULL, "truncated");
}

static bool complain(const struct judge *j, char complaint[512], const char *what,
                     const struct cm_observed *o)
{
    const struct cm_write *by = j->least_by;
    unsigned row = j->atom ? (j->atom - 1) / 3 : 0;
    static const char *const names[] = {"liveness", "a", "b"};
    char seen[128] = "nothing", least[256] = "nothing";
    if (o->present)
        snprintf(seen, sizeof seen, "value %" PRIu64 " at %" PRId64 " ttl %d", o->value, o->ts,
                 o->ttl);
    if (j->least.any)
        snprintf(least, sizeof least,
                 "%s %" PRIu64 " at %" PRId64 " (%s) by operation %" PRIu64 " (%s: %" PRIu64
                 ", %" PRIu64 ")",
                 j->least.deletion ? "deletion" : "value", j->least.value, j->least.ts,
                 j->least_why, by ? by->op->number : 0, by ? by->op->what : "truncation",
                 by ? by->value[0] : 0, by ? by->value[1] : 0);
    snprintf(complaint, 512, "%s.%s partition %u %s %u %s: %s: seen %s, at least %s",
             j->table->keyspace, j->table->name, j->partition, j->atom ? "row" : "static", row,
             j->atom ? names[(j->atom - 1) % 3] : "", what, seen, least);
    return false;
}

/* Is there a deletion (or something expired) above the least that may have happened? */
static bool may_be_gone(const struct judge *j)
{
    if (!j->least.any || is_gone(&j->least, j->latest_s))
        return true;
    for (const struct cm_write *w = j->table->partitions[j->partition].writes; w; w = w->next) {
        struct effect e = effect_of(w, j->atom);
        if (e.any && w->op->outcome != CM_REFUSED && is_gone(&e, j->latest_s) &&
            compare(&e, &j->least) > 0)
            return true;
    }
    for (size_t i = 0; i < j->table->truncation_count; i++)
        if (j->table->truncations[i]->outcome != CM_REFUSED &&
            j->table->truncation_us[i] >= j->least.ts)
            return true;
    return false;
}

static void note_seen(struct cm_model *m, struct judge *j, const struct cm_write *w)
{
    struct cm_partition *p = (struct cm_partition *)&j->table->partitions[j->partition];
    if (p->seen[j->atom] && p->seen[j->atom]->write == w &&
        memcmp(&p->seen[j->atom]->strength, &j->read->strength, sizeof j->read->strength) == 0)
        return;
    struct cm_seen *s = cluster_must(calloc(1, sizeof *s));
    *s = (struct cm_seen){p->seen[j->atom], w, m->tick, j->read->strength};
    p->seen[j->atom] = s;
}

static bool check_atom(struct cm_model *m, struct judge *j, const struct cm_observed *o,
                       char complaint[512])
{
    m->atoms_checked++;
    find_least(j);
    if (!o->present)
        return may_be_gone(j) ? true : complain(j, complaint, "it is missing", o);
    m->seen_values++;
    const struct cm_write *found = NULL; /* a liveness may be that of several writes */
    struct effect e = {0};
    for (const struct cm_write *w = j->table->partitions[j->partition].writes; w; w = w->next) {
        struct effect one = effect_of(w, j->atom);
        if (!one.any || one.deletion || one.ts != o->ts || one.value != o->value ||
            one.ttl != o->ttl)
            continue;
        if (found && found->op->outcome != CM_REFUSED)
            continue;
        found = w;
        e = one;
    }
    if (!found)
        return complain(j, complaint, "nobody wrote this", o);
    if (found->op->outcome == CM_REFUSED) {
        char what[64];
        snprintf(what, sizeof what, "operation %" PRIu64 " was refused (%s)", found->op->number,
                 base_err_words(found->op->rc));
        return complain(j, complaint, what, o);
    }
    if (is_gone(&e, j->read->now_s))
        return complain(j, complaint, "it has expired", o);
    if (j->least.any && compare(&e, &j->least) < 0)
        return complain(j, complaint, "it is old", o);
    if (!j->read->look)
        note_seen(m, j, found);
    return true;
}

/* Whole or not at all. */

/* Does the atom tell whether this write is there? Only if nothing else may stand above it. 1:
 * there, -1: not, 0: it does not tell. */
static int tells(const struct cm_table *t, unsigned partition, unsigned atom,
                 const struct cm_write *own, const struct cm_observed *o, int64_t now_s)
{
    struct effect e = effect_of(own, atom);
    if (!e.any || !o->covered || is_gone(&e, now_s))
        return 0;
    for (const struct cm_write *w = t->partitions[partition].writes; w; w = w->next) {
        struct effect other = effect_of(w, atom);
        if (w != own && other.any && w->op->outcome != CM_REFUSED && compare(&other, &e) >= 0)
            return 0;
    }
    for (size_t i = 0; i < t->truncation_count; i++)
        if (t->truncations[i]->outcome != CM_REFUSED && t->truncation_us[i] >= e.ts)
            return 0;
    return o->present && o->ts == e.ts && o->value == e.value && o->ttl == e.ttl ? 1 : -1;
}

struct tally {
    int there, not_there;
    const struct cm_table *table; /* where the last one is that is not there */
    unsigned partition, atom;
};

static void tally_op(const struct cm_table *t, unsigned partition, const struct cm_op *op,
                     const struct cm_view *view, int64_t now_s, struct tally *tally)
{
    for (const struct cm_write *w = t->partitions[partition].writes; w; w = w->next) {
        for (unsigned a = 0; w->op == op && a < 1 + 3 * t->row_count; a++) {
            int told = tells(t, partition, a, w, &view->atoms[a], now_s);
            tally->there += told > 0;
            tally->not_there += told < 0;
            if (told >= 0)
                continue;
            tally->table = t;
            tally->partition = partition;
            tally->atom = a;
        }
    }
}

bool cm_check_whole(const struct cm_model *m, const struct cm_final *finals, size_t count,
                    char complaint[512])
{
    for (const struct cm_op *op = m->ops; op; op = op->next) {
        struct tally tally = {0};
        if (!op->logged)
            continue;
        for (size_t i = 0; i < count; i++)
            for (unsigned p = 0; p < finals[i].table->partition_count; p++)
                tally_op(finals[i].table, p, op, &finals[i].views[p], m->latest_s, &tally);
        bool lost = op->outcome == CM_ACKED && tally.not_there;
        if (lost || (tally.there && tally.not_there)) {
            snprintf(complaint, 512,
                     "logged batch %" PRIu64
                     " (%s): %d of its values are there, %d are not: %s.%s partition %u atom %u",
                     op->number, op->outcome == CM_ACKED ? "acknowledged" : "unknown", tally.there,
                     tally.not_there, tally.table->keyspace, tally.table->name, tally.partition,
                     tally.atom);
            return false;
        }
    }
    return true;
}

bool cm_check(struct cm_model *m, struct cm_table *t, unsigned partition,
              const struct cm_read *read, const struct cm_view *view, char complaint[512])
{
    m->tick++;
    m->reads_checked++;
    for (unsigned a = 0; a < 1 + 3 * t->row_count; a++) {
        struct judge j = {.latest_s = m->latest_s,
                          .syncs_fail = m->syncs_fail,
                          .table = t,
                          .partition = partition,
                          .atom = a,
                          .read = read};
        if (view->atoms[a].covered && !check_atom(m, &j, &view->atoms[a], complaint))
            return false;
    }
    return true;
}

bool cm_must_show(const struct cm_model *m, const struct cm_table *t, unsigned partition,
                  unsigned atom, const struct cm_read *read, uint64_t value)
{
    struct judge j = {.latest_s = m->latest_s,
                      .syncs_fail = m->syncs_fail,
                      .table = t,
                      .partition = partition,
                      .atom = atom,
                      .read = read};
    find_least(&j);
    if (!j.least.any || is_gone(&j.least, j.latest_s) || j.least.value != value)
        return false;
    for (const struct cm_write *w = t->partitions[partition].writes; w; w = w->next) {
        struct effect e = effect_of(w, atom);
        if (e.any && w->op->outcome != CM_REFUSED && compare(&e, &j.least) > 0)
            return false;
    }
    for (size_t i = 0; i < t->truncation_count; i++)
        if (t->truncations[i]->outcome != CM_REFUSED && t->truncation_us[i] >= j.least.ts)
            return false;
    return true;
}
