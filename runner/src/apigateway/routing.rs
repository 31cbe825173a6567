//! Which route a request takes: the most specific one, as a pure function.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>

use std::collections::BTreeMap;

/// A route that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) key: &'a str,
    pub(super) parameters: BTreeMap<String, String>,
}

/// Whether a text is a route's key.
pub(super) fn is_key(key: &str) -> bool {
    if key == "$default" {
        return true;
    }
    let Some((method, path)) = key.split_once(' ') else {
        return false;
    };
    let known = [
        "ANY", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE",
    ];
    let segments: Vec<&str> = path.split('/').collect();
    // Only the last one takes more than a segment.
    let greedy = segments.iter().position(|segment| segment.ends_with("+}"));
    known.contains(&method)
        && path.starts_with('/')
        && greedy.is_none_or(|place| place + 1 == segments.len())
}

/// The route of a request among these keys.
pub(super) fn find<'a>(
    keys: impl Iterator<Item = &'a str>,
    method: &str,
    path: &str,
) -> Option<Found<'a>> {
    let mut best: Option<(Vec<u8>, Found<'a>)> = None;
    for key in keys {
        let Some((rank, parameters)) = matched(key, method, path) else {
            continue;
        };
        if best.as_ref().is_none_or(|(known, _)| rank < *known) {
            best = Some((rank, Found { key, parameters }));
        }
    }
    best.map(|(_, found)| found)
}

/// Looks for a route among a key and the default one. A request always finds that.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(key: &str, method: &str, path: &str) {
    if !is_key(key) {
        return;
    }
    let found = find([key, "$default"].into_iter(), method, path);
    let found = found.expect("the default route takes everything");
    let values = found.parameters.values();
    assert!(
        values
            .into_iter()
            .all(|value| path.contains(value.as_str())),
        "{key} {path}"
    );
}

/// How special a key is for a request, the least first; nothing where it doesn't fit.
fn matched(key: &str, method: &str, path: &str) -> Option<(Vec<u8>, BTreeMap<String, String>)> {
    if key == "$default" {
        return Some((vec![9], BTreeMap::new()));
    }
    let (wanted, pattern) = key.split_once(' ')?;
    (wanted == "ANY" || wanted == method).then_some(())?;
    let (mut rank, mut parameters) = (Vec::new(), BTreeMap::new());
    let mut segments = path.trim_matches('/').split('/');
    for part in pattern.trim_matches('/').split('/') {
        if let Some(name) = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix("+}"))
        {
            let rest: Vec<&str> = segments.by_ref().collect();
            (!rest.is_empty() && !rest[0].is_empty()).then_some(())?;
            parameters.insert(name.to_owned(), rest.join("/"));
            rank.push(2);
            continue;
        }
        let segment = segments.next()?;
        match part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'))
        {
            Some(name) => {
                (!segment.is_empty()).then_some(())?;
                parameters.insert(name.to_owned(), segment.to_owned());
                rank.push(1);
            }
            None => {
                (part == segment).then_some(())?;
                rank.push(0);
            }
        }
    }
    segments.next().is_none().then_some(())?;
    // Of the same path, the method's own route goes before ANY.
    rank.push(u8::from(wanted == "ANY") + 3);
    Some((rank, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_route_is_taken() {
        let keys = [
            "$default",
            "ANY /{proxy+}",
            "GET /pets/{id}",
            "GET /pets/dog",
            "ANY /pets/dog",
            "POST /a/{b}/c",
        ];
        let taken =
            |method: &str, path: &str| find(keys.into_iter(), method, path).map(|found| found.key);
        for (method, path, want) in [
            ("GET", "/pets/dog", "GET /pets/dog"),
            ("PUT", "/pets/dog", "ANY /pets/dog"),
            ("GET", "/pets/cat", "GET /pets/{id}"),
            ("GET", "/pets/cat/tail", "ANY /{proxy+}"),
            ("POST", "/a/1/c", "POST /a/{b}/c"),
            ("GET", "/", "$default"),
        ] {
            assert_eq!(taken(method, path), Some(want), "{method} {path}");
        }
        let found = find(keys.into_iter(), "GET", "/x/y/z").expect("there is one");
        assert_eq!(found.parameters["proxy"], "x/y/z");
        assert_eq!(find(["GET /a"].into_iter(), "GET", "/b"), None);
        assert!(
            is_key("GET /a/{b+}") && !is_key("GET /{a+}/b") && !is_key("FETCH /a") && !is_key("/a")
        );
    }
}
