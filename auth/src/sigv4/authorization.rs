//! Reading the `Authorization` header.
//!
//! `AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/ecr/aws4_request, SignedHeaders=host;x-amz-date, Signature=…`

/// The only algorithm that is taken.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Why a header can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Authorization header is not of the form of AWS4-HMAC-SHA256")]
pub struct AuthorizationError;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The public part of the key.
    pub access_key: String,
    /// The day that the key was derived for, `YYYYMMDD`.
    pub date: String,
    /// The region.
    pub region: String,
    /// The service.
    pub service: String,
    /// Which headers are signed, in their order.
    pub signed_headers: Vec<String>,
    /// The signature, 64 digits.
    pub signature: String,
}

impl Authorization {
    /// Whether a header is meant to be one of these.
    #[must_use]
    pub fn is_one(header: &str) -> bool {
        header.starts_with(ALGORITHM)
    }

    /// Reads a header.
    ///
    /// # Errors
    ///
    /// When it is of another form.
    pub fn parse(header: &str) -> Result<Self, AuthorizationError> {
        Self::read(header).ok_or(AuthorizationError)
    }

    fn read(header: &str) -> Option<Self> {
        let rest = header.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            // Nothing is said twice.
            if place.replace(value).is_some() {
                return None;
            }
        }
        let mut scope = credential?.split('/');
        let mut next = || scope.next().filter(|part| !part.is_empty());
        let (access_key, date, region, service) = (next()?, next()?, next()?, next()?);
        if next()? != "aws4_request" || scope.next().is_some() {
            return None;
        }
        let signature = signature?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if signature.len() != 64 || !signature.bytes().all(is_digit) {
            return None;
        }
        let signed_headers: Vec<String> = signed_headers?.split(';').map(Into::into).collect();
        // They are in order and lower case, so each is there once.
        let is_lower = |name: &String| !name.is_empty() && *name == name.to_ascii_lowercase();
        if !signed_headers.iter().all(is_lower) || !signed_headers.is_sorted_by(|a, b| a < b) {
            return None;
        }
        Some(Self {
            access_key: access_key.into(),
            date: date.into(),
            region: region.into(),
            service: service.into(),
            signed_headers,
            signature: signature.into(),
        })
    }

    /// `20150830/us-east-1/ecr/aws4_request`.
    pub(super) fn scope(&self) -> String {
        let Self {
            date,
            region,
            service,
            ..
        } = self;
        format!("{date}/{region}/{service}/aws4_request")
    }
}
