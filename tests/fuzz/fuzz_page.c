/* Fuzz target: what a replica answers a READ with, and what it is asked (replication/). The first
 * byte: 0, 1: a page, 1 reversed; else a read command. A page that passes the check is walked to
 * its end, up to any of its own positions, and written again, without an error; a command that is
 * understood says the same when it is put into bytes again, and what follows its position is a
 * command. */
#include "replication/reads_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

#define POSITIONS_MAX 16

/* Walk; note positions on the way. */
static size_t walk(struct base_slice page, bool reversed, const struct repl_page_end *upto,
                   struct repl_page_end *positions)
{
    struct base_source *source;
    struct base_partition part;
    struct base_item item;
    size_t n = 0;
    require(repl_page_source(page, reversed, upto, &source, NULL) == BASE_OK);
    for (;;) {
        require(source->ops->partition(source, &part, NULL) == BASE_OK);
        if (!part.pkey.len)
            break;
        struct base_deletion open = BASE_DELETION_NONE;
        do {
            require(source->ops->next(source, &item, NULL) == BASE_OK);
            if (item.kind == BASE_ITEM_MARKER) {
                require(base_deletion_equal(open, reversed ? item.after : item.before));
                open = reversed ? item.before : item.after;
            }
            if (positions && n < POSITIONS_MAX)
                positions[n++] =
                    (struct repl_page_end){.more = true, .pkey = part.pkey, .ckey = item.ckey};
        } while (item.kind != BASE_ITEM_END);
        require(base_deletion_is_none(open));
    }
    source->ops->close(source);
    return n;
}

static void fuzz_page(struct base_slice page, bool reversed)
{
    struct repl_page_end end, again, positions[POSITIONS_MAX];
    struct base_source *source;
    struct base_buf out;
    if (!repl_page_check(page, reversed, &end))
        return;
    size_t n = walk(page, reversed, NULL, positions);
    for (size_t i = 0; i < n; i++) /* positions borrow from the page */
        (void)walk(page, reversed, &positions[i], NULL);
    base_buf_init(&out, 1 << 26);
    require(repl_page_source(page, reversed, NULL, &source, NULL) == BASE_OK);
    require(repl_page_write(source, reversed, 1000, 500, &REPL_PAGE_LIMITS_NONE, &out, NULL) ==
            BASE_OK);
    source->ops->close(source);
    require(repl_page_check(base_buf_view(&out), reversed, &again));
    base_buf_reset(&out);
    require(repl_page_source(page, reversed, NULL, &source, NULL) == BASE_OK);
    struct repl_page_limits limits = {.rows_max = 1, .partition_rows_max = 1, .bytes_max = 1};
    require(repl_page_write(source, reversed, 1000, INT64_MIN, &limits, &out, NULL) == BASE_OK);
    source->ops->close(source);
    require(repl_page_check(base_buf_view(&out), reversed, &again));
    base_buf_fini(&out);
}

/* Put into bytes and understood again. */
static void require_command(const struct repli_read_request *request, struct base_buf *out)
{
    struct repli_read_request again;
    struct base_arena arena;
    struct base_buf twice;
    base_arena_init(&arena);
    base_buf_init(&twice, 1 << 24);
    base_buf_reset(out);
    require(repli_read_encode(request, out) == BASE_OK);
    require(repli_read_decode(base_buf_view(out), &arena, &again, NULL) == BASE_OK);
    require(repli_read_encode(&again, &twice) == BASE_OK);
    require(base_slice_equal(base_buf_view(out), base_buf_view(&twice)));
    base_buf_fini(&twice);
    base_arena_fini(&arena);
}

static void fuzz_command(struct base_slice body)
{
    struct repli_read_request request;
    struct base_arena arena;
    struct base_buf out;
    base_arena_init(&arena);
    base_buf_init(&out, 1 << 24);
    if (repli_read_decode(body, &arena, &request, NULL) == BASE_OK) {
        require_command(&request, &out);
        if (request.after_pkey.len) {
            struct repli_read_request rest = {.limits = request.limits},
                                      behind = {.limits = request.limits};
            bool has_rest, has_behind;
            require(repl_page_continue(&request.cmd, request.after_pkey, request.after_ckey, &arena,
                                       &rest.cmd, &has_rest, &behind.cmd, &has_behind) == BASE_OK);
            if (has_rest)
                require_command(&rest, &out);
            if (has_behind)
                require_command(&behind, &out);
        }
    }
    base_buf_fini(&out);
    base_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] < 2)
        fuzz_page(base_slice(data + 1, size - 1), data[0]);
    else
        fuzz_command(base_slice(data + 1, size - 1));
    return 0;
}
