//! HTTP/2, written by hand, for what no library would send (RFC 9113).

use std::io::{self, Write as _};
use std::net::TcpStream;

/// What a connection begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Fields of a head as literals that are not indexed (RFC 7541, 6.2.2), each below 127 bytes.
pub(super) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
            block.push(length.expect("it is short"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The head of a request.
pub(super) fn request(method: &str, path: &str, host: &str) -> Vec<u8> {
    fields(&[
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", host),
    ])
}

/// A connection that has said hello, with settings of its own.
pub(super) fn open(host: &str, settings: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(host)?;
    stream.write_all(PREFACE)?;
    stream.write_all(&frame(SETTINGS, 0, 0, settings))?;
    Ok(stream)
}

/// The kinds of all frames that have come as a whole, and their streams.
pub(super) fn kinds(mut bytes: &[u8]) -> impl Iterator<Item = (u8, u32)> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        bytes = rest.get(usize::try_from(length).ok()?..)?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], stream))
    })
}
