/* Fuzz target: bytes as a type's name, as a value of a type, as a key, as JSON. Nothing may crash;
 * what is accepted must come back the same through every form.
 *
 * Input: the first byte chooses; type names and values are parted by a newline. */
#include "base/json.h"
#include "base/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static const struct base_type *parse(struct base_arena *arena, struct base_slice text)
{
    const struct base_type *type, *again;
    struct base_buf printed;
    struct base_err err;
    if (base_type_parse(arena, text, NULL, &type, &err) != BASE_OK)
        return NULL;
    base_buf_init(&printed, 1 << 20);
    require(base_type_print(type, &printed) == BASE_OK);
    require(base_type_parse(arena, base_buf_view(&printed), NULL, &again, &err) == BASE_OK);
    require(base_type_equal(type, again));
    base_buf_fini(&printed);
    return type;
}

/* A valid value through the order encoding: equal afterwards. */
static void through_key(const struct base_type *type, struct base_slice value)
{
    struct base_buf key, back;
    bool exact = true, empty;
    uint8_t position;
    base_buf_init(&key, 1 << 22);
    base_buf_init(&back, 1 << 22);
    if (base_type_check_key(type, NULL) == BASE_OK &&
        base_ckey_put(type, false, value, &key, &exact, NULL) == BASE_OK) {
        struct base_reader in = base_reader(base_buf_view(&key));
        require(base_ckey_get(type, false, &in, &back, &empty, &position, NULL) == BASE_OK);
        require(base_value_compare(type, value, base_buf_view(&back)) == 0);
        require(exact == base_slice_equal(value, base_buf_view(&back)));
    }
    base_buf_fini(&key);
    base_buf_fini(&back);
}

static void fuzz_value(const struct base_type *type, struct base_slice value)
{
    struct base_buf normal, scratch, back;
    struct base_sql_value sql;
    struct base_err err;
    base_buf_init(&normal, 1 << 22);
    base_buf_init(&scratch, 1 << 22);
    base_buf_init(&back, 1 << 22);
    bool valid = base_value_validate(type, value, &err) == BASE_OK;
    int rc = base_value_to_sql(type, value, &sql, &scratch, &err);
    require(!valid || rc == BASE_OK);
    if (valid && base_value_normalize(type, value, &normal, &err) == BASE_OK) {
        through_key(type, base_buf_view(&normal));
        scratch.len = 0;
        require(base_value_to_sql(type, base_buf_view(&normal), &sql, &scratch, &err) == BASE_OK);
        if (sql.kind != BASE_SQL_NULL) {
            require(base_value_from_sql(type, &sql, &back, &err) == BASE_OK);
            require(base_value_compare(type, base_buf_view(&back), base_buf_view(&normal)) == 0);
        }
    }
    base_buf_fini(&normal);
    base_buf_fini(&scratch);
    base_buf_fini(&back);
}

static void fuzz_key(const struct base_type *type, struct base_slice key, bool descending)
{
    struct base_buf out;
    struct base_reader in = base_reader(key);
    bool empty;
    uint8_t position;
    base_buf_init(&out, 1 << 22);
    if (base_ckey_get(type, descending, &in, &out, &empty, &position, NULL) == BASE_OK &&
        !position && !empty)
        require(base_value_validate(type, base_buf_view(&out), NULL) == BASE_OK);
    out.len = 0;
    size_t len = base_pkey_len(key);
    require(len <= key.len);
    if (len)
        require(base_pkey_decode(base_slice(key.data, len), &out, NULL) == BASE_OK);
    base_buf_fini(&out);
}

static void fuzz_text(const struct base_type *type, struct base_slice text)
{
    struct base_buf out;
    struct base_err err;
    enum base_operand operand;
    struct base_sql_value in = {.kind = BASE_SQL_TEXT, .bytes = text};
    base_buf_init(&out, 1 << 22);
    if (base_value_from_sql(type, &in, &out, &err) == BASE_OK) {
        require(base_value_validate(type, base_buf_view(&out), &err) == BASE_OK);
        fuzz_value(type, base_buf_view(&out));
    } else {
        require(out.len == 0);
    }
    out.len = 0;
    if (base_operand_from_sql(type, &in, &operand, &out, &err) == BASE_OK && out.len)
        require(base_value_validate(type, base_buf_view(&out), &err) == BASE_OK);
    out.len = 0;
    if (base_value_from_json(type, text, &out, &err) == BASE_OK)
        require(base_value_validate(type, base_buf_view(&out), &err) == BASE_OK);
    base_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_arena arena;
    if (size < 2)
        return 0;
    const uint8_t *line = memchr(data + 1, '\n', size - 1);
    struct base_slice name = base_slice(data + 1, line ? (size_t)(line - data) - 1 : size - 1);
    struct base_slice rest =
        line ? base_slice(line + 1, (size_t)(data + size - line) - 1) : (struct base_slice){0};
    base_arena_init(&arena);
    const struct base_type *type = parse(&arena, name);
    if (type && data[0] == 'v')
        fuzz_value(type, rest);
    else if (type && (data[0] == 'k' || data[0] == 'd'))
        fuzz_key(type, rest, data[0] == 'd');
    else if (type)
        fuzz_text(type, rest);
    base_arena_fini(&arena);
    return 0;
}
