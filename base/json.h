/* JSON: the one reader and writer of the project. Numbers keep every digit: they are handed out as
 * their text.
 *
 * The reader is a pull parser over untrusted bytes: no recursion, no allocation, nesting up to
 * BASE_JSON_DEPTH_MAX. It accepts RFC 8259 and nothing else; text must be valid UTF-8. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/bytes.h"

#define BASE_JSON_DEPTH_MAX 64

enum base_json_kind {
    BASE_JSON_END, /* the document is over */
    BASE_JSON_OBJECT,
    BASE_JSON_OBJECT_END,
    BASE_JSON_ARRAY,
    BASE_JSON_ARRAY_END,
    BASE_JSON_KEY, /* a member's name; its value follows */
    BASE_JSON_STRING,
    BASE_JSON_NUMBER,
    BASE_JSON_TRUE,
    BASE_JSON_FALSE,
    BASE_JSON_NULL,
};

struct base_json_token {
    enum base_json_kind kind;
    /* KEY, STRING: between the quotes, still escaped; NUMBER: as written; of the rest: the token's
     * bytes */
    struct base_slice text;
    bool escaped; /* KEY, STRING: has a backslash (base_json_unescape) */
};

struct base_json_reader {
    const uint8_t *start, *p, *end;
    uint64_t in_object; /* a bit a level */
    int depth;
    int expect; /* private: what may come next */
};
void base_json_begin(struct base_json_reader *r, struct base_slice json);
/* SYNTAX names the byte offset and what was expected; the reader must not be used afterwards. */
BASE_MUST int base_json_next(struct base_json_reader *r, struct base_json_token *token,
                             struct base_err *err);
/* Skip the value that `token` (just read) begins; of a scalar nothing is skipped. */
BASE_MUST int base_json_skip(struct base_json_reader *r, const struct base_json_token *token,
                             struct base_err *err);
/* The bytes of the whole value that `token` (just read) begins; advances past it. */
BASE_MUST int base_json_value(struct base_json_reader *r, const struct base_json_token *token,
                              struct base_slice *value, struct base_err *err);
/* Append a KEY's or STRING's text with its escapes resolved. */
BASE_MUST int base_json_unescape(const struct base_json_token *token, struct base_buf *out);
/* Append the string member `key` of the object `json`. NOTFOUND when there is none. */
BASE_MUST int base_json_get_string(struct base_slice json, const char *key, struct base_buf *out);

/* The members of an object, or the elements of an array, one after the other. */
struct base_json_walk {
    struct base_json_reader reader;
    struct base_json_token key;   /* of an object's member */
    struct base_json_token first; /* the value's first token: its kind; of a scalar, all of it */
    struct base_slice value;      /* the whole value's bytes */
    bool inside;
};
void base_json_walk_begin(struct base_json_walk *walk, struct base_slice json);
/* The next one; *more false at the end. INVALID: the value is neither object nor array. */
BASE_MUST int base_json_walk_next(struct base_json_walk *walk, bool *more, struct base_err *err);

/* The value of an object's member; empty when there is none, or no valid object. */
struct base_slice base_json_member(struct base_slice json, const char *key);

/* Append a string with quotes and escapes. Bytes that are not UTF-8 become U+FFFD. */
BASE_MUST int base_json_put_string(struct base_buf *out, struct base_slice text);

/* The writer puts commas and checks nesting. Errors stick: look at base_json_finish. */
struct base_json_writer {
    struct base_buf *out;
    uint64_t has_member; /* a bit a level: a comma is due */
    int depth;
    bool after_key;
    int rc;
};
void base_json_writer_init(struct base_json_writer *w, struct base_buf *out);
void base_json_open_object(struct base_json_writer *w);
void base_json_close_object(struct base_json_writer *w);
void base_json_open_array(struct base_json_writer *w);
void base_json_close_array(struct base_json_writer *w);
void base_json_key(struct base_json_writer *w, const char *key);
void base_json_key_slice(struct base_json_writer *w, struct base_slice key);
void base_json_string(struct base_json_writer *w, struct base_slice text);
void base_json_str(struct base_json_writer *w, const char *text);
void base_json_i64(struct base_json_writer *w, int64_t value);
void base_json_u64(struct base_json_writer *w, uint64_t value);
/* shortest that reads back; NaN and infinities as null */
void base_json_double(struct base_json_writer *w, double value);
void base_json_bool(struct base_json_writer *w, bool value);
void base_json_null(struct base_json_writer *w);
void base_json_raw(struct base_json_writer *w, struct base_slice json); /* one whole value */
/* the first error, or 0; everything must be closed */
BASE_MUST int base_json_finish(struct base_json_writer *w);

/* Valid UTF-8 (no overlong forms, no surrogates)? */
bool base_utf8_valid(struct base_slice text);

#endif
