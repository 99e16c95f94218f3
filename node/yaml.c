/* Configuration files: one YAML mapping of option names to values, read with libyaml's events.
 * Groups of options, as cassandra.yaml's server_encryption_options and seed_provider, are flattened
 * to dotted names. */
#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#include "node/node_private.h"

enum { DEPTH_MAX = 4 };

struct file {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    const char *path;
};

static int fail(const struct file *f, struct base_err *err, const char *what)
{
    return base_err_set(err, BASE_E_CONFIG, "%s line %zu: %s", f->path,
                        f->event.start_mark.line + 1, what);
}

static int next(struct file *f, struct base_err *err)
{
    if (f->has_event)
        yaml_event_delete(&f->event);
    f->has_event = false;
    if (!yaml_parser_parse(&f->parser, &f->event))
        return base_err_set(err, BASE_E_CONFIG, "%s line %zu: %s", f->path,
                            f->parser.problem_mark.line + 1,
                            f->parser.problem ? f->parser.problem : "cannot be read");
    f->has_event = true;
    return BASE_OK;
}

static const char *scalar(const struct file *f)
{
    const char *text = (const char *)f->event.data.scalar.value;
    return strlen(text) == f->event.data.scalar.length ? text : NULL; /* no NUL inside */
}

static int read_mapping(struct file *f, struct nodei_settings *settings, const char *prefix,
                        int depth, struct base_err *err);

/* The value of an option, standing on it. What is deeper is flattened: server_encryption_options:
 * {ca: X} sets server_encryption_options.ca, and the items of a list stand for their parent
 * (seed_provider). */
static int read_value(struct file *f, struct nodei_settings *settings, const char *name, int depth,
                      struct base_err *err)
{
    size_t line = f->event.start_mark.line + 1;
    int rc = BASE_OK;
    if (depth > DEPTH_MAX)
        return fail(f, err, "too deep");
    switch (f->event.type) {
    case YAML_SCALAR_EVENT:
        if (!scalar(f))
            return fail(f, err, "a value holds a NUL");
        rc = nodei_settings_set(settings, name, scalar(f), err);
        return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "%s line %zu", f->path, line);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(f, settings, name, depth + 1, err);
    case YAML_SEQUENCE_START_EVENT:
        for (;;) {
            rc = next(f, err);
            if (rc != BASE_OK || f->event.type == YAML_SEQUENCE_END_EVENT)
                return rc;
            if (f->event.type == YAML_SCALAR_EVENT) {
                char text[256];
                snprintf(text, sizeof text, "option \"%s\" takes one plain value", name);
                return fail(f, err, text);
            }
            rc = read_value(f, settings, name, depth + 1, err);
            if (rc != BASE_OK)
                return rc;
        }
    default:
        return fail(f, err, "expected a plain value");
    }
}

/* Pairs up to the mapping's end; `prefix` is empty at the top. */
static int read_mapping(struct file *f, struct nodei_settings *settings, const char *prefix,
                        int depth, struct base_err *err)
{
    for (;;) {
        char name[192];
        int rc = next(f, err);
        if (rc != BASE_OK || f->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        if (f->event.type != YAML_SCALAR_EVENT || !scalar(f))
            return fail(f, err, "expected the name of an option");
        snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] ? "." : "", scalar(f));
        rc = next(f, err);
        if (rc == BASE_OK)
            rc = read_value(f, settings, name, depth, err);
        if (rc != BASE_OK)
            return rc;
    }
}

static int read_document(struct file *f, struct nodei_settings *settings, struct base_err *err)
{
    int rc = next(f, err); /* stream start */
    if (rc == BASE_OK)
        rc = next(f, err);
    if (rc != BASE_OK || f->event.type == YAML_STREAM_END_EVENT) /* nothing but comments */
        return rc;
    rc = next(f, err);
    if (rc != BASE_OK)
        return rc;
    if (f->event.type == YAML_SCALAR_EVENT && f->event.data.scalar.length == 0) /* "---" alone */
        return BASE_OK;
    if (f->event.type != YAML_MAPPING_START_EVENT)
        return fail(f, err, "expected lines of the form \"option: value\"");
    return read_mapping(f, settings, "", 0, err);
}

int nodei_settings_load(struct nodei_settings *settings, const char *path, struct base_err *err)
{
    struct file f = {.path = path};
    FILE *in = fopen(path, "re");
    if (!in) {
        char text[128];
        int errnum = errno;
        return base_err_set(err, base_err_from_errno(errnum), "read %s: %s", path,
                            strerror_r(errnum, text, sizeof text));
    }
    int rc;
    if (!yaml_parser_initialize(&f.parser)) {
        rc = base_err_set(err, BASE_E_NOMEM, "read %s: out of memory", path);
    } else {
        struct nodei_settings read = *settings;
        yaml_parser_set_input_file(&f.parser, in);
        rc = read_document(&f, &read, err);
        if (rc == BASE_OK)
            *settings = read;
        if (f.has_event)
            yaml_event_delete(&f.event);
        yaml_parser_delete(&f.parser);
    }
    fclose(in);
    return rc;
}
