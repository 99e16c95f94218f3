/* An ordered map in an arena: keys to items that carry their own key. A B+tree whose smallest forms
 * are cheap: nothing, one item without a node, one small leaf that grows; so that the same
 * structure serves a partition of one row and one of ten million.
 *
 * Items are never removed and never moved. Not thread-safe: the owner locks; lookups change
 * nothing. */
#ifndef LSM_BTREE_H
#define LSM_BTREE_H

#include "base/arena.h"

/* The head of every item. Its key is key_len bytes at key_at from the item's start. */
struct lsmi_btree_item {
    uint32_t key_len;
    uint16_t key_at;
    uint16_t unused;
};
static inline struct base_slice lsmi_btree_key(const struct lsmi_btree_item *item)
{
    return (struct base_slice){(const uint8_t *)item + item->key_at, item->key_len};
}

struct lsmi_btree_node;

struct lsmi_btree {
    void *root;      /* NULL; the only item (height 0); a leaf (1); an inner node */
    uint32_t height; /* levels of nodes */
    uint32_t count;  /* of items */
};

#define LSMI_BTREE_HEIGHT_MAX 12 /* 32^12 items: more than memory */

/* Where a key is or would be: filled by lsmi_btree_locate, used by the next insert, stale after
 * it. */
struct lsmi_btree_spot {
    uint64_t prefix;
    bool before_single; /* height 1 to be: the new item goes before the only one */
    struct lsmi_btree_node *node[LSMI_BTREE_HEIGHT_MAX]; /* from the root down */
    uint16_t at[LSMI_BTREE_HEIGHT_MAX];
};

/* The item with this key, or NULL. */
struct lsmi_btree_item *lsmi_btree_find(const struct lsmi_btree *tree, struct base_slice key);
/* The same, and where to insert it when there is none. */
struct lsmi_btree_item *lsmi_btree_locate(const struct lsmi_btree *tree, struct base_slice key,
                                          struct lsmi_btree_spot *spot);
/* Insert at the spot that locate found empty. False: out of memory, the tree is as it was. */
bool lsmi_btree_insert(struct lsmi_btree *tree, struct base_arena *arena,
                       const struct lsmi_btree_spot *spot, struct lsmi_btree_item *item);

/* A place between or on items. Inserts make it stale. */
struct lsmi_btree_cursor {
    const struct lsmi_btree_node *leaf; /* NULL: no nodes */
    struct lsmi_btree_item *single;     /* height 0: the only item, or NULL */
    unsigned at;
};
/* Stand on the first item >= key, or behind the last. True when its key is equal. */
bool lsmi_btree_seek(const struct lsmi_btree *tree, struct base_slice key,
                     struct lsmi_btree_cursor *cursor);
/* Stand behind the last item. */
void lsmi_btree_seek_end(const struct lsmi_btree *tree, struct lsmi_btree_cursor *cursor);
/* The item the cursor stands on, or NULL behind the last. */
struct lsmi_btree_item *lsmi_btree_at(const struct lsmi_btree_cursor *cursor);
void lsmi_btree_next(struct lsmi_btree_cursor *cursor);
/* Step back; false when it stands on the first (or there is none). */
bool lsmi_btree_prev(struct lsmi_btree_cursor *cursor);

/* Order, links and counts, for tests: asserts. */
void lsmi_btree_check(const struct lsmi_btree *tree);

#endif
