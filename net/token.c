/* The private-file token: what a program must know to change a node's state over HTTP. It proves
 * that the caller can read the data directory, which no web page can.
 *
 * Invariant: a token file is a regular file of this user that nobody else may read; anything else
 * is refused. */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_LEN_MAX = 4096, RANDOM_LEN = NET_TOKEN_BYTES };

static void base64url(const uint8_t in[RANDOM_LEN], char out[NET_TOKEN_LEN + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < NET_TOKEN_LEN; i++) {
        int bit = i * 6;
        unsigned pair =
            (unsigned)in[bit / 8] << 8 | (bit / 8 + 1 < RANDOM_LEN ? in[bit / 8 + 1] : 0u);
        out[i] = digits[pair >> (10 - bit % 8) & 63];
    }
    out[NET_TOKEN_LEN] = 0;
}

static int write_private(const char *path, const char *text, struct base_err *err)
{
    char temporary[PATH_LEN_MAX];
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t len = strlen(text);
    if (fd < 0)
        return base_err_set(err, base_err_from_errno(errno), "write %s: %s", path, strerror(errno));
    bool ok = fchmod(fd, 0600) == 0 && write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    int saved = errno;
    close(fd);
    if (ok && rename(temporary, path) == 0)
        return BASE_OK;
    saved = ok ? errno : saved;
    unlink(temporary);
    return base_err_set(err, base_err_from_errno(saved), "write %s: %s", path, strerror(saved));
}

/* A small private file's text, without the newline at its end. */
static int read_private(const char *path, char *text, size_t size, struct base_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return base_err_set(err, base_err_from_errno(errno), "read %s: %s", path, strerror(errno));
    ssize_t n = -1;
    int rc = BASE_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 ||
        (st.st_uid != geteuid() && geteuid() != 0))
        rc = base_err_set(
            err, BASE_E_UNAUTHORIZED,
            "%s must be a regular file of yours that nobody else can read: chmod 600 it", path);
    else if ((n = read(fd, text, size - 1)) < 0)
        rc = base_err_set(err, BASE_E_IO, "read %s: %s", path, strerror(errno));
    close(fd);
    if (rc != BASE_OK)
        n = 0;
    text[n] = 0;
    text[strcspn(text, "\r\n")] = 0;
    return rc;
}

int net_token_read(const char *path, char token[NET_TOKEN_LEN + 1], struct base_err *err)
{
    char text[256];
    token[0] = 0;
    int rc = read_private(path, text, sizeof text, err);
    if (rc != BASE_OK)
        return rc;
    if (strlen(text) != NET_TOKEN_LEN)
        return base_err_set(
            err, BASE_E_CORRUPT,
            "%s does not hold a token (%d characters); remove it and restart the node", path,
            NET_TOKEN_LEN);
    memcpy(token, text, NET_TOKEN_LEN + 1);
    return BASE_OK;
}

int net_secret_read(const char *path, uint8_t out[NET_SECRET_LEN_MAX], size_t *len,
                    struct base_err *err)
{
    char text[NET_SECRET_LEN_MAX + 64];
    *len = 0;
    int rc = read_private(path, text, sizeof text, err);
    size_t n = rc == BASE_OK ? strlen(text) : 0;
    for (size_t i = 0; i < n && rc == BASE_OK; i++)
        if ((unsigned char)text[i] < 0x20)
            rc = base_err_set(err, BASE_E_CONFIG, "%s: a secret is text: byte %zu is %#x", path, i,
                              (unsigned char)text[i]);
    if (rc == BASE_OK && (n < NET_SECRET_LEN_MIN || n > NET_SECRET_LEN_MAX))
        rc = base_err_set(
            err, BASE_E_CONFIG,
            "%s: a secret has %d to %d bytes (as of: head -c 32 /dev/urandom | base64)", path,
            NET_SECRET_LEN_MIN, NET_SECRET_LEN_MAX);
    if (rc == BASE_OK) {
        memcpy(out, text, n);
        *len = n;
    }
    explicit_bzero(text, sizeof text);
    return rc;
}

