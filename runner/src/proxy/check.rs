//! Whether a target answers.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Whether a connection is taken and, where there is a path, `GET` of it is answered with 2xx or 3xx.
pub(crate) async fn is_answering(address: SocketAddr, path: Option<&str>) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let Some(path) = path else {
        return true;
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    // The status line: `HTTP/1.1 200`.
    let mut line = [0; 12];
    let read = stream.read_exact(&mut line).await;
    read.is_ok() && line.starts_with(b"HTTP/1.") && matches!(line[9], b'2' | b'3')
}
