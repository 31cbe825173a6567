//! Takes connections, also when that fails for a while.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long to wait after the first failure, as when file descriptors run out. Each further one
/// doubles it: connections that end free descriptors, and the log is spared.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Takes the next connection, once there is a place for it. Those that wait for a place wait in
/// the kernel's queue.
pub(super) async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let mut pause = SHORTEST_PAUSE;
    loop {
        let error = match listener.accept().await {
            // Answers are written as a whole; waiting for more to send only delays them.
            Ok((stream, peer)) => match stream.set_nodelay(true) {
                Ok(()) => return (stream, peer, place),
                Err(_gone_already) => continue,
            },
            Err(error) => error,
        };
        if is_the_peers_fault(&error) {
            continue;
        }
        tracing::warn!(%error, "a connection could not be taken");
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Whether only this one connection failed, so that the next one can be taken at once.
fn is_the_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};

    let kind = error.kind();
    [
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        Interrupted,
    ]
    .contains(&kind)
}
