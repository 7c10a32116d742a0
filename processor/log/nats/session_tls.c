// SPDX-License-Identifier: Apache-2.0
// TLS below a connection, by OpenSSL on a socket that doesn't block. The server's certificate must be signed by the
// given CA (else by one that the system trusts) and name the host that was dialed. See session.h.
#include "processor/log/nats/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/socket.h>

// A socket BIO that never raises SIGPIPE, which OpenSSL's own does.
static int bio_write(BIO *bio, const char *bytes, int len) {
    const struct br_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t sent = send(session->fd, bytes, (size_t)len, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)sent;
}

static int bio_read(BIO *bio, char *bytes, int len) {
    const struct br_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got = recv(session->fd, bytes, (size_t)len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    return (int)got;
}

static long bio_control(BIO *bio, int command, long number, void *ptr) {
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method; // made once, kept for the life of the process

static void create_bio_method(void) {
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "braid socket");
    BR_CHECK(bio_method != NULL && BIO_meth_set_write(bio_method, bio_write) &&
             BIO_meth_set_read(bio_method, bio_read) && BIO_meth_set_ctrl(bio_method, bio_control));
}

static BIO *create_bio(struct br_session *session) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, create_bio_method);
    BIO *bio = BIO_new(bio_method);
    BR_CHECK(bio != NULL);
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    return bio;
}

static const char *tls_reason(void) {
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    ERR_clear_error();
    return reason == NULL ? "the connection ended" : reason;
}

static enum br_status create_context(struct br_session_config *config, struct br_error *error) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    BR_CHECK(context != NULL);
    enum br_status status = BR_OK;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (config->tls_ca_path == NULL)
        SSL_CTX_set_default_verify_paths(context);
    else if (SSL_CTX_load_verify_locations(context, config->tls_ca_path, NULL) != 1)
        status = br_error_set(error, BR_FATAL, "can't use %s as TLS CA file: %s", config->tls_ca_path, tls_reason());
    if (status == BR_OK && config->tls_cert_path != NULL) {
        if (SSL_CTX_use_certificate_chain_file(context, config->tls_cert_path) != 1)
            status = br_error_set(error, BR_FATAL, "can't use %s as TLS client certificate: %s", config->tls_cert_path,
                                  tls_reason());
        else if (X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(context))) < 0)
            status = br_error_set(error, BR_FATAL, "the TLS client certificate %s has expired: renew it",
                                  config->tls_cert_path);
        else if (SSL_CTX_use_PrivateKey_file(context, config->tls_key_path, SSL_FILETYPE_PEM) != 1)
            status = br_error_set(error, BR_FATAL, "can't use %s as the key of the TLS client certificate: %s",
                                  config->tls_key_path, tls_reason());
    }
    if (status == BR_OK)
        config->tls_context = context;
    else
        SSL_CTX_free(context);
    return status;
}

enum br_status br_session_tls_start(struct br_session *session, struct br_error *error) {
    if (session->config->tls_context == NULL)
        BR_TRY(create_context(session->config, error));
    SSL *ssl = SSL_new(session->config->tls_context);
    BR_CHECK(ssl != NULL);
    const struct br_session_server *server = &session->config->servers[session->server_index];
    const char *host = server->host;
    unsigned char address[16];
    if (server->name != NULL)
        SSL_set_tlsext_host_name(ssl, server->name); // looked at in the end: is_named
    else if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    } else {
        SSL_set1_host(ssl, host);
        SSL_set_tlsext_host_name(ssl, host);
    }
    BIO *bio = create_bio(session);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_connect_state(ssl);
    session->tls = ssl;
    return BR_OK;
}

// Of a server that another told of by its address: the name that the cluster is dialed by will do, and the address too.
static bool is_named(const struct br_session *session) {
    const struct br_session_server *server = &session->config->servers[session->server_index];
    if (server->name == NULL)
        return true;
    X509 *certificate = SSL_get1_peer_certificate(session->tls);
    bool named = certificate != NULL && (X509_check_host(certificate, server->name, 0, 0, NULL) == 1 ||
                                         X509_check_ip_asc(certificate, server->host, 0) == 1);
    X509_free(certificate);
    return named;
}

