//! The connection options of libpq: their keywords and environment variables.

/// A connection option of libpq.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) keyword: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) secret: bool,
}

const fn plain(keyword: &'static str, variable: &'static str) -> Spec {
    Spec { keyword, variable: Some(variable), secret: false }
}

const fn bare(keyword: &'static str) -> Spec {
    Spec { keyword, variable: None, secret: false }
}

const fn secret(keyword: &'static str, variable: Option<&'static str>) -> Spec {
    Spec { keyword, variable, secret: true }
}

/// All options up to PostgreSQL 18, in the order of the output.
pub(super) const OPTIONS: &[Spec] = &[
    plain("host", "PGHOST"),
    plain("hostaddr", "PGHOSTADDR"),
    plain("port", "PGPORT"),
    plain("user", "PGUSER"),
    plain("dbname", "PGDATABASE"),
    secret("password", Some("PGPASSWORD")),
    plain("passfile", "PGPASSFILE"),
    plain("service", "PGSERVICE"),
    plain("servicefile", "PGSERVICEFILE"),
    plain("require_auth", "PGREQUIREAUTH"),
    plain("channel_binding", "PGCHANNELBINDING"),
    plain("connect_timeout", "PGCONNECT_TIMEOUT"),
    plain("client_encoding", "PGCLIENTENCODING"),
    plain("options", "PGOPTIONS"),
    plain("application_name", "PGAPPNAME"),
    bare("fallback_application_name"),
    bare("keepalives"),
    bare("keepalives_idle"),
    bare("keepalives_interval"),
    bare("keepalives_count"),
    bare("tcp_user_timeout"),
    plain("sslmode", "PGSSLMODE"),
    plain("sslnegotiation", "PGSSLNEGOTIATION"),
    plain("sslcompression", "PGSSLCOMPRESSION"),
    plain("sslcert", "PGSSLCERT"),
    plain("sslkey", "PGSSLKEY"),
    plain("sslcertmode", "PGSSLCERTMODE"),
    secret("sslpassword", None),
    plain("sslrootcert", "PGSSLROOTCERT"),
    plain("sslcrl", "PGSSLCRL"),
    plain("sslcrldir", "PGSSLCRLDIR"),
    plain("sslsni", "PGSSLSNI"),
    plain("requirepeer", "PGREQUIREPEER"),
    plain("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    plain("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    plain("min_protocol_version", "PGMINPROTOCOLVERSION"),
    plain("max_protocol_version", "PGMAXPROTOCOLVERSION"),
    plain("gssencmode", "PGGSSENCMODE"),
    plain("krbsrvname", "PGKRBSRVNAME"),
    plain("gsslib", "PGGSSLIB"),
    plain("gssdelegation", "PGGSSDELEGATION"),
    bare("replication"),
    plain("target_session_attrs", "PGTARGETSESSIONATTRS"),
    plain("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    secret("scram_client_key", None),
    secret("scram_server_key", None),
    bare("oauth_issuer"),
    bare("oauth_client_id"),
    secret("oauth_client_secret", None),
    bare("oauth_scope"),
    bare("sslkeylogfile"),
];

/// Returns true if libpq knows the option, in any case, and its value is a secret.
pub fn is_secret(keyword: &str) -> bool {
    OPTIONS.iter().any(|spec| spec.secret && spec.keyword.eq_ignore_ascii_case(keyword))
}

pub(super) fn find(keyword: &str) -> Option<&'static Spec> {
    OPTIONS.iter().find(|spec| spec.keyword == keyword)
}
