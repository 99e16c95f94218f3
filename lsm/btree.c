/* The arena B+tree (lsm/btree.h).
 *
 * A node keeps three parallel arrays: the first 8 bytes of each key as a number (so that most
 * comparisons touch no item), the items, and in inner nodes the children. An inner node's item i is
 * the smallest key under child i, but for i = 0, whose bound is minus infinity and is never
 * compared (smaller keys may have come since).
 *
 * Invariants: 1. keys ascend within a node and along the leaves' links; 2. every node but the root
 * has at least one entry; 3. all leaves are at one depth; 4. a tree of height 0 has at most one
 * item;
 * 5. only the leaf of a tree of height 1 may have less room than NODE_CAP.
 *
 * A split of the rightmost leaf by an insert at its end leaves it full: ascending inserts, the
 * common load of a partition in time order, fill nodes whole. */
#include "lsm/btree.h"

enum { NODE_CAP = 64, LEAF_CAP_FIRST = 4 };

struct lsmi_btree_node {
    uint16_t count, cap;
    bool leaf;
    struct lsmi_btree_node *prev, *next; /* leaves only */
    /* cap of them; then cap items; then, inner, cap children */
    uint64_t prefix[];
};

static inline struct lsmi_btree_item **node_items(const struct lsmi_btree_node *node)
{
    return (struct lsmi_btree_item **)(void *)((uintptr_t)node->prefix +
                                               node->cap * sizeof(uint64_t));
}

static inline struct lsmi_btree_node **node_children(const struct lsmi_btree_node *node)
{
    return (struct lsmi_btree_node **)(void *)(node_items(node) + node->cap);
}

static inline uint64_t key_prefix(struct base_slice key)
{
    if (BASE_LIKELY(key.len >= 8))
        return base_get_be64(key.data);
    uint8_t padded[8] = {0};
    if (key.len)
        memcpy(padded, key.data, key.len);
    return base_get_be64(padded);
}