// Why we don't trust the server's certificate, and what to do.
static void tell_distrust(const struct br_session *session, long why, struct br_error *error) {
    char text[300];
    br_session_server_text(session, text, sizeof text);
    switch (why) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        br_error_set(error, BR_FATAL,
                     "the TLS certificate of %s has expired: renew it on the server (or this machine's clock is wrong)",
                     text);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        br_error_set(error, BR_FATAL,
                     "the TLS certificate of %s isn't valid yet: is this machine's clock right, or the server's?",
                     text);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        br_error_set(error, BR_FATAL,
                     "the TLS certificate of %s is not trusted: it is for another host. Dial the server by a name that "
                     "the certificate has, or give the server one that names this host",
                     text);
        break;
    default:
        br_error_set(error, BR_FATAL,
                     "the TLS certificate of %s is not trusted: %s; name its authority's certificates by --tlsca", text,
                     X509_verify_cert_error_string(why));
    }
}

// Has the server refused our certificate, or missed one? It says so by an alert, in TLS 1.3 after the handshake.
static bool tell_refusal(const struct br_session *session, struct br_error *error) {
    const char *given = session->config->tls_cert_path;
    char text[300];
    int reason = ERR_GET_REASON(ERR_peek_last_error());
    bool about_certificate =
        reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED || reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
        reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED || reason == SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN ||
        reason == SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE || reason == SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED ||
        reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA;
    if (!about_certificate)
        return false;
    br_session_server_text(session, text, sizeof text);
    if (given == NULL)
        br_error_set(error, BR_FATAL, "%s wants a client certificate: name one by --tlscert, with its key by --tlskey",
                     text);
    else
        br_error_set(error, BR_FATAL,
                     "%s refuses the client certificate %s (%s): give one that its authority has signed and that "
                     "hasn't expired",
                     text, given, tls_reason());
    return true;
}

int br_session_tls_handshake(struct br_session *session, short *ret_events, struct br_error *error) {
    ERR_clear_error();
    int done = SSL_do_handshake(session->tls);
    if (done == 1 && is_named(session))
        return 1;
    if (done == 1) {
        tell_distrust(session, X509_V_ERR_HOSTNAME_MISMATCH, error);
        return -1;
    }
    int why = SSL_get_error(session->tls, done);
    *ret_events = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return 0;
    long verify = SSL_get_verify_result(session->tls);
    if (verify != X509_V_OK)
        tell_distrust(session, verify, error);
    else if (!tell_refusal(session, error)) {
        char text[300];
        bool clear = session->config->tls_first && ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_WRONG_VERSION_NUMBER;
        br_error_set(error, clear ? BR_FATAL : BR_RETRY, "the TLS handshake with %s failed: %s%s",
                     br_session_server_text(session, text, sizeof text), tls_reason(),
                     clear ? "; a server that doesn't begin with TLS (handshake_first) is dialed without --tls-first"
                           : "");
    }
    return -1;
}

static ssize_t tls_result(struct br_session *session, int result) {
    if (result > 0)
        return result;
    int why = SSL_get_error(session->tls, result);
    if (why == SSL_ERROR_SSL && tell_refusal(session, &session->error))
        session->told_error = session->refused = true;
    ERR_clear_error();
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return -1;
}

ssize_t br_session_tls_recv(struct br_session *session, void *bytes, size_t len) {
    ERR_clear_error();
    return tls_result(session, SSL_read(session->tls, bytes, len > INT32_MAX ? INT32_MAX : (int)len));
}

ssize_t br_session_tls_send(struct br_session *session, const void *bytes, size_t len) {
    ERR_clear_error();
    return tls_result(session, SSL_write(session->tls, bytes, len > INT32_MAX ? INT32_MAX : (int)len));
}

void br_session_tls_end(struct br_session *session) {
    SSL_free(session->tls);
    session->tls = NULL;
}

void br_session_tls_free_context(struct br_session_config *config) {
    SSL_CTX_free(config->tls_context);
    config->tls_context = NULL;
}
