//! Where values come from, and what is refused.

use std::collections::BTreeSet;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

fn with_file(text: &str) -> (tempfile::TempDir, Flags) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wharf.toml");
    std::fs::write(&path, text).expect("written");
    (
        folder,
        Flags {
            config: Some(path),
            ..Flags::default()
        },
    )
}

fn failure(text: &str, pairs: &[(&str, &str)]) -> String {
    let (_folder, flags) = with_file(text);
    let error = Config::load(&flags, variables(pairs)).expect_err("this makes no sense");
    error.to_string()
}

#[test]
fn without_any_source_the_defaults_hold() {
    let config = Config::load(&Flags::default(), []).expect("the defaults make sense");
    assert_eq!(config, Config::default());
    assert!(config.server.listen.ip().is_loopback());
}

#[test]
fn flags_win_over_variables_and_these_over_the_file() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\nmax_headers = 50\n[storage]\ndata = \"file\"";
    let (_folder, mut flags) = with_file(text);
    let set = variables(&[
        ("WHARF__SERVER__LISTEN", "127.0.0.1:2"),
        ("WHARF__STORAGE__DATA", "variable"),
        ("WHARF__UPLOADS__EXPIRE_AFTER", "2h"),
        ("WHARF__REGISTRY__CREATE_ON_PUSH", "false"),
        ("PATH", "/bin"),
    ]);
    flags.data = Some("flag".into());
    let config = Config::load(&flags, set).expect("it makes sense");
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.max_headers, 50);
    assert_eq!(config.storage.data, Path::new("flag"));
    assert_eq!(config.uploads.expire_after.duration().as_secs(), 7200);
    assert!(!config.registry.create_on_push);
}

#[test]
fn a_key_that_nobody_knows_is_named_with_what_was_meant() {
    for (text, pairs, want) in [
        (
            "[server]\nlissten = \"127.0.0.1:1\"",
            &[][..],
            "server.lissten is unknown; did you mean server.listen?",
        ),
        (
            "[sever]\nlisten = \"127.0.0.1:1\"",
            &[],
            "sever is unknown; did you mean server?",
        ),
        (
            "[log]\ncolour = true",
            &[],
            "log.colour is unknown; known are log.format, log.level",
        ),
        (
            "listen = \"127.0.0.1:1\"",
            &[],
            "listen is unknown; known are audit, auth, database, ecr, events, gc, lifecycle, log, metrics, outbound, registry, s3, scrub, server, \
             storage, tls, uploads",
        ),
        (
            "",
            &[("WHARF__LOG__LEVELS", "info")],
            "log.levels is unknown; did you mean log.level?",
        ),
        (
            "",
            &[("WHARF__LISTEN", "x")],
            "the variable WHARF__LISTEN does not read WHARF__SECTION__KEY",
        ),
    ] {
        assert_eq!(failure(text, pairs), want);
    }
}

#[test]
fn variables_are_read_as_the_type_that_the_key_has() {
    let set = variables(&[
        ("WHARF__STORAGE__DATA", "123"),
        ("WHARF__SERVER__MAX_HEADERS", " 1_00 "),
        ("WHARF__LOG__FORMAT", "json"),
        ("WHARF__METRICS__ENABLED", "false"),
    ]);
    let config = Config::load(&Flags::default(), set).expect("it makes sense");
    assert_eq!(config.storage.data, Path::new("123"));
    assert_eq!(config.server.max_headers, 100);
    assert_eq!(config.log.format, LogFormat::Json);
    assert!(!config.metrics.enabled);
    let message = failure("", &[("WHARF__METRICS__ENABLED", "yes")]);
    let key = "metrics.enabled (from WHARF__METRICS__ENABLED): ";
    assert!(message.starts_with(key), "{message}");
}

#[test]
fn a_value_that_is_not_understood_is_told_with_its_key() {
    for (text, path) in [
        ("[server]\nlisten = \"nowhere\"", "server.listen"),
        ("[uploads]\nexpire_after = 5", "uploads.expire_after"),
        (
            "[registry]\nmanifest_limit = \"8\"",
            "registry.manifest_limit",
        ),
        (
            "[registry]\nmissing_content = \"maybe\"",
            "registry.missing_content",
        ),
        ("[log]\nlevel = \"=,=\"", "log.level"),
    ] {
        let message = failure(text, &[]);
        assert!(message.contains(path), "{message}");
    }
}

#[test]
fn an_open_server_is_refused_on_an_address_that_others_reach() {
    let message = failure("[server]\nlisten = \"0.0.0.0:5000\"", &[]);
    assert!(message.contains("server.allow_anonymous"), "{message}");
    let (_folder, flags) = with_file("[server]\nlisten = \"0.0.0.0:5000\"\nallow_anonymous = true");
    Config::load(&flags, []).expect("it was asked for");
}

