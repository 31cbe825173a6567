//! Signature Version 4, written from AWS's description of it and tried on published vectors, so that
//! each part of a signed request can be spoilt on its own.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use sha2::{Digest as _, Sha256};
use time::macros::format_description;
use time::{Duration, UtcDateTime};

/// An AWS-style key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// A request with its signature, each part open to be changed.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) method: String,
    /// The path as it is sent.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What a signature is good for.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// As `x-amz-date` has it.
    pub(crate) moment: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Scope {
    /// ECR, so long ago; a negative span is ahead.
    pub(crate) fn ecr(ago: Duration) -> Self {
        let form = format_description!("[year][month][day]T[hour][minute][second]Z");
        let moment = UtcDateTime::now() - ago;
        Self {
            moment: moment.format(form).expect("a moment has such a form"),
            region: "us-east-1".to_owned(),
            service: "ecr".to_owned(),
        }
    }

    fn text(&self) -> String {
        let date = &self.moment[..8];
        format!("{date}/{}/{}/aws4_request", self.region, self.service)
    }
}

impl Key {
    /// A call of an operation of ECR at this moment.
    pub(crate) fn call(&self, host: &str, operation: &str, body: &str) -> Signed {
        self.call_in(&Scope::ecr(Duration::ZERO), host, operation, body)
    }

    /// The same in a scope.
    pub(crate) fn call_in(&self, scope: &Scope, host: &str, operation: &str, body: &str) -> Signed {
        let mut signed = Signed::unsigned(host, operation, body);
        signed.set("X-Amz-Date", &scope.moment);
        self.sign(scope, &mut signed);
        signed
    }

    /// Signs all headers that a request has, and appends the signature.
    pub(crate) fn sign(&self, scope: &Scope, request: &mut Signed) {
        let names = request.names();
        let signature = self.signature(scope, request, &names);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.id,
            scope.text()
        );
        request.set("Authorization", &value);
    }

    /// The signature over the headers with these names.
    pub(crate) fn signature(&self, scope: &Scope, request: &Signed, names: &str) -> String {
        let canonical = request.canonical(names);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            scope.moment,
            scope.text(),
            hex(&Sha256::digest(canonical))
        );
        let first = format!("AWS4{}", self.secret).into_bytes();
        let parts = [&scope.moment[..8], &scope.region, &scope.service];
        let parts = parts.into_iter().chain(["aws4_request"]);
        let key = parts.fold(first, |key, part| mac(&key, part));
        hex(&mac(&key, &to_sign))
    }
}

impl Signed {
    /// A call of ECR that nobody has signed.
    pub(crate) fn unsigned(host: &str, operation: &str, body: &str) -> Self {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let headers = [
            ("Host", host),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", &target),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            headers: headers.map(owned).to_vec(),
            body: body.to_owned(),
        }
    }

    /// Gives a header another value, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let mut headers = self.headers.iter_mut();
        match headers.find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, known)) => value.clone_into(known),
            None => self.headers.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The value of a header.
    pub(crate) fn value(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The request as it is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {}", self.method, self.path);
        if !self.query.is_empty() {
            let _ = write!(head, "?{}", self.query);
        }
        head.push_str(" HTTP/1.1\r\n");
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let length = self.body.len();
        let _ = write!(
            head,
            "Connection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), self.body.as_bytes()].concat()
    }

    /// The names of its headers, as a signature lists them.
    pub(crate) fn names(&self) -> String {
        let names = self.headers.iter().map(|(name, _)| name.to_lowercase());
        let mut names: Vec<_> = names.filter(|name| name != "authorization").collect();
        names.sort();
        names.dedup();
        names.join(";")
    }

    /// What is signed. The body's digest is what `x-amz-content-sha256` says, where it is there.
    pub(crate) fn canonical(&self, names: &str) -> String {
        let mut query: Vec<_> = self
            .query
            .split('&')
            .filter(|part| !part.is_empty())
            .collect();
        query.sort_unstable();
        let mut text = format!("{}\n{}\n{}\n", self.method, self.path, query.join("&"));
        for name in names.split(';') {
            let values = self.headers.iter();
            let values = values.filter(|(known, _)| known.eq_ignore_ascii_case(name));
            let values: Vec<_> = values.map(|(_, value)| spaced_once(value)).collect();
            let _ = writeln!(text, "{name}:{}", values.join(","));
        }
        let body = match self.value("x-amz-content-sha256") {
            "" => hex(&Sha256::digest(&self.body)),
            said => said.to_owned(),
        };
        let _ = write!(text, "\n{names}\n{body}");
        text
    }
}

fn spaced_once(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Vectors of aws-sig-v4-test-suite, and the example of AWS's guide.
#[test]
fn the_signer_of_these_tests_gives_the_published_signatures() {
    let scope = |service: &str| Scope {
        moment: "20150830T123600Z".to_owned(),
        region: "us-east-1".to_owned(),
        service: service.to_owned(),
    };
    let key = Key {
        id: "AKIDEXAMPLE".to_owned(),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
    };
    let request = |method: &str, query: &str, host: &str, more: &[(&str, &str)]| Signed {
        method: method.to_owned(),
        path: "/".to_owned(),
        query: query.to_owned(),
        headers: [("Host", host), ("X-Amz-Date", "20150830T123600Z")]
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: String::new(),
    };
    let vectors = [
        (
            "service",
            request("GET", "", "example.amazonaws.com", &[]),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "service",
            request("POST", "", "example.amazonaws.com", &[]),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "service",
            request(
                "GET",
                "Param2=value2&Param1=value1",
                "example.amazonaws.com",
                &[],
            ),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "iam",
            request(
                "GET",
                "Action=ListUsers&Version=2010-05-08",
                "iam.amazonaws.com",
                &[(
                    "Content-Type",
                    "application/x-www-form-urlencoded; charset=utf-8",
                )],
            ),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ];
    for (service, request, signature) in vectors {
        let names = request.names();
        let made = key.signature(&scope(service), &request, &names);
        assert_eq!(made, signature, "{request:?}");
    }
}