int net_token_open(const char *dir, struct base_random *random, char token[NET_TOKEN_LEN + 1],
                   struct base_err *err)
{
    char path[PATH_LEN_MAX];
    uint8_t bytes[RANDOM_LEN];
    token[0] = 0;
    if ((size_t)snprintf(path, sizeof path, "%s/token", dir) >= sizeof path)
        return base_err_set(err, BASE_E_LIMIT, "the directory name is too long: %.100s…", dir);
    int rc = net_token_read(path, token, err);
    if (rc != BASE_E_NOTFOUND)
        return rc;
    random->ops->fill(random, bytes, sizeof bytes);
    base64url(bytes, token);
    base_err_clear(err);
    rc = write_private(path, token, err);
    if (rc != BASE_OK)
        token[0] = 0;
    return rc;
}

int net_token_write(const char *path, const uint8_t bytes[NET_TOKEN_BYTES], struct base_err *err)
{
    char text[NET_TOKEN_LEN + 1];
    base64url(bytes, text);
    return write_private(path, text, err);
}

bool net_token_in_request(const struct net_http_request *request, const char *token)
{
    struct base_slice header = net_http_header(request, "Authorization");
    static const char scheme[] = "Bearer ";
    size_t prefix = sizeof scheme - 1;
    if (header.len != prefix + NET_TOKEN_LEN || memcmp(header.data, scheme, prefix) != 0)
        return false;
    unsigned differ = 0;
    for (size_t i = 0; i < NET_TOKEN_LEN; i++)
        differ |= (unsigned)(header.data[prefix + i] ^ (uint8_t)token[i]);
    return differ == 0;
}

/* Where the tokens of this user's nodes are. */

static int record_path(const char *host, uint16_t port, bool make, char path[PATH_LEN_MAX],
                       struct base_err *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (state && state[0] == '/')
        n = snprintf(path, PATH_LEN_MAX, "%s", state);
    else if (home && home[0] == '/')
        n = snprintf(path, PATH_LEN_MAX, "%s/.local/state", home);
    else
        return base_err_set(
            err, BASE_E_NOTFOUND,
            "neither XDG_STATE_HOME nor HOME is set: name the token with --secret-file");
    if (n < 0 || n > PATH_LEN_MAX - 200)
        return base_err_set(err, BASE_E_LIMIT, "the state directory's name is too long");
    size_t root = (size_t)n;
    snprintf(path + root, PATH_LEN_MAX - root, "/ringlet/nodes");
    for (char *slash = path + 1; make && *slash; slash++) {
        if (*slash == '/') {
            *slash = 0;
            mkdir(path, 0700);
            *slash = '/';
        }
    }
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
        return base_err_set(err, base_err_from_errno(errno), "make %s: %s", path, strerror(errno));
    size_t used = strlen(path);
    snprintf(path + used, PATH_LEN_MAX - used, "/%s:%u", host, port);
    return BASE_OK;
}

int net_token_announce(const char *host, uint16_t port, const char *dir, struct base_err *err)
{
    char path[PATH_LEN_MAX], real[PATH_LEN_MAX], text[PATH_LEN_MAX + 16];
    int rc = record_path(host, port, true, path, err);
    if (rc != BASE_OK)
        return rc;
    if (!realpath(dir, real))
        return base_err_set(err, base_err_from_errno(errno), "%s: %s", dir, strerror(errno));
    snprintf(text, sizeof text, "%s/token", real);
    return write_private(path, text, err);
}

int net_token_find(const char *host, uint16_t port, char token[NET_TOKEN_LEN + 1],
                   struct base_err *err)
{
    char path[PATH_LEN_MAX], file[PATH_LEN_MAX];
    token[0] = 0;
    int rc = record_path(host, port, false, path, err);
    if (rc == BASE_OK)
        rc = read_private(path, file, sizeof file, err);
    if (rc == BASE_OK)
        rc = net_token_read(file, token, err);
    if (rc == BASE_E_NOTFOUND)
        return base_err_set(
            err, rc,
            "no token is known for %s:%u: is its node running as this user? Else name the file: "
            "--secret-file, or ringlet_connect(URL, 'secret_file=PATH')",
            host, port);
    return rc;
}

void net_token_withdraw(const char *host, uint16_t port)
{
    char path[PATH_LEN_MAX];
    if (record_path(host, port, false, path, NULL) == BASE_OK)
        unlink(path);
}
