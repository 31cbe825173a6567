//! Which waits end a connection, and when.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const PATIENCE: Patience = Patience {
    head: Duration::from_secs(15),
    idle: Duration::from_secs(120),
};

fn connection() -> (DuplexStream, Patient<DuplexStream>, Arc<Activity>) {
    let (client, server) = duplex(64);
    let activity = Arc::new(Activity::default());
    let patient = Patient::new(server, Arc::clone(&activity), PATIENCE);
    (client, patient, activity)
}

/// After how many seconds reading gives up.
async fn gives_up_after(stream: &mut Patient<DuplexStream>) -> u64 {
    let began = Instant::now();
    let mut byte = [0];
    let error = stream
        .read_exact(&mut byte)
        .await
        .expect_err("nothing comes");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    began.elapsed().as_secs()
}

async fn hear(client: &mut DuplexStream, server: &mut Patient<DuplexStream>, text: &[u8]) {
    client.write_all(text).await.expect("sent");
    let mut heard = vec![0; text.len()];
    server.read_exact(&mut heard).await.expect("heard");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_ends_after_the_time_for_a_head() {
    let (_client, mut server, _) = connection();
    assert_eq!(gives_up_after(&mut server).await, 15);
}

#[tokio::test(start_paused = true)]
async fn a_head_in_drops_ends_after_the_time_for_a_head() {
    let (mut client, mut server, _) = connection();
    let began = Instant::now();
    for _ in 0..14 {
        hear(&mut client, &mut server, b"G").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(gives_up_after(&mut server).await, 1);
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn between_requests_a_connection_may_rest_for_the_idle_time() {
    let (mut client, mut server, activity) = connection();
    hear(&mut client, &mut server, b"GET / HTTP/1.1\r\n\r\n").await;
    drop(activity.begin());
    assert_eq!(gives_up_after(&mut server).await, 120);
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_later_request_has_its_own_time() {
    let (mut client, mut server, activity) = connection();
    hear(&mut client, &mut server, b"GET / HTTP/1.1\r\n\r\n").await;
    drop(activity.begin());
    let mut byte = [0];
    let rest = tokio::time::timeout(Duration::from_secs(100), server.read(&mut byte));
    rest.await.expect_err("the client rests");
    hear(&mut client, &mut server, b"GET").await;
    assert_eq!(gives_up_after(&mut server).await, 15);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_may_take_long() {
    let (mut client, mut server, activity) = connection();
    hear(&mut client, &mut server, b"GET / HTTP/1.1\r\n\r\n").await;
    let request = activity.begin();
    let mut byte = [0];
    let hours = tokio::time::timeout(Duration::from_secs(7200), server.read(&mut byte));
    hours.await.expect_err("it is still in flight");
    drop(request);
    assert_eq!(gives_up_after(&mut server).await, 120);
}

#[tokio::test(start_paused = true)]
async fn the_frames_of_an_idle_http2_connection_begin_no_head() {
    let (mut client, mut server, activity) = connection();
    client.write_all(HTTP2_PREFACE).await.expect("sent");
    let version = server.greeting().await.expect("it comes");
    assert_eq!(version, Some(Version::Http2));
    drop(activity.begin());
    let mut preface = [0; HTTP2_PREFACE.len()];
    server.read_exact(&mut preface).await.expect("it is kept");
    hear(&mut client, &mut server, b"a ping").await;
    assert_eq!(gives_up_after(&mut server).await, 120);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_of_an_answer_is_given_up() {
    let (_client, mut server, activity) = connection();
    let _request = activity.begin();
    let began = Instant::now();
    let error = server
        .write_all(&[0; 1000])
        .await
        .expect_err("nobody reads");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(began.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_rest_when_all_has_gone_out_and_nothing_has_come() {
    let (mut client, mut server, activity) = connection();
    assert_eq!(activity.quiet_after(), None, "nothing was asked yet");
    hear(&mut client, &mut server, b"GET").await;
    let request = activity.begin();
    server.write_all(b"answer").await.expect("sent");
    server.flush().await.expect("sent");
    assert_eq!(activity.quiet_after(), None, "it is in flight");
    server.write_all(b"more").await.expect("sent");
    drop(request);
    assert_eq!(activity.quiet_after(), None, "it may not have gone out");
    server.flush().await.expect("sent");
    assert_eq!(activity.quiet_after(), Some(1));
    client.write_all(b"GET").await.expect("sent");
    let version = server.greeting().await.expect("it comes");
    assert_eq!(version, Some(Version::Http1));
    assert_eq!(activity.quiet_after(), None, "the next one begins");
    let mut heard = [0; 3];
    server.read_exact(&mut heard).await.expect("it is kept");
    assert_eq!(&heard, b"GET");
}

#[tokio::test(start_paused = true)]
async fn versions_are_told_apart_however_their_first_bytes_come() {
    for (pieces, version) in [
        (
            &["P", "RI * HTTP/2.0\r\n\r\nS", "M\r\n\r\nmore"][..],
            Some(Version::Http2),
        ),
        (&["P", "RI", " * HTTP/1.1\r\n"], Some(Version::Http1)),
        (&["POST /"], Some(Version::Http1)),
        (&["PRI"], None),
        (&[], None),
    ] {
        let (mut client, mut server, _) = connection();
        let sent = async {
            for piece in pieces {
                client.write_all(piece.as_bytes()).await.expect("sent");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(client);
        };
        let (found, ()) = tokio::join!(server.greeting(), sent);
        assert_eq!(found.expect("nothing fails"), version, "{pieces:?}");
    }
}
