//! Makes the slashed name of a repository one segment of the path, so that the router's patterns
//! read like the specification's table.
//!
//! `/v2/a/b/c/manifests/v1` becomes `/v2/a%2Fb%2Fc/manifests/v1`. A name may itself hold words
//! like `blobs` or `tags`, so the path is matched from the right.

use http::Request;
use http::uri::{PathAndQuery, Uri};

/// Rewrites the path of a request; for a layer around the whole router.
pub fn fold<B>(mut request: Request<B>) -> Request<B> {
    if let Some(folded) = fold_path(request.uri().path()) {
        let query = request.uri().query();
        let text = match query {
            Some(query) => format!("{folded}?{query}"),
            None => folded,
        };
        // It only differs from a path that was parsed by `%2F` for some of its slashes, which may
        // make it longer than a path can be. No route takes such a one as it came.
        let Ok(path_and_query) = text.parse::<PathAndQuery>() else {
            return request;
        };
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(path_and_query);
        *request.uri_mut() = Uri::from_parts(parts).expect("only the path was replaced");
    }
    request
}

/// The path with its name folded; nothing where there is nothing to fold.
fn fold_path(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/v2/")?;
    let segments: Vec<&str> = rest.split('/').collect();
    let (name, tail) = split(&segments)?;
    if name.len() == 1 && tail != ["blobs", "uploads"] {
        return None;
    }
    let mut folded = format!("/v2/{}/{}", name.join("%2F"), tail.join("/"));
    if tail == ["blobs", "uploads"] {
        // The start of an upload, which some clients write without its slash.
        folded.push('/');
    }
    Some(folded)
}

/// Splits the segments behind `/v2/` into those of the name and those of the endpoint.
fn split<'a, 'b>(segments: &'a [&'b str]) -> Option<(&'a [&'b str], &'a [&'b str])> {
    let length = match segments {
        [.., "blobs", "uploads", _] => 3,
        [.., "blobs", "uploads"] | [.., "tags", "list"] => 2,
        [.., "manifests" | "blobs" | "referrers", _] => 2,
        _ => return None,
    };
    let (name, tail) = segments.split_at(segments.len() - length);
    (!name.is_empty()).then_some((name, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_segment_from_the_right() {
        for (path, want) in [
            ("/v2/a/b/manifests/v1", Some("/v2/a%2Fb/manifests/v1")),
            ("/v2/a/b/c/tags/list", Some("/v2/a%2Fb%2Fc/tags/list")),
            ("/v2/a/b/blobs/sha256:0", Some("/v2/a%2Fb/blobs/sha256:0")),
            ("/v2/a/b/blobs/uploads/", Some("/v2/a%2Fb/blobs/uploads/")),
            ("/v2/a/b/blobs/uploads", Some("/v2/a%2Fb/blobs/uploads/")),
            ("/v2/a/blobs/uploads", Some("/v2/a/blobs/uploads/")),
            ("/v2/a/b/blobs/uploads/1", Some("/v2/a%2Fb/blobs/uploads/1")),
            (
                "/v2/a/b/referrers/sha256:0",
                Some("/v2/a%2Fb/referrers/sha256:0"),
            ),
            (
                "/v2/blobs/uploads/tags/list",
                Some("/v2/blobs%2Fuploads/tags/list"),
            ),
            (
                "/v2/tags/list/manifests/v1",
                Some("/v2/tags%2Flist/manifests/v1"),
            ),
            ("/v2/a//b/manifests/v1", Some("/v2/a%2F%2Fb/manifests/v1")),
            ("/v2/a%2Fb/manifests/v1", None),
            ("/v2/a/manifests/v1", None),
            ("/v2/manifests/v1", None),
            ("/v2/", None),
            ("/v2/_catalog", None),
            ("/healthz", None),
        ] {
            assert_eq!(fold_path(path).as_deref(), want, "{path}");
        }
    }

    #[test]
    fn a_path_that_would_become_too_long_stays() {
        let path = format!("/v2/{}manifests/x", "a/".repeat(22_000));
        let request = Request::get(&path).body(()).expect("a request");
        assert_eq!(fold(request).uri().path(), path);
    }

    #[test]
    fn the_query_stays() {
        let request = Request::get("http://host/v2/a/b/tags/list?n=1&last=x%2Fy").body(());
        let folded = fold(request.expect("a request"));
        assert_eq!(
            folded.uri(),
            "http://host/v2/a%2Fb/tags/list?n=1&last=x%2Fy"
        );
    }
}