/* The first entry in [from, count) whose key is >= key. */
static unsigned node_lower_bound(const struct lsmi_btree_node *node, unsigned from, uint64_t prefix,
                                 struct base_slice key, bool *exact)
{
    const uint64_t *p = node->prefix + from;
    unsigned n = node->count - from;
    while (n > 1) { /* no branch to mispredict: the compiler makes it a conditional move */
        unsigned half = n / 2;
        p += p[half - 1] < prefix ? half : 0;
        n -= half;
    }
    unsigned lo = (unsigned)(p - node->prefix);
    if (n == 1 && *p < prefix)
        lo++;
    *exact = false;
    if (lo == node->count || node->prefix[lo] != prefix)
        return lo;
    unsigned hi = lo + 1;
    while (hi < node->count && node->prefix[hi] == prefix)
        hi++;
    struct lsmi_btree_item **items = node_items(node);
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        int c = base_slice_compare(lsmi_btree_key(items[mid]), key);
        if (c == 0) {
            *exact = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* A node's prefixes are eight cache lines, of which a binary search would wait for three, one after
 * another: ask for all at once. */
static inline const struct lsmi_btree_node *node_fetch(const struct lsmi_btree_node *node)
{
    const char *p = (const char *)node;
    for (size_t at = 0; at < sizeof *node + NODE_CAP * sizeof(uint64_t); at += 64)
        __builtin_prefetch(p + at);
    return node;
}

/* The child of an inner node that holds the key. */
static unsigned inner_child(const struct lsmi_btree_node *node, uint64_t prefix,
                            struct base_slice key)
{
    bool exact;
    unsigned at = node_lower_bound(node, 1, prefix, key, &exact);
    return exact ? at : at - 1;
}

struct lsmi_btree_item *lsmi_btree_find(const struct lsmi_btree *tree, struct base_slice key)
{
    struct lsmi_btree_cursor cursor;
    return lsmi_btree_seek(tree, key, &cursor) ? lsmi_btree_at(&cursor) : NULL;
}

struct lsmi_btree_item *lsmi_btree_locate(const struct lsmi_btree *tree, struct base_slice key,
                                          struct lsmi_btree_spot *spot)
{
    uint64_t prefix = key_prefix(key);
    spot->prefix = prefix;
    spot->before_single = false;
    if (tree->height == 0) {
        struct lsmi_btree_item *single = tree->root;
        if (!single)
            return NULL;
        int c = base_slice_compare(key, lsmi_btree_key(single));
        spot->before_single = c < 0;
        return c == 0 ? single : NULL;
    }
    struct lsmi_btree_node *node = tree->root;
    unsigned level = 0;
    for (; !node->leaf; level++) {
        unsigned at = inner_child(node, prefix, key);
        spot->node[level] = node;
        spot->at[level] = (uint16_t)at;
        node = node_children(node)[at];
        node_fetch(node);
    }
    bool exact;
    unsigned at = node_lower_bound(node, 0, prefix, key, &exact);
    spot->node[level] = node;
    spot->at[level] = (uint16_t)at;
    return exact ? node_items(node)[at] : NULL;
}

static struct lsmi_btree_node *node_new(struct base_arena *arena, unsigned cap, bool leaf)
{
    size_t size =
        sizeof(struct lsmi_btree_node) + cap * (sizeof(uint64_t) + sizeof(void *) * (leaf ? 1 : 2));
    struct lsmi_btree_node *node = base_arena_alloc(arena, size);
    if (node)
        *node = (struct lsmi_btree_node){.cap = (uint16_t)cap, .leaf = leaf};
    return node;
}

static void node_put(struct lsmi_btree_node *node, unsigned at, uint64_t prefix,
                     struct lsmi_btree_item *item, struct lsmi_btree_node *child)
{
    BASE_ASSERT(node->count < node->cap && at <= node->count);
    unsigned tail = node->count - at;
    struct lsmi_btree_item **items = node_items(node);
    memmove(node->prefix + at + 1, node->prefix + at, tail * sizeof *node->prefix);
    memmove(items + at + 1, items + at, tail * sizeof *items);
    node->prefix[at] = prefix;
    items[at] = item;
    if (!node->leaf) {
        struct lsmi_btree_node **children = node_children(node);
        memmove(children + at + 1, children + at, tail * sizeof *children);
        children[at] = child;
    }
    node->count++;
}

/* Move the entries from `at` on to the empty node `right`. */
static void node_move_tail(struct lsmi_btree_node *node, unsigned at, struct lsmi_btree_node *right)
{
    unsigned tail = node->count - at;
    BASE_ASSERT(right->count == 0 && tail <= right->cap);
    memcpy(right->prefix, node->prefix + at, tail * sizeof *node->prefix);
    memcpy(node_items(right), node_items(node) + at, tail * sizeof(void *));
    if (!node->leaf)
        memcpy(node_children(right), node_children(node) + at, tail * sizeof(void *));
    right->count = (uint16_t)tail;
    node->count = (uint16_t)at;
}

/* Heights 0 and 1 grow in place: no item, one item, a leaf of 4, 8 … 64. True when that was
 * enough. */
static bool insert_small(struct lsmi_btree *tree, struct base_arena *arena,
                         const struct lsmi_btree_spot *spot, struct lsmi_btree_item *item, bool *ok)
{
    *ok = true;
    if (tree->height == 0 && !tree->root) {
        tree->root = item;
        return true;
    }
    if (tree->height == 0) {
        struct lsmi_btree_item *single = tree->root;
        struct lsmi_btree_node *leaf = node_new(arena, LEAF_CAP_FIRST, true);
        if (!leaf)
            return *ok = false, true;
        node_put(leaf, 0, key_prefix(lsmi_btree_key(single)), single, NULL);
        node_put(leaf, spot->before_single ? 0 : 1, spot->prefix, item, NULL);
        tree->root = leaf;
        tree->height = 1;
        return true;
    }
    struct lsmi_btree_node *leaf = spot->node[tree->height - 1];
    if (leaf->count == leaf->cap && leaf->cap < NODE_CAP) {
        BASE_ASSERT(tree->height == 1);
        struct lsmi_btree_node *larger = node_new(arena, leaf->cap * 2u, true);
        if (!larger)
            return *ok = false, true;
        node_move_tail(leaf, 0, larger);
        tree->root = leaf = larger;
    }
    if (leaf->count == leaf->cap)
        return false;
    node_put(leaf, spot->at[tree->height - 1], spot->prefix, item, NULL);
    return true;
}

/* Split a full node around the insert of (prefix, item, child) at `at`; the new right half is
 * `right`. */
static void node_split_put(struct lsmi_btree_node *node, unsigned at, uint64_t prefix,
                           struct lsmi_btree_item *item, struct lsmi_btree_node *child,
                           struct lsmi_btree_node *right)
{
    bool append = at == node->count && (!node->leaf || !node->next);
    node_move_tail(node, append ? node->count : node->count / 2u, right);
    if (node->leaf) {
        right->next = node->next;
        right->prev = node;
        if (right->next)
            right->next->prev = right;
        node->next = right;
    }
    if (append || at > node->count)
        node_put(right, at - node->count, prefix, item, child);
    else
        node_put(node, at, prefix, item, child);
}

bool lsmi_btree_insert(struct lsmi_btree *tree, struct base_arena *arena,
                       const struct lsmi_btree_spot *spot, struct lsmi_btree_item *item)
{
    bool ok;
    if (insert_small(tree, arena, spot, item, &ok)) {
        tree->count += ok;
        return ok;
    }
    /* All nodes the splits need, before anything changes. */
    unsigned level = tree->height, need = 0;
    while (level > 0 && spot->node[level - 1]->count == NODE_CAP)
        level--, need++;
    bool root_splits = level == 0;
    BASE_ASSERT(tree->height + root_splits <= LSMI_BTREE_HEIGHT_MAX);
    struct lsmi_btree_node *fresh[LSMI_BTREE_HEIGHT_MAX + 1];
    for (unsigned i = 0; i < need; i++)
        if (!(fresh[i] = node_new(arena, NODE_CAP, i == 0)))
            return false;
    struct lsmi_btree_node *root = NULL;
    if (root_splits && !(root = node_new(arena, NODE_CAP, false)))
        return false;

    uint64_t prefix = spot->prefix;
    struct lsmi_btree_item *entry = item;
    struct lsmi_btree_node *child = NULL;
    for (unsigned i = 0; i < need; i++) {
        unsigned at_level = tree->height - 1 - i;
        /* a new child goes right of the one that split */
        unsigned at = spot->at[at_level] + (i ? 1u : 0u);
        node_split_put(spot->node[at_level], at, prefix, entry, child, fresh[i]);
        prefix = fresh[i]->prefix[0];
        entry = node_items(fresh[i])[0];
        child = fresh[i];
    }
    if (root_splits) {
        struct lsmi_btree_node *left = tree->root;
        node_put(root, 0, left->prefix[0], node_items(left)[0], left);
        node_put(root, 1, prefix, entry, child);
        tree->root = root;
        tree->height++;
    } else {
        node_put(spot->node[level - 1], spot->at[level - 1] + 1u, prefix, entry, child);
    }
    tree->count++;
    return true;
}

bool lsmi_btree_seek(const struct lsmi_btree *tree, struct base_slice key,
                     struct lsmi_btree_cursor *cursor)
{
    *cursor = (struct lsmi_btree_cursor){0};
    if (tree->height == 0) {
        cursor->single = tree->root;
        if (!cursor->single)
            return false;
        int c = base_slice_compare(lsmi_btree_key(cursor->single), key);
        cursor->at = c < 0;
        return c == 0;
    }
    uint64_t prefix = key_prefix(key);
    const struct lsmi_btree_node *node = tree->root;
    while (!node->leaf)
        node = node_fetch(node_children(node)[inner_child(node, prefix, key)]);
    bool exact;
    cursor->at = node_lower_bound(node, 0, prefix, key, &exact);
    cursor->leaf = node;
    if (cursor->at == node->count && node->next) {
        cursor->leaf = node->next;
        cursor->at = 0;
    }
    return exact;
}

void lsmi_btree_seek_end(const struct lsmi_btree *tree, struct lsmi_btree_cursor *cursor)
{
    *cursor = (struct lsmi_btree_cursor){0};
    if (tree->height == 0) {
        cursor->single = tree->root;
        cursor->at = cursor->single != NULL;
        return;
    }
    const struct lsmi_btree_node *node = tree->root;
    while (!node->leaf)
        node = node_children(node)[node->count - 1];
    cursor->leaf = node;
    cursor->at = node->count;
}

struct lsmi_btree_item *lsmi_btree_at(const struct lsmi_btree_cursor *cursor)
{
    if (!cursor->leaf)
        return cursor->at == 0 ? cursor->single : NULL;
    return cursor->at < cursor->leaf->count ? node_items(cursor->leaf)[cursor->at] : NULL;
}

void lsmi_btree_next(struct lsmi_btree_cursor *cursor)
{
    if (!cursor->leaf) {
        cursor->at = cursor->single != NULL;
        return;
    }
    if (cursor->at < cursor->leaf->count)
        cursor->at++;
    if (cursor->at == cursor->leaf->count && cursor->leaf->next) {
        cursor->leaf = cursor->leaf->next;
        cursor->at = 0;
    }
}

bool lsmi_btree_prev(struct lsmi_btree_cursor *cursor)
{
    if (cursor->at > 0) {
        cursor->at--;
        return true;
    }
    if (!cursor->leaf || !cursor->leaf->prev)
        return false;
    cursor->leaf = cursor->leaf->prev;
    cursor->at = cursor->leaf->count - 1u;
    return true;
}

static uint64_t node_check(const struct lsmi_btree_node *node, unsigned height,
                           const struct lsmi_btree_node **leaf_before)
{
    BASE_ASSERT(node->count > 0 && node->count <= node->cap && node->leaf == (height == 1));
    uint64_t count = 0;
    for (unsigned i = 0; i < node->count; i++) {
        struct base_slice key = lsmi_btree_key(node_items(node)[i]);
        BASE_ASSERT(key_prefix(key) == node->prefix[i]);
        if (i > (node->leaf ? 0u
                            : 1u)) /* an inner node's first bound is minus infinity, its item any */
            BASE_ASSERT(base_slice_compare(lsmi_btree_key(node_items(node)[i - 1]), key) < 0);
        if (!node->leaf)
            count += node_check(node_children(node)[i], height - 1, leaf_before);
    }
    if (!node->leaf)
        return count;
    BASE_ASSERT(node->prev == *leaf_before);
    if (node->prev) {
        struct lsmi_btree_item *last = node_items(node->prev)[node->prev->count - 1];
        BASE_ASSERT(node->prev->next == node);
        BASE_ASSERT(base_slice_compare(lsmi_btree_key(last), lsmi_btree_key(node_items(node)[0])) <
                    0);
    }
    *leaf_before = node;
    return node->count;
}

void lsmi_btree_check(const struct lsmi_btree *tree)
{
    if (tree->height == 0) {
        BASE_ASSERT(tree->count == (tree->root != NULL));
        return;
    }
    const struct lsmi_btree_node *last = NULL;
    BASE_ASSERT(node_check(tree->root, tree->height, &last) == tree->count);
    BASE_ASSERT(last && !last->next);
}
