/* Certificates of a test: DIR/NAME.pem and DIR/NAME.key. */
#ifndef TESTS_NET_CERTS_H
#define TESTS_NET_CERTS_H

/* A certificate for 127.0.0.1, by `ca` (a name made before), or by itself when `ca` is NULL: then
 * it may issue others. */
void certs_make(const char *dir, const char *name, const char *ca);

#endif
