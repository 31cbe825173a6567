//! Row 28 of what has to hold: no request of ours leads inside.

use super::*;

fn client(allow: &[&str]) -> Outbound {
    let allow = allow.iter().map(|text| text.parse().expect("a network"));
    Outbound::new(allow.collect()).expect("a client")
}

#[test]
fn addresses_that_lead_inside_are_refused_however_they_are_written() {
    let client = client(&[]);
    for text in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0.0.0.0/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
        "http://user@127.0.0.1/",
    ] {
        assert!(
            matches!(client.check(text), Err(Refused::Inside(_))),
            "{text}"
        );
    }
    for text in [
        "http://localhost/",
        "http://localhost./",
        "http://LOCALHOST:5000/",
        "http://a.localhost/",
        "http://a.localhost./",
        "nats://LocalHost.",
    ] {
        let url = Url::parse(text).expect("an address");
        let checked = client.check_host(&url);
        assert!(matches!(checked, Err(Refused::Local(_))), "{text}");
    }
    for text in ["file:///etc/passwd", "gopher://a/", "", "//a", "http://"] {
        assert_eq!(client.check(text), Err(Refused::Scheme), "{text}");
    }
    for text in [
        "https://93.184.216.34/",
        "https://[2606:2800::1]/",
        "https://a.example/",
        "https://a.example./",
        "https://localhost.example/",
        "https://notlocalhost/",
    ] {
        assert!(client.check(text).is_ok(), "{text}");
    }
}

#[test]
fn a_network_that_was_opened_is_reached_and_no_other() {
    let client = client(&["127.0.0.0/8", "10.1.0.0/16"]);
    assert!(client.check("http://127.0.0.1/").is_ok());
    assert!(client.check("http://[::ffff:127.0.0.1]/").is_ok());
    assert!(client.check("http://localhost./").is_ok());
    assert!(client.check("http://10.1.9.9/").is_ok());
    assert!(client.check("http://10.2.0.1/").is_err());
    assert!(client.check("http://[::1]/").is_err());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it can be asked");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("http://localhost:{port}/");
    // The name is refused as it stands, and where it isn't looked at, by the address behind it.
    let error = client(&[]).fetch(&url).await.expect_err("refused");
    assert!(error.reason.contains("inside"), "{error}");
    let sent = client(&[]).client().get(&url).send().await;
    let reason = chain(&sent.expect_err("refused"));
    assert!(reason.contains("inside"), "{reason}");
    assert!(listener.accept().is_err(), "nobody connected");

    // Where it is opened, the same name is asked.
    let opened = client(&["127.0.0.0/8", "::1/128"]);
    let asked = tokio::spawn(async move { opened.fetch(&url).await });
    listener.set_nonblocking(false).expect("it can wait");
    let accepted = tokio::task::spawn_blocking(move || listener.accept().is_ok()).await;
    assert!(accepted.expect("it ran"));
    asked.abort();
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    use std::io::{Read as _, Write as _};
    let inside = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    inside.set_nonblocking(true).expect("it can be asked");
    let target = inside.local_addr().expect("an address");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut head = [0; 1024];
        let _ = stream.read(&mut head);
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).expect("sent");
    });
    let error = client(&["127.0.0.0/8"])
        .fetch(&format!("http://{address}/"))
        .await;
    assert!(error.expect_err("refused").reason.contains("302"));
    server.join().expect("it ended");
    assert!(inside.accept().is_err(), "nobody followed");
}
