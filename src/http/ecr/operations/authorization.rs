//! Logins.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wharf_auth::identity::Caller;
use wharf_auth::token::Kind;

use super::epoch;
use crate::http::ecr::{Call, Error};

/// `GetAuthorizationToken`: a password for the user `AWS`.
pub(super) fn token(call: &Call) -> Result<Value, Error> {
    let caller = Caller {
        context: call.caller.context.clone(),
        ..call.caller.clone()
    };
    let issued = call.state.authority.issue(Kind::Login, &caller, &[]);
    let issued =
        issued.ok_or_else(|| Error::invalid("the registry has no key that signs tokens"))?;
    let token = BASE64_STANDARD.encode(format!("AWS:{}", issued.token));
    Ok(json!({"authorizationData": [{
        "authorizationToken": token,
        "expiresAt": epoch(issued.issued_at.after(issued.lifetime)),
        "proxyEndpoint": call.endpoint(),
    }]}))
}
