/* Certificates of a test (certs.h), made with GnuTLS. */
#include "tests/unit/net/certs.h"

#include <arpa/inet.h>
#include <check.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void must(int code)
{
    ck_assert_msg(code >= 0, "%s", gnutls_strerror(code));
}

static void save(const char *dir, const char *name, const char *ending, const gnutls_datum_t *pem)
{
    char path[400], fresh[420];
    snprintf(path, sizeof path, "%s/%s.%s", dir, name, ending);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(pem->data, 1, pem->size, file), pem->size);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(rename(fresh, path), 0);
}

static void load(const char *dir, const char *name, const char *ending, gnutls_datum_t *pem)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s.%s", dir, name, ending);
    must(gnutls_load_file(path, pem));
}

static void load_ca(const char *dir, const char *ca, gnutls_x509_crt_t *crt,
                    gnutls_x509_privkey_t *key)
{
    gnutls_datum_t pem;
    must(gnutls_x509_crt_init(crt));
    must(gnutls_x509_privkey_init(key));
    load(dir, ca, "pem", &pem);
    must(gnutls_x509_crt_import(*crt, &pem, GNUTLS_X509_FMT_PEM));
    gnutls_free(pem.data);
    load(dir, ca, "key", &pem);
    must(gnutls_x509_privkey_import(*key, &pem, GNUTLS_X509_FMT_PEM));
    gnutls_free(pem.data);
}

void certs_make(const char *dir, const char *name, const char *ca)
{
    static unsigned char serial = 1;
    gnutls_x509_privkey_t key, issuer_key;
    gnutls_x509_crt_t crt, issuer;
    gnutls_datum_t pem;
    struct in_addr address = {.s_addr = htonl(INADDR_LOOPBACK)};
    must(gnutls_x509_privkey_init(&key));
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    must(gnutls_x509_crt_init(&crt));
    must(gnutls_x509_crt_set_version(crt, 3));
    must(gnutls_x509_crt_set_serial(crt, &serial, 1));
    serial++;
    must(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                       (unsigned)strlen(name)));
    must(gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600));
    must(gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400));
    must(gnutls_x509_crt_set_key(crt, key));
    must(gnutls_x509_crt_set_basic_constraints(crt, ca == NULL, -1));
    must(gnutls_x509_crt_set_key_usage(crt, ca ? GNUTLS_KEY_DIGITAL_SIGNATURE
                                               : GNUTLS_KEY_KEY_CERT_SIGN));
    if (ca) {
        must(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, &address,
                                                  sizeof address, GNUTLS_FSAN_SET));
        load_ca(dir, ca, &issuer, &issuer_key);
        must(gnutls_x509_crt_sign2(crt, issuer, issuer_key, GNUTLS_DIG_SHA256, 0));
        gnutls_x509_crt_deinit(issuer);
        gnutls_x509_privkey_deinit(issuer_key);
    } else {
        must(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0));
    }
    must(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem));
    save(dir, name, "key", &pem);
    gnutls_free(pem.data);
    must(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem));
    save(dir, name, "pem", &pem);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}
