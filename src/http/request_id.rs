//! The name of a request, in the log and in its answer.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries the name, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer name of a client's is not taken over.
const LONGEST: usize = 64;

/// The name of a request: letters, digits, `.`, `_` and `-`, so it is safe in a log.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The name that the client gave, where it is a sane one, else a new one.
    fn of(request: &Request) -> Self {
        let is_sane = |value: &&HeaderValue| {
            let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
            (1..=LONGEST).contains(&value.len()) && value.as_bytes().iter().all(sane)
        };
        match request.headers().get(X_REQUEST_ID).filter(is_sane) {
            Some(value) => Self(value.clone()),
            None => {
                let id = Uuid::now_v7().to_string();
                Self(HeaderValue::try_from(id).expect("a UUID is plain ASCII"))
            }
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a request's name is plain ASCII")
    }
}

/// Names the request, and tells the client.
pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_REQUEST_ID, id.0);
    response
}
