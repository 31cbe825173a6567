//! What somebody probably meant who misspelt a name.

/// How alike two names have to be, from 0 (not at all) to 1 (the same).
const ALIKE: f64 = 0.8;

/// The known name that is closest to what was written, where one is close.
pub(super) fn closest(written: &str, known: &[String]) -> Option<String> {
    let rated = known
        .iter()
        .map(|name| (strsim::jaro_winkler(last(written), last(name)), name));
    let best = rated.max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (best.0 >= ALIKE).then(|| best.1.clone())
}

/// The part of a path that can be misspelt: what stands before it is right.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close_is_suggested() {
        let known = ["server.listen", "server.max_headers", "server.idle_timeout"];
        let known = known.map(str::to_owned);
        for (written, want) in [
            ("server.lissten", Some("server.listen")),
            ("server.max_header", Some("server.max_headers")),
            ("server.idle-timeout", Some("server.idle_timeout")),
            ("server.colour", None),
            ("server.server", None),
        ] {
            assert_eq!(closest(written, &known).as_deref(), want, "{written}");
        }
    }
}