#[test]
fn every_fault_is_told_at_once() {
    let message = failure(
        "[server]\nlisten = \"0.0.0.0:1\"\nmax_connections = 0\nidle_timeout = \"0s\"",
        &[],
    );
    for key in ["allow_anonymous", "max_connections", "idle_timeout"] {
        assert!(message.contains(key), "{message}");
    }
    let message = failure(
        "[server]\nlisten = 5\nidle = \"2m\"\n[log]\nformat = \"xml\"",
        &[("WHARF__UPLOADS__EXPIRE_AFTER", "soon")],
    );
    let keys = [
        "server.listen",
        "server.idle ",
        "log.format",
        "EXPIRE_AFTER",
    ];
    assert!(keys.iter().all(|key| message.contains(key)), "{message}");
    assert_eq!(message.lines().count(), keys.len());
}

#[test]
fn spans_that_break_a_promise_or_make_dead_tokens_are_refused() {
    let message = failure(
        "[auth]\nrefresh_every = \"1h\"\nsession_lifetime = \"0s\"\nlogin_lifetime = \"0s\"\n\
         refresh_lifetime = \"10ms\"\n[audit]\nkeep = \"0s\"",
        &[],
    );
    let keys = [
        "auth.refresh_every is too long: at most 4s",
        "auth.refresh_lifetime is too small",
        "auth.login_lifetime is too small",
        "auth.session_lifetime is too small",
        "audit.keep is too small",
    ];
    assert!(keys.iter().all(|key| message.contains(key)), "{message}");
    assert_eq!(message.lines().count(), keys.len(), "{message}");
}

#[test]
fn a_secret_is_printed_nowhere() {
    let text = "[s3]\nbucket = \"bucket\"\naccess_key_id = \"a\"\nsecret_access_key = \"canary-1\"";
    let (_folder, flags) = with_file(text);
    let config = Config::load(&flags, []).expect("it makes sense");
    assert_eq!(config.s3.secret_access_key.reveal(), "canary-1");
    let printed = toml::to_string(&config).expect("a TOML form");
    let shown = format!("{printed} {config:?}");
    assert!(!shown.contains("canary"), "{shown}");
    let message = failure(&printed, &[]);
    assert!(message.contains("s3.secret_access_key"), "{message}");
    let message = failure("[s3]\nsecret_access_key = 424242", &[]);
    assert!(!message.contains("424242"), "{message}");
}

#[test]
fn a_bucket_has_to_make_sense() {
    for (text, key) in [
        ("bucket = \"UPPER\"", "s3.bucket"),
        ("bucket = \"ab\"", "s3.bucket"),
        ("endpoint = \"store:9000\"", "s3.endpoint"),
        ("prefix = \"/a\"", "s3.prefix"),
        ("prefix = \"a/../b\"", "s3.prefix"),
        ("access_key_id = \"a\"", "s3.secret_access_key"),
        ("part_size = \"4MiB\"", "s3.part_size"),
        ("timeout = \"0s\"", "s3.timeout"),
        ("redirect_lifetime = \"8days\"", "s3.redirect_lifetime"),
    ] {
        let message = failure(&format!("[s3]\n{text}"), &[]);
        assert!(message.contains(key), "{message}");
    }
}

#[test]
fn what_a_file_is_missing_is_told_with_its_path() {
    let flags = Flags {
        config: Some("/nowhere/wharf.toml".into()),
        ..Flags::default()
    };
    let error = Config::load(&flags, []).expect_err("there is no such file");
    assert_eq!(error.to_string(), "failed to read /nowhere/wharf.toml");
    assert!(failure("\n[server", &[]).ends_with("wharf.toml, line 2: not TOML"));
}

#[test]
fn what_is_written_reads_back() {
    let text = toml::to_string(&Config::default()).expect("a configuration has a TOML form");
    let (_folder, flags) = with_file(&text);
    assert_eq!(
        Config::load(&flags, []).expect("it makes sense"),
        Config::default()
    );
}

#[test]
fn the_table_in_the_readme_has_every_key_with_its_default() {
    let readme = include_str!("../../README.md");
    let documented: BTreeSet<(String, String)> = readme
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let key = cells.next()?.strip_suffix('`')?;
            let default = cells.next()?.trim_matches('`');
            key.contains('.')
                .then(|| (key.to_owned(), default.to_owned()))
        })
        .collect();
    let defaults = toml::Table::try_from(Config::default()).expect("a TOML form");
    let mut known = BTreeSet::new();
    for (section, keys) in &defaults {
        for (key, value) in keys.as_table().expect("a section") {
            known.insert((format!("{section}.{key}"), value.to_string()));
        }
    }
    assert_eq!(documented, known);
}
