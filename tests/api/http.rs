//! An HTTP/1.1 client that sends exactly what a test says, and nothing that a library would add,
//! mend or refuse.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// An answer, with the names of its headers in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|values| values.first())
            .map(String::as_str)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of the first error.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A registry at an address.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: String,
}

impl Client {
    /// A client of the registry at `base`, such as `http://127.0.0.1:5000`.
    pub(crate) fn new(base: &str) -> Self {
        let address = base.strip_prefix("http://").expect("plain HTTP").to_owned();
        Self { address }
    }

    /// The host and the port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request with a body of known length, and reads the answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = self.open(method, path, headers, Some(body.len()));
        // A server that refuses a body early closes before it has all of it; its answer counts.
        let _ = stream.write_all(body);
        read_answer(stream, method)
    }

    /// Sends a request without a body.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// Sends the head of a request, and leaves the rest to the caller.
    pub(crate) fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: Option<usize>,
    ) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a timeout is set");
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        head.push_str("Connection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(length) => head.push_str(&format!("Content-Length: {length}\r\n\r\n")),
            None => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
        }
        stream.write_all(head.as_bytes()).expect("the head is sent");
        stream
    }
}

/// Reads an answer to the end of its connection.
pub(crate) fn read_answer(stream: TcpStream, method: &str) -> Answer {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.unwrap_or_else(|| panic!("a status line, not {line:?}"));
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers
            .entry(name.to_lowercase())
            .or_default()
            .push(value.trim().to_owned());
    }
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    if method == "HEAD" {
        return answer;
    }
    match answer.header("content-length").map(str::parse::<u64>) {
        Some(length) => {
            let length = length.expect("a length is a number");
            reader
                .take(length)
                .read_to_end(&mut answer.body)
                .expect("a body");
            assert_eq!(
                answer.body.len() as u64,
                length,
                "a body of the length that was said"
            );
        }
        None => {
            reader.read_to_end(&mut answer.body).expect("a body");
        }
    }
    answer
}
