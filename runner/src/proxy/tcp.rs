//! Connections, led as they are.

use tokio::net::TcpStream;

use super::Balancer;

/// Copies in both directions until both sides have ended.
pub(super) async fn serve(balancer: &Balancer, mut client: TcpStream) {
    let Some((_turn, mut target)) = balancer.connect().await else {
        return;
    };
    // Either side may break off; the other one sees that.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut target).await;
}
