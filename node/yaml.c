/* Configuration files: one YAML mapping of option names to plain values, read with libyaml's
 * events.
 *
 * What is deeper than that (cassandra.yaml's seed_provider and the like) is refused with its line.
 */
#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#include "node/node_private.h"

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

/* One "name: value", standing on the name. */
static int read_pair(struct file *f, struct nodei_settings *settings, struct base_err *err)
{
    char name[64];
    if (f->event.type != YAML_SCALAR_EVENT || !scalar(f))
        return fail(f, err, "expected the name of an option");
    size_t line = f->event.start_mark.line + 1;
    snprintf(name, sizeof name, "%s", scalar(f));
    int rc = next(f, err);
    if (rc != BASE_OK)
        return rc;
    if (f->event.type != YAML_SCALAR_EVENT || !scalar(f)) {
        char text[128];
        snprintf(text, sizeof text, "option \"%s\" takes one plain value", name);
        return fail(f, err, text);
    }
    rc = nodei_settings_set(settings, name, scalar(f), err);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "%s line %zu", f->path, line);
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
    for (;;) {
        rc = next(f, err);
        if (rc != BASE_OK || f->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        rc = read_pair(f, settings, err);
        if (rc != BASE_OK)
            return rc;
    }
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
