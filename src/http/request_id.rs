//! The name of a request, in the log, in the audit log, in events, and in its answer.
//!
//! A client's own name would let it forge what a record seems to be about, so only one that a trusted
//! proxy sends is taken over; another stands in the line of the log beside ours.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::State as Shared;
use super::listener::Peer;

/// The header that carries the name, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer name of a client's is not looked at.
const LONGEST: usize = 64;

/// The name of a request: letters, digits, `.`, `_` and `-`, so it is safe in a log.
#[derive(Clone, Debug)]
pub struct RequestId {
    name: HeaderValue,
    given: Option<HeaderValue>,
}

impl RequestId {
    /// The name that a trusted proxy gave, where it is a sane one, else a new one.
    fn of(state: &Shared, request: &Request) -> Self {
        let is_sane = |value: &&HeaderValue| {
            let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
            (1..=LONGEST).contains(&value.len()) && value.as_bytes().iter().all(sane)
        };
        let given = request.headers().get(X_REQUEST_ID).filter(is_sane).cloned();
        let peer: Option<&Peer> = request.extensions().get();
        match given {
            Some(name) if peer.is_some_and(|peer| state.is_trusted(peer.address.ip())) => {
                Self { name, given: None }
            }
            given => {
                let id = Uuid::now_v7().to_string();
                let name = HeaderValue::try_from(id).expect("a UUID is plain ASCII");
                Self { name, given }
            }
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        text(&self.name)
    }

    /// The name that the client gave and that was not taken; empty where there is none.
    #[must_use]
    pub fn given(&self) -> &str {
        self.given.as_ref().map_or("", text)
    }
}

fn text(name: &HeaderValue) -> &str {
    name.to_str().expect("a request's name is plain ASCII")
}

/// Names the request, and tells the client.
pub(super) async fn assign(
    State(state): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::of(&state, &request);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_REQUEST_ID, id.name);
    response
}
