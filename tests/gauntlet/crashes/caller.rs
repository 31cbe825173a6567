//! A client whose server may go at any moment: what other clients take for the end of a test, a
//! connection that is refused or that breaks, is an answer here.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::api::http::Answer;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(180);

/// A client with a connection that it keeps.
#[derive(Debug)]
pub(crate) struct Caller {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Caller {
    /// A client of the server at `base`, `http://127.0.0.1:PORT`.
    pub(crate) fn new(base: &str) -> Self {
        let address = base.strip_prefix("http://").expect("plain HTTP").to_owned();
        Self {
            address,
            connection: None,
        }
    }

    /// Makes a request and reads its answer to the end.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let mut request = self.head(method, path, headers, body.len());
        request.extend_from_slice(body);
        // A server that refuses a body early closes before it has all of it; its answer counts.
        let sent = connection.get_mut().write_all(&request);
        let answer = read(&mut connection, method).map_err(|error| sent.err().unwrap_or(error))?;
        // A server that refused without reading the body closes without saying so.
        if answer.status < 400 && answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Makes a request without a body.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, &[], b"")
    }

    /// Sends the first `count` bytes of a request, head and body, and no more. The connection lives
    /// as long as what is given back.
    pub(crate) fn send_part(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        count: usize,
    ) -> io::Result<TcpStream> {
        let mut request = self.head(method, path, headers, body.len());
        request.extend_from_slice(body);
        request.truncate(count);
        let mut stream = self.connect()?.into_inner();
        stream.write_all(&request)?;
        Ok(stream)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
        head.into_bytes()
    }
}

/// Reads one answer of a connection. An answer that breaks off is an error.
fn read(reader: &mut BufReader<TcpStream>, method: &str) -> io::Result<Answer> {
    let line = line(reader)?;
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| broken(format!("a status line, not {line:?}")))?;
    let headers = headers(reader)?;
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    if method == "HEAD" || status == 204 || status == 304 {
        return Ok(answer);
    }
    if let Some(length) = answer.header("content-length") {
        let length = length.parse().map_err(broken)?;
        answer.body = vec![0; length];
        reader.read_exact(&mut answer.body)?;
        return Ok(answer);
    }
    if answer.header("transfer-encoding") != Some("chunked") {
        return Err(broken("an answer without a length"));
    }
    loop {
        let size = self::line(reader)?;
        let size = usize::from_str_radix(&size, 16).map_err(broken)?;
        let begin = answer.body.len();
        answer.body.resize(begin + size, 0);
        reader.read_exact(&mut answer.body[begin..])?;
        self::line(reader)?;
        if size == 0 {
            return Ok(answer);
        }
    }
}

fn headers(reader: &mut BufReader<TcpStream>) -> io::Result<BTreeMap<String, Vec<String>>> {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else {
            return Ok(headers);
        };
        let values = headers.entry(name.to_lowercase()).or_default();
        values.push(value.trim().to_owned());
    }
}

/// A line without its end. A connection that ends before it is broken.
fn line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.strip_suffix("\r\n");
    let line = line.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?;
    Ok(line.to_owned())
}

fn broken(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
